import { describe, expect, it } from 'vitest';
import { AppError } from '../../src/core/errors.ts';
import type { Bus, IncomingRequest, StoredMessage } from '../../src/ports/bus.ts';
import { HeardOrders, STORED_WITHIN_MS } from '../../src/runtime/heard-orders.ts';
import { Cluster, chain, recordingLog } from './support.ts';

/** Orders that a node hears before it can read them, and those that nobody ever can. */

const AGENT = { name: 'a', version: '2', model: 'plan' };
const KILL = JSON.stringify({ v: 1, mode: 'kill', by: 'olga', why: 'a test' });
const REVIVE = JSON.stringify({ v: 1, mode: 'revive', by: 'mallory', why: 'a test' });

/** A node whose ear can be lied to, and whose readings of the switches can be held up. */
class Ear {
  #hear: (message: IncomingRequest) => void = () => {};
  #open: Promise<void> = Promise.resolve();
  #release = () => {};
  #breaks = false;

  readonly through = (bus: Bus): Bus =>
    new Proxy(bus, {
      get: (target, key) => {
        if (key === 'subscribe') return this.#subscribe(target);
        if (key === 'last') return this.#last(target);
        if (key === 'scan') return this.#scan(target);
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });

  /** As if somebody had published what the stream never stores. */
  tell(subject: string, data: string): void {
    this.#hear({ subject, data, headers: {} });
  }

  holdReadings(): void {
    this.#open = new Promise((resolve) => {
      this.#release = resolve;
    });
  }

  release(): void {
    this.#release();
  }

  /** The next reading of several orders ends in an error behind the first. */
  breakReading(): void {
    this.#breaks = true;
  }

  #scan(bus: Bus): Bus['scan'] {
    const take = () => this.#breaks;
    const broken = () => {
      this.#breaks = false;
    };
    return async function* (stream, filter, options) {
      for await (const message of bus.scan(stream, filter, options)) {
        yield message;
        if (!filter.includes('.switch.') || !take()) continue;
        broken();
        throw new AppError('unavailable', 'the reading broke off');
      }
    };
  }

  #subscribe(bus: Bus): Bus['subscribe'] {
    return (subject, handler) => {
      if (subject.includes('.switch.')) this.#hear = handler;
      return bus.subscribe(subject, handler);
    };
  }

  #last(bus: Bus): Bus['last'] {
    return async (stream, subject, options): Promise<StoredMessage | null> => {
      if (subject.includes('.switch.')) await this.#open;
      return bus.last(stream, subject, options);
    };
  }
}

async function listening() {
  const cluster = new Cluster(AGENT);
  const ear = new Ear();
  const log = recordingLog();
  cluster.tools.add('slow', () => new Promise((resolve) => void cluster.clock.after(200, () => resolve('done'))));
  const node = await cluster.node('n1', { through: ear.through, log });
  const said = (event: string) => log.lines.filter((line) => line.event === event);
  const calling = (times: number) => cluster.until('call', async () => cluster.tools.calls.length >= times, 60_000, 10);
  return { cluster, ear, said, calling, node };
}

