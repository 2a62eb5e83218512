import { appendFileSync } from 'node:fs';
import { toAppError } from '../../src/core/errors.ts';
import { parseLaneQueue } from '../../src/core/run-queues.ts';
import type { Bus, Delivery, Queue } from '../../src/ports/bus.ts';

/**
 * What a node's bus was told by the server, kept outside of it: a line for each acknowledged publish, for each that was
 * refused as its subject is taken, and for each message that the node acknowledged. When something is missing at the end, this tells a loss of the server from one of ours.
 */
export function witnessed(bus: Bus, file: string): Bus {
  const note = (...line: (string | number)[]): void => appendFileSync(file, `${line.join(' ')} ${Date.now()}\n`);
  return changed(bus, {
    async publish(...args) {
      try {
        const ack = await bus.publish(...args);
        note('stored', ack.stream, ack.seq, args[0]);
        return ack;
      } catch (thrown) {
        if (toAppError(thrown).code === 'taken') note('taken', '-', 0, args[0]);
        throw thrown;
      }
    },
    async remove(stream, message) {
      const removed = await bus.remove(stream, message);
      if (removed) note('acked', stream, message.seq, message.subject);
      return removed;
    },
    queue: (spec) =>
      bus.queue(spec).then((queue) =>
        withDeliveries(queue, (delivery) => ({
          ...delivery,
          ack() {
            note('acked', spec.stream, delivery.seq, delivery.subject);
            delivery.ack();
          },
        })),
      ),
  });
}

/** Broken on purpose: a run leaves the queue when a node takes it, and not when it has ended. */
export function ackedTooEarly(bus: Bus): Bus {
  return changed(bus, {
    queue: (spec) =>
      bus.queue(spec).then((queue) =>
        parseLaneQueue(spec.name) === null
          ? queue
          : withDeliveries(queue, (delivery) => {
              delivery.ack();
              return delivery;
            }),
      ),
  });
}

function withDeliveries(queue: Queue, change: (delivery: Delivery) => Delivery): Queue {
  return {
    pull: (max, waitMs, onDelivery, signal) =>
      queue.pull(max, waitMs, (delivery) => onDelivery(change(delivery)), signal),
  };
}

function changed(bus: Bus, changes: Partial<Bus>): Bus {
  return new Proxy(bus, {
    get(target, property) {
      const own: unknown = Reflect.get(changes, property);
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
