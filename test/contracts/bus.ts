import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AppError } from '../../src/core/errors.ts';
import type { QueueSpec, StreamSpec } from '../../src/core/streams.ts';
import type { Bus, Delivery, Queue, StoredMessage } from '../../src/ports/bus.ts';

/**
 * What every Bus adapter must do. A world is one server: real, or simulated with its own clock. Nothing here waits for
 * a fixed time: `pass` lets server time go by in small steps until what is awaited has happened.
 */
export interface BusWorld {
  /** A further client of the same server; `inboxPrefix` is where it receives answers, default `_INBOX`. */
  connect(inboxPrefix?: string): Promise<Bus>;
  /** Lets `ms` of server time pass: really, or by a step of the simulated clock. */
  pass(ms: number): Promise<void>;
  stop(): Promise<void>;
}

const STEP_MS = 10;
const DEADLINE_STEPS = 6_000;
const ACK_WAIT_MS = 400;
/** More than any server takes in one message. */
const HUGE = 2 * 1024 * 1024;

export function describeBus(name: string, make: () => Promise<BusWorld>): void {
  describe(`${name} as a Bus`, () => {
    let world: BusWorld;
    let bus: Bus;
    let other: Bus;
    let count = 0;

    beforeAll(async () => {
      world = await make();
      bus = await world.connect();
      other = await world.connect();
    });
    afterAll(async () => {
      await bus.close();
      await other.close();
      await world.stop();
    });

    /** Waits for a promise while server time goes by. */
    async function drive<T>(promise: Promise<T>): Promise<T> {
      let settled = false;
      const watched = promise.finally(() => {
        settled = true;
      });
      watched.catch(() => undefined);
      for (let i = 0; !settled; i++) {
        if (i > DEADLINE_STEPS) throw new Error('still not settled');
        await world.pass(STEP_MS);
      }
      return watched;
    }

    async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
      for (let i = 0; !(await holds()); i++) {
        if (i > DEADLINE_STEPS) throw new Error(`never happened: ${what}`);
        await world.pass(STEP_MS);
      }
    }

    async function codeOf(promise: Promise<unknown>): Promise<string> {
      try {
        await drive(promise);
      } catch (error) {
        if (error instanceof AppError) return error.code;
        throw error;
      }
      return 'no error';
    }

    async function stream(spec: Partial<StreamSpec> = {}): Promise<StreamSpec & { subject: string }> {
      count += 1;
      const subject = `s${count}`;
      const full: StreamSpec = {
        name: `S${count}`,
        subjects: [`${subject}.>`],
        retention: 'limits',
        perSubject: 'all',
        storage: 'file',
        ...spec,
      };
      await bus.ensureStream(full);
      return { ...full, subject };
    }

    async function queueOn(
      perSubject: StreamSpec['perSubject'] = 'all',
    ): Promise<{ spec: QueueSpec; queue: Queue; subject: string }> {
      const made = await stream({ retention: 'workqueue', perSubject });
      const spec: QueueSpec = { stream: made.name, name: 'w', filter: `${made.subject}.>`, ackWaitMs: ACK_WAIT_MS };
      await bus.ensureQueue(spec);
      return { spec, queue: await bus.queue(spec), subject: made.subject };
    }

    async function take(queue: Queue, max: number, waitMs: number): Promise<Delivery[]> {
      const got: Delivery[] = [];
      await drive(queue.pull(max, waitMs, (delivery) => got.push(delivery), new AbortController().signal));
      return got;
    }

    /** Pulls until one comes. A long wait: old servers lose count of what falls due just when a pull expires. */
    async function takeOne(queue: Queue): Promise<Delivery> {
      for (let i = 0; i < 5; i++) {
        const [delivery] = await take(queue, 1, 3_000);
        if (delivery !== undefined) return delivery;
      }
      throw new Error('nothing was delivered');
    }

    async function scanned(...args: Parameters<Bus['scan']>): Promise<StoredMessage[]> {
      const all: StoredMessage[] = [];
      for await (const message of bus.scan(...args)) all.push(message);
      return all;
    }

    describe('publishing', () => {
      it('answers with the stream and ascending sequences', async () => {
        const s = await stream();
        expect(await bus.publish(`${s.subject}.a`, '1')).toEqual({ stream: s.name, seq: 1 });
        expect(await bus.publish(`${s.subject}.a`, '2')).toEqual({ stream: s.name, seq: 2 });
      });

      it('refuses a second message on a write-once subject and keeps the first', async () => {
        const s = await stream({ perSubject: 'first' });
        await bus.publish(`${s.subject}.a`, 'first');
        expect(await codeOf(bus.publish(`${s.subject}.a`, 'second'))).toBe('taken');
        expect((await bus.last(s.name, `${s.subject}.a`))?.data).toBe('first');
        expect((await bus.publish(`${s.subject}.b`, 'elsewhere')).stream).toBe(s.name);
      });

      it('lets exactly one of two clients write a write-once subject', async () => {
        const s = await stream({ perSubject: 'first' });
        const subjects = Array.from({ length: 30 }, (_, i) => `${s.subject}.${i}`);
        const codes = await Promise.all(
          subjects.map(async (subject) => [
            await Promise.all([codeOf(bus.publish(subject, 'bus')), codeOf(other.publish(subject, 'other'))]),
            (await bus.last(s.name, subject))?.data,
          ]),
        );
        for (const [[mine, theirs], stored] of codes as [[string, string], string][]) {
          expect(new Set([mine, theirs])).toEqual(new Set(['no error', 'taken']));
          expect(stored).toBe(mine === 'no error' ? 'bus' : 'other');
        }
      });

      it('keeps only the newest message of a subject where the stream says so', async () => {
        const s = await stream({ perSubject: 'last', storage: 'memory' });
        await bus.publish(`${s.subject}.a`, 'old');
        await bus.publish(`${s.subject}.a`, 'new');
        expect((await scanned(s.name, `${s.subject}.>`)).map((m) => m.data)).toEqual(['new']);
      });

      it('never sends what is too large', async () => {
        const s = await stream();
        expect(await codeOf(bus.publish(`${s.subject}.a`, 'x'.repeat(HUGE)))).toBe('too_large');
        expect(await codeOf(bus.publish(`${s.subject}.a`, 'x', { headers: { Big: 'x'.repeat(HUGE) } }))).toBe(
          'too_large',
        );
        expect(await scanned(s.name, '>')).toEqual([]);
        expect(bus.connected).toBe(true);
      });

      it('refuses an aborted signal and sends nothing', async () => {
        const s = await stream();
        expect(await codeOf(bus.publish(`${s.subject}.a`, 'x', { signal: AbortSignal.abort() }))).toBe('aborted');
        await bus.flush();
        expect(await scanned(s.name, '>')).toEqual([]);
      });

      it('stores what is emitted on the subject of a stream', async () => {
        const s = await stream();
        bus.emit(`${s.subject}.a`, 'told');
        await until('it is stored', async () => (await bus.last(s.name, `${s.subject}.a`))?.data === 'told');
      });
    });

    describe('a stream with a greatest age', () => {
      it('drops what is older, and takes its write-once subject again', async () => {
        const s = await stream({ perSubject: 'first', maxAgeMs: 500 });
        await bus.publish(`${s.subject}.a`, 'old');
        expect(await codeOf(bus.publish(`${s.subject}.a`, 'too early'))).toBe('taken');
        await until('it is dropped', async () => (await bus.last(s.name, `${s.subject}.a`)) === null);
        await bus.publish(`${s.subject}.a`, 'new');
        expect((await bus.last(s.name, `${s.subject}.a`, { authoritative: true }))?.data).toBe('new');
      });

      it('is not taken for one that keeps for ever', async () => {
        const { subject: _, ...spec } = await stream({ perSubject: 'first', maxAgeMs: 500 });
        const { maxAgeMs: __, ...forEver } = spec;
        expect(await codeOf(bus.ensureStream(forEver))).toBe('stream_mismatch');
        await other.ensureStream(spec);
      });
    });

    describe('streams and queues', () => {
      it('takes a stream that is there already, made by whichever client', async () => {
        const s = await stream({ perSubject: 'first' });
        await bus.publish(`${s.subject}.a`, 'kept');
        const { subject: _, ...spec } = s;
        await other.ensureStream(spec);
        expect((await other.last(s.name, `${s.subject}.a`))?.data).toBe('kept');
      });

      it('refuses a stream that keeps other messages than it should', async () => {
        const { subject: _, ...spec } = await stream({ perSubject: 'all' });
        expect(await codeOf(bus.ensureStream({ ...spec, perSubject: 'first' }))).toBe('stream_mismatch');
        expect(await codeOf(bus.ensureStream({ ...spec, retention: 'workqueue' }))).toBe('stream_mismatch');
        expect(await codeOf(bus.ensureStream({ ...spec, subjects: ['other.>'] }))).toBe('stream_mismatch');
      });

      it('takes a queue that is there, with a new ack wait, but not with another filter', async () => {
        const { spec, subject } = await queueOn();
        await other.ensureQueue({ ...spec, ackWaitMs: ACK_WAIT_MS * 2 });
        expect(await codeOf(bus.ensureQueue({ ...spec, filter: `${subject}.a` }))).toBe('stream_mismatch');
      });
    });

    describe('reading', () => {
      it('gives back subject, sequence, time, data and headers', async () => {
        const s = await stream();
        const data = JSON.stringify({ text: 'Grüße, 世界 🚀', quote: '"\r\n' });
        await bus.publish(`${s.subject}.a`, 'before');
        await bus.publish(`${s.subject}.a`, data, { headers: { 'X-One': '1', Two: 'zwei: Ü' } });
        const expected = { subject: `${s.subject}.a`, seq: 2, data, headers: { 'X-One': '1', Two: 'zwei: Ü' } };
        const forms = [
          await bus.last(s.name, `${s.subject}.a`),
          await bus.last(s.name, `${s.subject}.a`, { authoritative: true }),
          await bus.bySequence(s.name, 2),
          (await scanned(s.name, '>'))[1],
        ];
        for (const form of forms) {
          expect(form).toMatchObject(expected);
          expect(Buffer.from(form?.bytes() ?? []).toString()).toBe(data);
          expect(form?.at).toBe(forms[0]?.at);
        }
        expect(forms[0]?.at).toBeGreaterThan(0);
      });

      it('keeps empty data', async () => {
        const s = await stream();
        await bus.publish(`${s.subject}.a`, '');
        await bus.publish(`${s.subject}.b`, '', { headers: { A: 'b' } });
        expect(await bus.last(s.name, `${s.subject}.a`)).toMatchObject({ data: '', headers: {} });
        expect(await bus.last(s.name, `${s.subject}.a`, { authoritative: true })).toMatchObject({ data: '' });
        expect(await bus.last(s.name, `${s.subject}.b`)).toMatchObject({ data: '', headers: { A: 'b' } });
      });

      it('trims what lies below a sequence, and counts on', async () => {
        const s = await stream();
        for (const data of ['1', '2', '3', '4']) await bus.publish(`${s.subject}.a`, data);
        for (const before of [0, 1]) await bus.trim(s.name, before);
        expect(await scanned(s.name, '>')).toHaveLength(4);
        await bus.trim(s.name, 3);
        expect((await scanned(s.name, '>')).map((m) => m.data)).toEqual(['3', '4']);
        await bus.trim(s.name, 5);
        await bus.trim(s.name, 5);
        expect(await scanned(s.name, '>')).toEqual([]);
        expect((await bus.publish(`${s.subject}.a`, '5')).seq).toBe(5);
        await bus.trim('NOSUCHSTREAM', 3);
      });

      it('knows nothing of a subject, sequence or stream that holds no message', async () => {
        const s = await stream();
        for (const options of [{}, { authoritative: true }]) {
          expect(await bus.last(s.name, `${s.subject}.none`, options)).toBeNull();
          expect(await bus.last('NOSUCHSTREAM', 'a.b', options)).toBeNull();
        }
        expect(await bus.bySequence(s.name, 7)).toBeNull();
        expect(await bus.bySequence('NOSUCHSTREAM', 1)).toBeNull();
        expect(await scanned(s.name, '>')).toEqual([]);
        expect(await scanned('NOSUCHSTREAM', '>')).toEqual([]);
      });

      it('finds the newest message that a wildcard matches', async () => {
        const s = await stream({ perSubject: 'first' });
        await bus.publish(`${s.subject}.agent.alice.r1`, 'one');
        await bus.publish(`${s.subject}.agent.bob.r2`, 'two');
        await bus.publish(`${s.subject}.other.bob.r1`, 'three');
        for (const options of [{}, { authoritative: true }]) {
          expect((await bus.last(s.name, `${s.subject}.*.*.r2`, options))?.subject).toBe(`${s.subject}.agent.bob.r2`);
          expect((await bus.last(s.name, `${s.subject}.*.*.r1`, options))?.data).toBe('three');
          expect(await bus.last(s.name, `${s.subject}.*.*.r3`, options)).toBeNull();
        }
      });

      for (const retention of ['limits', 'workqueue'] as const) {
        it(`scans a stream of retention ${retention}: a filter, from a sequence, the newest of each subject`, async () => {
          const s = await stream({ retention });
          for (const [i, to] of ['a.x', 'b.x', 'a.x', 'c.y', 'b.x'].entries()) {
            await bus.publish(`${s.subject}.${to}`, String(i + 1));
          }
          const datas = async (...args: Parameters<Bus['scan']>) =>
            (await scanned(...args)).map((m) => m.data).join('');
          expect(await datas(s.name, '>')).toBe('12345');
          expect(await datas(s.name, `${s.subject}.*.x`)).toBe('1235');
          expect(await datas(s.name, `${s.subject}.c.y`)).toBe('4');
          expect(await datas(s.name, `${s.subject}.>`, { fromSequence: 3 })).toBe('345');
          expect(await datas(s.name, `${s.subject}.>`, { fromSequence: 9 })).toBe('');
          expect(await datas(s.name, `${s.subject}.>`, { lastPerSubject: true })).toBe('345');
          expect(await datas(s.name, `${s.subject}.a.>`, { lastPerSubject: true })).toBe('3');
          expect(await datas(s.name, `${s.subject}.>`, { lastPerSubject: true, fromSequence: 4 })).toBe('45');
        });
      }

      it('scans more messages than one batch holds, in order, and can stop in the middle', async () => {
        const s = await stream();
        const all = Array.from({ length: 700 }, (_, i) => String(i));
        await Promise.all(all.map((data) => bus.publish(`${s.subject}.n`, data)));
        expect((await scanned(s.name, '>')).map((m) => m.seq)).toEqual(all.map((_, i) => i + 1));
        for await (const message of bus.scan(s.name, '>')) if (message.seq === 300) break;
        expect((await scanned(s.name, '>', { fromSequence: 699 })).length).toBe(2);
      });

      it('removes no other message that has its sequence', async () => {
        const s = await stream({ perSubject: 'first' });
        const { seq } = await bus.publish(`${s.subject}.a`, 'x');
        const message = { seq, subject: `${s.subject}.a`, data: 'x' };
        expect(await bus.remove(s.name, { ...message, subject: `${s.subject}.b` })).toBe(false);
        expect(await bus.remove(s.name, { ...message, data: 'y' })).toBe(false);
        expect(await bus.last(s.name, `${s.subject}.a`, { authoritative: true })).toMatchObject(message);
      });

      it('removes a message, twice if need be, and frees its write-once subject', async () => {
        const s = await stream({ perSubject: 'first' });
        const { seq } = await bus.publish(`${s.subject}.a`, 'x');
        await bus.publish(`${s.subject}.b`, 'y');
        const message = { seq, subject: `${s.subject}.a`, data: 'x' };
        expect(await bus.remove(s.name, message)).toBe(true);
        expect(await bus.remove(s.name, message)).toBe(true);
        expect(await bus.remove(s.name, { ...message, seq: 99 })).toBe(true);
        expect(await bus.bySequence(s.name, seq)).toBeNull();
        expect(await bus.last(s.name, `${s.subject}.a`)).toBeNull();
        expect((await bus.publish(`${s.subject}.a`, 'again')).seq).toBe(3);
      });
    });

    describe('a queue', () => {
      it('hands out what waits, oldest first, up to the number asked for', async () => {
        const { spec, queue, subject } = await queueOn();
        for (const data of ['1', '2', '3']) await bus.publish(`${subject}.a`, data, { headers: { H: data } });
        const got = await take(queue, 2, 2_000);
        expect(got.map((d) => d.data)).toEqual(['1', '2']);
        const stored = await bus.bySequence(spec.stream, 1);
        expect(got[0]).toMatchObject({ stream: spec.stream, deliveries: 1, seq: 1, headers: { H: '1' } });
        expect([got[0]?.subject, got[0]?.at]).toEqual([stored?.subject, stored?.at]);
        expect(Buffer.from(got[0]?.bytes() ?? []).toString()).toBe('1');
        expect(got[0]?.created).not.toBe('');
        expect(got[1]?.created).toBe(got[0]?.created);
        expect((await take(queue, 2, 100)).map((d) => d.data)).toEqual(['3']);
      });

      it('tells two incarnations of a stream apart by the time of creation', async () => {
        const first = await queueOn();
        const second = await queueOn();
        await bus.publish(`${first.subject}.a`, '');
        await bus.publish(`${second.subject}.a`, '');
        expect((await takeOne(first.queue)).created).not.toBe((await takeOne(second.queue)).created);
      });

      it('resolves without a message once the time is over', async () => {
        const { queue } = await queueOn();
        expect(await take(queue, 1, 50)).toEqual([]);
      });

      it('gets a message that is published while it waits', async () => {
        const { queue, subject } = await queueOn();
        const got: Delivery[] = [];
        const pull = queue.pull(1, 5_000, (d) => got.push(d), new AbortController().signal);
        await bus.flush();
        await other.publish(`${subject}.a`, 'late');
        await drive(pull);
        expect(got.map((d) => d.data)).toEqual(['late']);
      });

      it('removes what is acknowledged, and never hands it out again', async () => {
        const { spec, queue, subject } = await queueOn();
        await bus.publish(`${subject}.a`, 'x');
        const delivery = await takeOne(queue);
        delivery.ack();
        delivery.ack();
        await until('it is removed', async () => (await bus.bySequence(spec.stream, delivery.seq)) === null);
        expect(await take(queue, 1, ACK_WAIT_MS * 2)).toEqual([]);
      });

      it('hands a message out again when its ack wait passes in silence', async () => {
        const { queue, subject } = await queueOn();
        await bus.publish(`${subject}.a`, 'x');
        await takeOne(queue);
        expect(await take(queue, 1, ACK_WAIT_MS / 4)).toEqual([]);
        const again = await takeOne(queue);
        expect(again).toMatchObject({ data: 'x', seq: 1, deliveries: 2 });
      });

      it('holds a message back for the delay of a nak', async () => {
        const { queue, subject } = await queueOn();
        await bus.publish(`${subject}.a`, 'x');
        (await takeOne(queue)).nak(300);
        expect(await take(queue, 1, 100)).toEqual([]);
        const again = await takeOne(queue);
        expect(again.deliveries).toBe(2);
        again.nak(0);
        expect((await takeOne(queue)).deliveries).toBe(3);
      });

      it('leaves a message alone as long as there are signs of life', async () => {
        const { queue, subject } = await queueOn();
        await bus.publish(`${subject}.a`, 'x');
        const delivery = await takeOne(queue);
        for (let i = 0; i < 8; i++) {
          delivery.working();
          expect(await take(queue, 1, ACK_WAIT_MS / 4)).toEqual([]);
        }
        expect((await takeOne(queue)).deliveries).toBe(2);
      });

      it('gives each message to one of two clients', async () => {
        const { spec, queue, subject } = await queueOn();
        const theirs = await other.queue(spec);
        const got: Delivery[] = [];
        const collect = (d: Delivery): void => {
          got.push(d);
          d.ack();
        };
        const { signal } = new AbortController();
        const pulls = [queue.pull(10, 300, collect, signal), theirs.pull(10, 300, collect, signal)];
        await Promise.all(Array.from({ length: 12 }, (_, i) => bus.publish(`${subject}.a`, String(i))));
        await drive(Promise.all(pulls));
        expect(got.map((d) => Number(d.data)).sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, i) => i));
      });

      it('tells how much was handed to nobody yet, and how old the oldest of it is', async () => {
        const s = await stream({ retention: 'workqueue' });
        const spec = { stream: s.name, name: 'b', filter: `${s.subject}.b.>`, ackWaitMs: ACK_WAIT_MS };
        await bus.ensureQueue(spec);
        expect(await bus.backlog(spec)).toMatchObject({
          messages: 0,
          oldestAt: null,
          handedOut: 0,
          inWork: 0,
          deliveries: 0,
        });
        for (const name of ['b.1', 'a.1', 'b.2', 'b.3']) await bus.publish(`${s.subject}.${name}`, '');
        const first = await bus.last(s.name, `${s.subject}.b.1`);
        expect(await bus.backlog(spec)).toMatchObject({ messages: 3, oldestAt: first?.at, handedOut: 0, inWork: 0 });
        const taken = await takeOne(await bus.queue(spec));
        expect(taken.subject).toBe(`${s.subject}.b.1`);
        const second = await bus.last(s.name, `${s.subject}.b.2`);
        const taken1 = { messages: 2, oldestAt: second?.at, handedOut: taken.seq, deliveries: 1 };
        expect(await bus.backlog(spec)).toMatchObject({ ...taken1, inWork: 1 });
        taken.ack();
        await until('it is acked', async () => (await bus.backlog(spec)).inWork === 0);
        expect(await bus.backlog(spec)).toMatchObject({ ...taken1, inWork: 0 });
      });

      it('are known by name until they are removed, of a stream that is not there none', async () => {
        const made = await stream({ retention: 'workqueue' });
        expect(await bus.queues(made.name)).toEqual([]);
        for (const name of ['w_1', 'w_2']) {
          await bus.ensureQueue({
            stream: made.name,
            name,
            filter: `${made.subject}.${name}.*`,
            ackWaitMs: ACK_WAIT_MS,
          });
        }
        expect(new Set(await other.queues(made.name))).toEqual(new Set(['w_1', 'w_2']));
        await bus.removeQueue(made.name, 'w_1');
        await bus.removeQueue(made.name, 'w_1');
        expect(await bus.queues(made.name)).toEqual(['w_2']);
        expect(await bus.queues('NOTHING')).toEqual([]);
      });

      it('brings at once what is there when it does not wait, and nothing more', async () => {
        const { queue, subject } = await queueOn();
        expect(await take(queue, 5, 0)).toEqual([]);
        for (const name of ['a', 'b', 'c']) await bus.publish(`${subject}.${name}`, name);
        expect((await take(queue, 2, 0)).map(({ data }) => data)).toEqual(['a', 'b']);
        expect((await take(queue, 5, 0)).map(({ data }) => data)).toEqual(['c']);
      });

      it('has no backlog to tell of where there is no queue', async () => {
        const s = await stream({ retention: 'workqueue' });
        const spec = { stream: s.name, name: 'none', filter: `${s.subject}.>`, ackWaitMs: ACK_WAIT_MS };
        expect(await codeOf(bus.backlog(spec))).toBe('unavailable');
      });

      it('hands out only what its filter matches', async () => {
        const s = await stream({ retention: 'workqueue' });
        const spec = { stream: s.name, name: 'b', filter: `${s.subject}.b.>`, ackWaitMs: ACK_WAIT_MS };
        await bus.ensureQueue(spec);
        await bus.publish(`${s.subject}.a.1`, 'a');
        await bus.publish(`${s.subject}.b.1`, 'b');
        expect((await take(await bus.queue(spec), 5, 100)).map((d) => d.data)).toEqual(['b']);
      });

      it('refuses a second message on a write-once subject until the first is acknowledged', async () => {
        const { queue, subject } = await queueOn('first');
        await bus.publish(`${subject}.run`, '1');
        const delivery = await takeOne(queue);
        expect(await codeOf(bus.publish(`${subject}.run`, '2'))).toBe('taken');
        delivery.ack();
        await until(
          'the subject is free',
          async () => (await codeOf(bus.publish(`${subject}.run`, '3'))) === 'no error',
        );
        expect(await takeOne(queue)).toMatchObject({ data: '3', deliveries: 1 });
      });

      it('ends a pull when it is aborted, and loses nothing', async () => {
        const { queue, subject } = await queueOn();
        const abort = new AbortController();
        const got: Delivery[] = [];
        const pull = queue.pull(5, 60_000, (d) => got.push(d), abort.signal);
        await bus.flush();
        abort.abort();
        await drive(pull);
        await drive(queue.pull(5, 60_000, (d) => got.push(d), abort.signal));
        await bus.publish(`${subject}.a`, 'x');
        expect(await takeOne(queue)).toMatchObject({ data: 'x' });
        expect(got).toEqual([]);
      });
    });

    describe('requests', () => {
      const options = { timeoutMs: 5_000 };
      const fresh = (): string => `q${++count}.ask`;

      it('bring the handler subject, data and headers, and its reply back', async () => {
        const subject = fresh();
        const service = other.serve(`${subject}.*`, async (request) => JSON.stringify(request));
        await other.flush();
        const reply = await bus.request(`${subject}.x`, 'Ü', { ...options, headers: { A: 'b' } });
        expect(JSON.parse(reply.data)).toEqual({ subject: `${subject}.x`, data: 'Ü', headers: { A: 'b' } });
        await service.stop();
      });

      it('fail at once when nobody listens', async () => {
        expect(await codeOf(bus.request(fresh(), '', { timeoutMs: 60_000 }))).toBe('no_responders');
      });

      it('to everybody bring all answers, but no errors, and none at once when nobody listens', async () => {
        const subject = fresh();
        const services = ['a', 'b', 'c'].map((word) =>
          other.serve(subject, async () => {
            if (word === 'c') throw new AppError('busy', 'not now');
            return word;
          }),
        );
        await other.flush();
        const replies = await drive(bus.gather(subject, '', { timeoutMs: 300 }));
        expect(replies.map((reply) => reply.data).toSorted()).toEqual(['a', 'b']);
        await Promise.all(services.map((service) => service.stop()));
        await other.flush();
        expect(await drive(bus.gather(subject, '', { timeoutMs: 60_000 }))).toEqual([]);
      });

      it('fail when nobody answers in time', async () => {
        const subject = fresh();
        const service = other.serve(subject, async () => null);
        await other.flush();
        expect(await codeOf(bus.request(subject, '', { timeoutMs: 100 }))).toBe('timeout');
        await service.stop();
      });

      it('throw the AppError that the handler threw, with code, field, retryable and the time to wait', async () => {
        const subject = fresh();
        const service = other.serve(subject, async () => {
          throw new AppError('invalid_task', 'limits.steps: 99 is "too many"\nreally', {
            field: 'limits.steps',
            retryable: true,
            retryAfterMs: 1_500,
          });
        });
        await other.flush();
        const error = await bus.request(subject, '', options).catch((thrown: unknown) => thrown);
        expect(error).toBeInstanceOf(AppError);
        expect(error).toMatchObject({
          code: 'invalid_task',
          message: 'limits.steps: 99 is "too many"\nreally',
          field: 'limits.steps',
          retryable: true,
          retryAfterMs: 1_500,
        });
        await service.stop();
      });

      it('answer with code error when the handler throws anything else, at once or later', async () => {
        const [sync, later] = [fresh(), fresh()];
        const services = [
          other.serve(sync, () => {
            throw new Error('boom');
          }),
          other.serve(later, async () => {
            throw new Error('boom');
          }),
        ];
        await other.flush();
        expect(await codeOf(bus.request(sync, '', options))).toBe('error');
        expect(await codeOf(bus.request(later, '', options))).toBe('error');
        await Promise.all(services.map((service) => service.stop()));
      });

      it('go to one member of a queue group', async () => {
        const subject = fresh();
        let handled = 0;
        const handler = async (): Promise<string> => String(++handled);
        const services = [bus, other].map((one) => one.serve(subject, handler, { queue: 'group' }));
        await Promise.all([bus.flush(), other.flush()]);
        for (let i = 0; i < 10; i++) await bus.request(subject, '', options);
        expect(handled).toBe(10);
        await Promise.all(services.map((service) => service.stop()));
      });

      it('find nobody once the service has stopped', async () => {
        const subject = fresh();
        const service = other.serve(subject, async () => 'x');
        await other.flush();
        expect((await bus.request(subject, '', options)).data).toBe('x');
        await service.stop();
        expect(await codeOf(bus.request(subject, '', options))).toBe('no_responders');
      });

      it('end when they are aborted', async () => {
        const subject = fresh();
        const abort = new AbortController();
        const service = other.serve(subject, async () => {
          abort.abort();
          return null;
        });
        await other.flush();
        expect(await codeOf(bus.request(subject, '', { timeoutMs: 60_000, signal: abort.signal }))).toBe('aborted');
        expect(await codeOf(bus.request(subject, '', { ...options, signal: AbortSignal.abort() }))).toBe('aborted');
        await service.stop();
      });

      it('are handled only when the answer goes below a given subject, where that is asked for', async () => {
        const subject = fresh();
        const handled: string[] = [];
        const handler = async ({ data }: { data: string }): Promise<string> => {
          handled.push(data);
          return 'answer';
        };
        const service = other.serve(subject, handler, { replyUnder: '_INBOX_inside' });
        const [inside, beside] = [await world.connect('_INBOX_inside'), await world.connect('_INBOX_inside_not')];
        await other.flush();
        expect((await inside.request(subject, 'inside', options)).data).toBe('answer');
        for (const outsider of [bus, beside]) {
          expect(await codeOf(outsider.request(subject, 'outside', { timeoutMs: 100 }))).toBe('timeout');
        }
        bus.emit(subject, 'without a reply');
        await bus.flush();
        expect((await inside.request(subject, 'again', options)).data).toBe('answer');
        expect(handled).toEqual(['inside', 'again']);
        await Promise.all([service.stop(), inside.close(), beside.close()]);
      });

      it('are heard when emitted, without a reply', async () => {
        const subject = fresh();
        const heard: string[] = [];
        const service = other.serve(subject, async (request) => {
          heard.push(request.data);
          return 'nobody wants this';
        });
        await other.flush();
        bus.emit(subject, 'hello');
        await until('it is heard', () => heard.length > 0);
        expect(heard).toEqual(['hello']);
        await service.stop();
      });

      it('and stored messages are heard by everyone who subscribes, until they stop', async () => {
        const s = await stream();
        const heard: string[] = [];
        const hear = (who: string) => (message: { subject: string; data: string }) => {
          heard.push(`${who} ${message.subject} ${message.data}`);
        };
        const first = other.subscribe(`${s.subject}.*`, hear('first'));
        const second = bus.subscribe(`${s.subject}.a`, hear('second'));
        await Promise.all([bus.flush(), other.flush()]);
        expect((await bus.publish(`${s.subject}.a`, '1')).seq).toBe(1);
        await until('both hear it', () => heard.length === 2);
        await second.stop();
        await bus.publish(`${s.subject}.a`, '2');
        await until('one hears the next', () => heard.length === 3);
        expect(new Set(heard)).toEqual(
          new Set([`first ${s.subject}.a 1`, `first ${s.subject}.a 2`, `second ${s.subject}.a 1`]),
        );
        await first.stop();
      });

      it('and their replies are refused when too large', async () => {
        const subject = fresh();
        const service = other.serve(subject, async () => 'x'.repeat(HUGE));
        await other.flush();
        expect(await codeOf(bus.request(subject, 'x'.repeat(HUGE), options))).toBe('too_large');
        expect(await codeOf(bus.request(subject, '', options))).toBe('too_large');
        await service.stop();
      });
    });

    describe('following a stream', () => {
      it('brings what is stored, then what comes, in order, from a sequence on', async () => {
        const s = await stream();
        for (const data of ['1', '2', '3']) await bus.publish(`${s.subject}.a`, data);
        const heard: StoredMessage[] = [];
        const following = other.follow(s.name, `${s.subject}.>`, 2, { onMessage: (message) => heard.push(message) });
        await until('what is stored came', () => heard.length === 2);
        for (const data of ['4', '5']) await bus.publish(`${s.subject}.b`, data);
        await until('what was published came', () => heard.length === 4);
        expect(heard.map(({ seq, data }) => `${seq} ${data}`)).toEqual(['2 2', '3 3', '4 4', '5 5']);
        const stored = await bus.bySequence(s.name, 4);
        expect(heard[2]).toMatchObject({ subject: `${s.subject}.b`, at: stored?.at, headers: {} });
        await following.stop();
        await bus.publish(`${s.subject}.a`, '6');
        await bus.flush();
        expect(heard).toHaveLength(4);
      });

      it('brings more than any batch holds, to everyone alike, as several clients write', async () => {
        const s = await stream();
        const heard: number[][] = [[], []];
        const follows = [bus, other].map((who, i) =>
          who.follow(s.name, '>', 1, { onMessage: ({ seq }) => heard[i]?.push(seq) }),
        );
        const writes = Array.from({ length: 1_000 }, (_, i) => (i % 2 ? bus : other).publish(`${s.subject}.a`, ''));
        await drive(Promise.all(writes));
        await until('all came to all', () => heard.every((all) => all.length === 1_000));
        const all = Array.from({ length: 1_000 }, (_, i) => i + 1);
        expect(heard).toEqual([all, all]);
        await Promise.all(follows.map((one) => one.stop()));
      });

      it('leaves out what the filter does not match and what was removed', async () => {
        const s = await stream();
        for (const name of ['a', 'b', 'a', 'a']) await bus.publish(`${s.subject}.${name}`, '');
        await bus.remove(s.name, { seq: 3, subject: `${s.subject}.a`, data: '' });
        const heard: number[] = [];
        const following = bus.follow(s.name, `${s.subject}.a`, 1, { onMessage: ({ seq }) => heard.push(seq) });
        await until('the last one came', () => heard.includes(4));
        expect(heard).toEqual([1, 4]);
        await following.stop();
      });

      it('waits for a stream that is not there yet', async () => {
        const heard: string[] = [];
        const name = `S${count + 1}`;
        const following = other.follow(name, '>', 1, { onMessage: ({ data }) => heard.push(data) });
        const s = await stream();
        expect(s.name).toBe(name);
        await bus.publish(`${s.subject}.a`, 'came');
        await until('it is heard', () => heard.length === 1);
        await following.stop();
      });

      it('ends when the bus is closed', async () => {
        const s = await stream();
        const mine = await world.connect();
        const heard: string[] = [];
        const following = mine.follow(s.name, '>', 1, { onMessage: ({ data }) => heard.push(data) });
        await bus.publish(`${s.subject}.a`, 'before');
        await until('it is heard', () => heard.length === 1);
        await drive(mine.close());
        await bus.publish(`${s.subject}.a`, 'after');
        await drive(following.stop());
        expect(heard).toEqual(['before']);
      });
    });

    describe('closing', () => {
      it('ends what is pending and refuses what comes after', async () => {
        const { spec, subject } = await queueOn();
        const mine = await world.connect();
        const silent = other.serve(`${subject}x`, async () => null);
        await other.flush();
        const queue = await mine.queue(spec);
        const pending = [
          codeOf(mine.request(`${subject}x`, '', { timeoutMs: 60_000 })),
          codeOf(queue.pull(1, 60_000, () => undefined, new AbortController().signal)),
        ];
        await mine.flush();
        expect(mine.connected).toBe(true);
        await drive(mine.close());
        expect(await Promise.all(pending)).toEqual(['closed', 'closed']);
        expect(mine.connected).toBe(false);
        expect(await codeOf(mine.publish(`${subject}.a`, ''))).toBe('closed');
        expect(await codeOf(mine.request(`${subject}x`, '', { timeoutMs: 100 }))).toBe('closed');
        expect(await codeOf(mine.last(spec.stream, `${subject}.a`))).toBe('closed');
        expect(await codeOf(queue.pull(1, 100, () => undefined, new AbortController().signal))).toBe('closed');
        expect(() => mine.emit(`${subject}.a`, '')).not.toThrow();
        await mine.close();
        await silent.stop();
      });
    });
  });
}
