import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { type Fault, MemoryBroker, type OperationKind } from '../../../src/adapters/memory/memory-broker.ts';
import { MemoryBus } from '../../../src/adapters/memory/memory-bus.ts';
import { SimulatedClock } from '../../../src/adapters/memory/simulated-clock.ts';
import type { QueueSpec, StreamSpec } from '../../../src/core/streams.ts';
import type { Delivery } from '../../../src/ports/bus.ts';

const JOURNAL: StreamSpec = {
  name: 'J',
  subjects: ['j.>'],
  retention: 'limits',
  perSubject: 'first',
  storage: 'file',
};
const WORK: StreamSpec = { name: 'W', subjects: ['w.>'], retention: 'workqueue', perSubject: 'first', storage: 'file' };
const QUEUE: QueueSpec = { stream: 'W', name: 'q', filter: 'w.>', ackWaitMs: 1_000 };
const never = new AbortController().signal;

describe('the network of the memory bus', () => {
  let clock: SimulatedClock;
  let broker: MemoryBroker;
  let a: MemoryBus;
  let b: MemoryBus;

  beforeEach(async () => {
    clock = new SimulatedClock();
    broker = new MemoryBroker({ clock });
    a = new MemoryBus(broker, 'a');
    b = new MemoryBus(broker, 'b');
    await a.ensureStream(JOURNAL);
    await a.ensureStream(WORK);
    await a.ensureQueue(QUEUE);
  });

  /** The next operation of a kind meets a fault; everything else goes through. */
  function once(kind: OperationKind, fault: Fault): void {
    let used = false;
    broker.intercept = (operation) => {
      if (used || operation.kind !== kind) return 'ok';
      used = true;
      return fault;
    };
  }

  /** How a promise ended, or `open`; asks without letting time pass. */
  async function ending(promise: Promise<unknown>): Promise<string> {
    let how = 'open';
    promise.then(
      () => {
        how = 'done';
      },
      (error: { code: string }) => {
        how = error.code;
      },
    );
    await clock.settle();
    return how;
  }

  async function take(bus: MemoryBus, waitMs = 1): Promise<Delivery[]> {
    const got: Delivery[] = [];
    const pull = (await bus.queue(QUEUE)).pull(1, waitMs, (delivery) => got.push(delivery), never);
    await clock.advance(waitMs);
    await pull;
    return got;
  }

  it("answers `taken` for one's own write when the acknowledgement was lost", async () => {
    once('publish', 'lost_ack');
    const written = a.publish('j.1', 'mine');
    expect(await ending(written)).toBe('open');
    await clock.advance(1_000);
    expect(await ending(written)).toBe('taken');
    expect((await a.last('J', 'j.1'))?.data).toBe('mine');
  });

  it('loses what is sent to a follower, who asks for it again and hears nothing twice', async () => {
    const heard: string[] = [];
    const breaks: string[] = [];
    a.follow('J', 'j.>', 1, { onMessage: ({ data }) => heard.push(data), onBreak: (why) => breaks.push(why) });
    await clock.settle();
    once('deliver', 'lost');
    for (const data of ['1', '2', '3']) await b.publish(`j.${data}`, data);
    await clock.settle();
    a.cut();
    await b.publish('j.4', '4');
    await clock.settle();
    expect(heard).toEqual(['1', '2', '3']);
    a.heal();
    await clock.settle();
    expect(heard).toEqual(['1', '2', '3', '4']);
    expect(breaks).toEqual(['interrupted']);
  });

  it('sends again what was lost on the way', async () => {
    once('publish', 'lost');
    const written = a.publish('j.1', 'mine');
    await clock.settle();
    expect(await b.last('J', 'j.1')).toBeNull();
    await clock.advance(1_000);
    expect(await written).toEqual({ stream: 'J', seq: 1 });
  });

  it('lets a delayed write arrive after another node has written', async () => {
    once('publish', 'delay');
    const written = a.publish('j.1', 'late');
    expect(await ending(written)).toBe('open');
    await b.publish('j.1', 'first');
    broker.release();
    expect((await b.last('J', 'j.1'))?.data).toBe('first');
    await clock.advance(1_000);
    expect(await ending(written)).toBe('taken');
  });

  it('stops sending when the caller aborts', async () => {
    const attempts: number[] = [];
    broker.intercept = ({ kind, attempt }) => {
      if (kind === 'publish') attempts.push(attempt);
      return 'lost';
    };
    const abort = new AbortController();
    const written = a.publish('j.1', 'x', { signal: abort.signal });
    await clock.advance(2_500);
    abort.abort();
    expect(await ending(written)).toBe('aborted');
    await clock.advance(10_000);
    expect(attempts).toEqual([1, 2, 3]);
  });

  it('holds everything while the connection is cut, and leases run out meanwhile', async () => {
    await a.publish('w.run', 'x');
    const [mine] = await take(a);
    a.cut();
    expect(a.connected).toBe(false);
    mine?.ack();
    const read = a.last('J', 'j.1');
    await clock.advance(1_000);
    expect(await ending(read)).toBe('open');
    expect((await take(b))[0]).toMatchObject({ deliveries: 2 });
    a.heal();
    expect(await read).toBeNull();
    // The late ack takes the message away from its new owner, as the server does.
    expect(await b.bySequence('W', 1)).toBeNull();
  });

  it('drops what is emitted too large, lost on the way, or after the end, without a word', async () => {
    a.emit('j.1', 'x'.repeat(broker.maxBytes + 1));
    once('emit', 'lost');
    a.emit('j.2', 'lost');
    a.emit('j.3', 'kept');
    await clock.settle();
    a.crash();
    a.emit('j.4', 'late');
    await clock.settle();
    const stored: string[] = [];
    for await (const message of b.scan('J', '>')) stored.push(message.data);
    expect(stored).toEqual(['kept']);
  });

  it('never settles anything of a crashed node, whose deliveries come again after the ack wait', async () => {
    await a.publish('w.run', 'x');
    const [mine] = await take(a);
    const before = a.publish('j.1', 'sent before');
    a.crash();
    const after = a.publish('j.2', 'sent after');
    mine?.ack();
    const { signal } = new AbortController();
    const request = a.request('nobody', '', { timeoutMs: 10, signal });
    expect(await take(b)).toEqual([]);
    await clock.advance(1_000);
    expect(await Promise.all([before, after, request].map(ending))).toEqual(['open', 'open', 'open']);
    expect((await take(b))[0]).toMatchObject({ data: 'x', deliveries: 2 });
    expect((await b.last('J', 'j.1'))?.data).toBe('sent before');
    expect(await b.last('J', 'j.2')).toBeNull();
  });

  it('gives nothing more to a node that crashed while it was pulling or serving', async () => {
    const got: Delivery[] = [];
    void (await a.queue(QUEUE)).pull(1, 60_000, (delivery) => got.push(delivery), never);
    a.serve('ask', async () => 'x');
    await clock.settle();
    a.crash();
    await b.publish('w.run', 'x');
    expect(await take(b)).toHaveLength(1);
    expect(got).toEqual([]);
    expect(await ending(b.request('ask', '', { timeoutMs: 100 }))).toBe('no_responders');
  });

  it('times a request out when the answer is lost', async () => {
    a.serve('ask', async () => 'x');
    once('reply', 'lost');
    const asked = b.request('ask', '', { timeoutMs: 100 });
    await clock.advance(99);
    expect(await ending(asked)).toBe('open');
    await clock.advance(1);
    expect(await ending(asked)).toBe('timeout');
  });

  it('hands a delivery that was lost on the way to another node after the ack wait', async () => {
    once('deliver', 'lost');
    await a.publish('w.run', 'x');
    expect(await take(a, 500)).toEqual([]);
    expect(await take(b, 600)).toMatchObject([{ deliveries: 2 }]);
  });

  it('lets a sign of life or a nak of a node that lost the message count for its new owner', async () => {
    await a.publish('w.run', 'x');
    const [old] = await take(a);
    await clock.advance(1_000);
    await take(b);
    await clock.advance(900);
    old?.working();
    expect(await take(b, 900)).toEqual([]);
    old?.nak(0);
    expect(await take(b)).toMatchObject([{ deliveries: 3 }]);
  });

  it('gives a pull that ended before the message came nothing, and the message to the next', async () => {
    once('deliver', 'delay');
    await a.publish('w.run', 'x');
    expect(await take(a, 10)).toEqual([]);
    expect(broker.held.map(({ operation }) => operation.node)).toEqual(['a']);
    broker.release();
    expect(await take(b)).toMatchObject([{ deliveries: 2 }]);
  });

  it('keeps the order of one connection and lets a scheduler choose among connections', async () => {
    const orders = new Set<string>();
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), async (s) => {
        const own = new MemoryBroker({ clock: new SimulatedClock() });
        const [left, right] = [new MemoryBus(own, 'left'), new MemoryBus(own, 'right')];
        await left.ensureStream({ ...JOURNAL, perSubject: 'all' });
        own.carry = (label) => s.schedule(Promise.resolve(), label);
        const written = [left, right].flatMap((bus) => ['1', '2'].map((n) => bus.publish('j.x', `${bus.node}${n}`)));
        await s.waitFor(Promise.all(written));
        own.carry = () => Promise.resolve();
        const seen: string[] = [];
        for await (const message of left.scan('J', '>')) seen.push(message.data);
        orders.add(seen.join(' '));
        expect(seen.filter((data) => data.startsWith('left'))).toEqual(['left1', 'left2']);
        expect(seen.filter((data) => data.startsWith('right'))).toEqual(['right1', 'right2']);
      }),
      { numRuns: 100, seed: 1 },
    );
    expect(orders.size).toBeGreaterThan(2);
  });
});