describe('an order that is heard', () => {
  it.each(['global', 'agent:a', 'agent:a@2', 'user:u', 'tool:slow', 'model:plan'])(
    'stops what would begin in the scope %s before it can be read, and is carried out when it is',
    async (scope) => {
      const { cluster, ear, said, calling } = await listening();
      await cluster.submit(chain(5, 'slow'), 'a', 'u');
      await calling(1);
      ear.holdReadings();
      await cluster.client.publish(cluster.subjects.switchOf(scope), KILL);
      await cluster.clock.advance(5_000);
      expect(cluster.tools.calls).toHaveLength(1);
      expect(said('switch.heard')).toMatchObject([{ fields: { scope, mode: 'kill', by: 'olga' } }]);
      expect(said('switch.set')).toEqual([]);
      ear.release();
      const { code } = await cluster.result();
      expect(code === 'killed').toBe(!/tool|model/.test(scope));
      expect(cluster.tools.calls).toHaveLength(1);
      expect(said('switch.not_stored')).toEqual([]);
    },
  );

  it.each(['kill', 'pause'])(
    'and is not stored holds for a moment, aborts and ends nothing, and is lifted by the readings: %s',
    async (mode) => {
      const { cluster, ear, said, calling } = await listening();
      await cluster.submit(chain(3, 'slow'), 'a', 'u');
      await calling(1);
      const at = cluster.clock.now();
      ear.tell(cluster.subjects.switchOf('agent:a'), mode);
      await cluster.clock.advance(STORED_WITHIN_MS - 50);
      expect(cluster.tools.calls).toHaveLength(1);
      expect(cluster.tools.calls[0]?.signal.aborted).toBe(false);
      await calling(2);
      expect(cluster.clock.now() - at).toBeLessThan(2 * STORED_WITHIN_MS + 50);
      expect(said('switch.not_stored')).toMatchObject([{ fields: { scope: 'agent:a', mode } }]);
      expect(await cluster.result()).toMatchObject({ code: 'completed' });
      const run = cluster.tools.calls[0]?.run ?? '';
      const events = (await cluster.entries(run)).flatMap((entry) => entry.events.map(({ type }) => type));
      expect(events).not.toContain('kill');
      expect(events).not.toContain('pause');
    },
  );

  it('holds on while the switches cannot be read', async () => {
    const { cluster, ear, calling } = await listening();
    await cluster.submit(chain(3, 'slow'), 'a', 'u');
    await calling(1);
    ear.holdReadings();
    ear.tell(cluster.subjects.switchOf('user:u'), 'kill');
    await cluster.clock.advance(8_000);
    expect(cluster.tools.calls).toHaveLength(1);
    ear.release();
    expect(await cluster.result()).toMatchObject({ code: 'completed' });
  });

  it('revives nothing before it is read', async () => {
    const { cluster, ear, said, calling } = await listening();
    await cluster.client.publish(cluster.subjects.switchOf('agent:a'), 'pause');
    await cluster.until('pause', async () => said('switch.set').length === 1, 10_000, 10);
    await cluster.submit(chain(1, 'slow'), 'a', 'u');
    ear.tell(cluster.subjects.switchOf('agent:a'), REVIVE);
    await cluster.clock.advance(10_000);
    expect(cluster.tools.calls).toEqual([]);
    await cluster.client.publish(cluster.subjects.switchOf('agent:a'), REVIVE);
    await calling(1);
  });

  it('is carried out at once, though the reading breaks off right behind it', async () => {
    const { cluster, ear, calling } = await listening();
    let aborted = 0;
    cluster.tools.add('hangs', (_args, { signal }) => {
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          aborted++;
          reject(new AppError('aborted', 'told to stop'));
        });
      });
    });
    await cluster.submit(chain(1, 'hangs'), 'a', 'u');
    await calling(1);
    ear.holdReadings();
    for (const scope of ['agent:a', 'user:other']) {
      await cluster.client.publish(cluster.subjects.switchOf(scope), KILL);
    }
    ear.breakReading();
    ear.release();
    await cluster.until('abort', async () => aborted === 1, 1_000, 10);
    expect(await cluster.result()).toMatchObject({ code: 'killed' });
  });

  it('does not count as known: who waits for the acknowledgement waits for the reading', async () => {
    const { cluster, ear, said, node } = await listening();
    ear.holdReadings();
    const { seq } = await cluster.client.publish(cluster.subjects.switchOf('agent:a'), KILL);
    await cluster.clock.advance(3_000);
    expect(said('switch.heard')).toHaveLength(1);
    const presence = async () => {
      const [last] = await cluster.last('PRESENT', cluster.subjects.presence('n1'), (text) => JSON.parse(text));
      return (last as { revision: number }).revision;
    };
    expect(await presence()).toBeLessThan(seq);
    ear.release();
    await cluster.until('reading', async () => (await presence()) === seq);
    expect(node.deps.switches.revision).toBe(seq);
  });
});

describe('orders that were heard', () => {
  const subject = 'proctor.switch.agent.a';

  it('hold until each of them is read, the same one given twice until it is read twice', () => {
    const heard = new HeardOrders();
    expect(heard.hear(subject, 'kill', 'agent:a', 0)).not.toBeNull();
    expect(heard.hear(subject, 'kill', 'agent:a', 1)).toBeNull();
    heard.read(subject, 'kill');
    expect(heard.holds(['global', 'agent:a'])).toBe(true);
    heard.read(subject, 'kill');
    expect(heard.holds(['agent:a'])).toBe(false);
    expect(heard.unread).toBe(false);
  });

  it('hold when they cannot be read as an order, and not when they drain, revive or name no scope', () => {
    const heard = new HeardOrders();
    expect(heard.hear(subject, '{"mode":', 'agent:a', 0)).toMatchObject({ order: { mode: 'kill' } });
    for (const [body, scope] of [
      ['drain', 'agent:b'],
      [REVIVE, 'agent:b'],
      ['kill', null],
    ] as const) {
      expect(heard.hear(`${subject}.${body}`, body, scope, 0)).toBeNull();
    }
    expect(heard.holds(['agent:b'])).toBe(false);
    expect(heard.unread).toBe(true);
  });

  it('are given up by a reading that began late enough, and are bounded in number', () => {
    const heard = new HeardOrders();
    for (let i = 0; i < 2_000; i++) heard.hear(subject, `kill ${i}`, 'agent:a', 10);
    expect(heard.giveUp(10 + STORED_WITHIN_MS - 1)).toEqual([]);
    expect(heard.giveUp(10 + STORED_WITHIN_MS)).toHaveLength(1_000);
    expect(heard.holds(['agent:a'])).toBe(false);
  });
});
