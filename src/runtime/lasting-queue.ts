import { toAppError } from '../core/errors.ts';
import type { QueueSpec } from '../core/streams.ts';
import type { Bus, Queue } from '../ports/bus.ts';

/**
 * A queue whose consumer is made anew when it is gone: servers that lose their leader may lose a consumer too
 * (nats-server 2.9), and what waits in the stream would wait for ever. Throws what the bus throws.
 */
export async function lastingQueue(bus: Bus, spec: QueueSpec): Promise<Queue> {
  await bus.ensureQueue(spec);
  const queue = await bus.queue(spec);
  let missing = false;
  return {
    async pull(...args) {
      if (missing) await bus.ensureQueue(spec);
      missing = false;
      try {
        await queue.pull(...args);
      } catch (thrown) {
        missing = toAppError(thrown).code === 'unavailable';
        throw thrown;
      }
    },
  };
}
