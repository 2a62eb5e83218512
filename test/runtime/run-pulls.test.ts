import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryBroker } from '../../src/adapters/memory/memory-broker.ts';
import { MemoryBus } from '../../src/adapters/memory/memory-bus.ts';
import { SimulatedClock } from '../../src/adapters/memory/simulated-clock.ts';
import { laneQueue } from '../../src/core/run-queues.ts';
import { streamsOf } from '../../src/core/streams.ts';
import { Subjects } from '../../src/core/subjects.ts';
import type { Delivery } from '../../src/ports/bus.ts';
import { RunPulls } from '../../src/runtime/run-pulls.ts';
import { silent } from './support.ts';

/** What a node does with what comes while it has no place, in simulated time. */

const LEASE_MS = 6_000;
const QUIET = 2;
const BUSY = 1;

let clock: SimulatedClock;
let broker: MemoryBroker;
let client: MemoryBus;
let nodes: Node[];
const subjects = new Subjects();
const spec = (lane: number) => laneQueue(subjects, { agent: 'a', priority: 'normal', lane }, LEASE_MS);

/** The pulls of a node, whose places the test gives and takes. */
class Node {
  room = 0;
  /** How far its clock is ahead: it stood still for so long, and none of its timers fired. */
  stoodMs = 0;
  readonly got: Delivery[] = [];
  readonly pulls: RunPulls;
  private readonly bus: MemoryBus;

  constructor(name: string) {
    this.bus = new MemoryBus(broker, name);
    this.pulls = new RunPulls({
      agent: 'a',
      slots: 4,
      room: () => this.room,
      roomOf: () => this.room,
      onDelivery: (delivery) => {
        this.room--;
        this.got.push(delivery);
      },
      waitMs: 2_000,
      leaseMs: LEASE_MS,
      onFault: (thrown) => {
        throw thrown;
      },
      clock: { now: () => clock.now() + this.stoodMs, after: (ms, action) => clock.after(ms, action) },
      log: silent,
    });
  }

  async open(...lanes: number[]): Promise<this> {
    for (const lane of lanes) {
      this.pulls.add({ agent: 'a', priority: 'normal', lane }, await this.bus.queue(spec(lane)));
    }
    return this;
  }

  free(places: number): void {
    this.room += places;
    this.pulls.roomFreed();
  }

  get runs(): string[] {
    return this.got.map(({ data }) => data);
  }
}

beforeEach(async () => {
  clock = new SimulatedClock();
  broker = new MemoryBroker({ clock });
  client = new MemoryBus(broker, 'client');
  nodes = [];
  await client.ensureStream(streamsOf(subjects).queue);
  for (const lane of [BUSY, QUIET]) await client.ensureQueue(spec(lane));
});

afterEach(async () => {
  const stopped = Promise.all(nodes.map((one) => one.pulls.stop()));
  await clock.advance(10_000);
  await stopped;
});

async function node(name: string): Promise<Node> {
  const made = await new Node(name).open(BUSY, QUIET);
  nodes.push(made);
  return made;
}

const queue = (lane: number, run: string) => client.publish(subjects.activation('a', 'normal', lane, run), run);

/** A node whose long pulls are open still, and which has no place any more. */
async function full(name: string): Promise<Node> {
  const made = await node(name);
  made.free(1);
  await clock.advance(10);
  made.room = 0;
  return made;
}

/** A node that holds the run of the quiet lane: it came, went back, and came again. */
async function holding(): Promise<Node> {
  const made = await full('n1');
  await queue(QUIET, 'quiet');
  // Its pull is open again when the run comes back, and its place is gone by then.
  await clock.advance(10);
  made.free(1);
  await clock.advance(5);
  made.room = 0;
  await clock.advance(50);
  expect(await elsewhere(100)).toEqual([]);
  return made;
}

/** What others are handed of the quiet lane now. */
async function elsewhere(ms: number): Promise<string[]> {
  const got: string[] = [];
  const other = await new MemoryBus(broker, 'other').queue(spec(QUIET));
  const pulled = other.pull(1, ms, ({ data }) => void got.push(data), new AbortController().signal);
  await clock.advance(ms);
  await pulled;
  return got;
}

describe('what comes while no place is free', () => {
  it('goes to a node that has one', async () => {
    const one = await full('n1');
    const other = await node('n2');
    other.free(1);
    await clock.advance(10);
    await queue(QUIET, 'quiet');
    await clock.advance(100);
    expect([one.runs, other.runs]).toEqual([[], ['quiet']]);
  });

  it('is held when nobody had one, and has the next place before a lane in which many wait', async () => {
    const made = await holding();
    for (let i = 0; i < 20; i++) await queue(BUSY, `busy ${i}`);
    made.free(2);
    await clock.advance(10);
    made.free(1);
    await clock.advance(10);
    expect(made.runs.slice(0, 3)).toContain('quiet');
    expect(made.runs.some((run) => run.startsWith('busy'))).toBe(true);
  });

  it('is held at once when runs wait in another lane, as nobody has a place then', async () => {
    const made = await node('n1');
    for (let i = 0; i < 20; i++) await queue(BUSY, `busy ${i}`);
    made.free(3);
    await clock.advance(50);
    expect(made.runs).toEqual(['busy 0', 'busy 1', 'busy 2']);
    await queue(QUIET, 'quiet');
    expect(await elsewhere(100)).toEqual([]);
    made.free(1);
    await clock.advance(10);
    made.free(1);
    await clock.advance(10);
    expect(made.runs.slice(3)).toContain('quiet');
  });

  it('is held for no longer than a second: another node may have a place by then', async () => {
    const made = await holding();
    expect(await elsewhere(1_100)).toEqual(['quiet']);
    made.free(1);
    await clock.advance(100);
    expect(made.runs).toEqual([]);
  });

  it('goes back at once when runs are not asked for any more', async () => {
    const made = await holding();
    made.pulls.interrupt();
    expect(await elsewhere(50)).toEqual(['quiet']);
  });

  it('goes back at once when the node stops', async () => {
    const made = await holding();
    void made.pulls.stop();
    expect(await elsewhere(50)).toEqual(['quiet']);
  });

  it('comes to others when the node that holds it dies or stands still, and that one leaves it alone', async () => {
    const made = await holding();
    made.stoodMs = LEASE_MS;
    made.free(1);
    await clock.advance(50);
    expect(made.runs).toEqual([]);
    made.room = 0;
    made.pulls.interrupt();
    expect(await elsewhere(1_000)).toEqual([]);
    expect(await elsewhere(LEASE_MS)).toEqual(['quiet']);
  });
});
