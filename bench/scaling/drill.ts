import { setTimeout as delay } from 'node:timers/promises';
import type { NatsBus } from '../../src/adapters/nats/bus.ts';
import { laneOf, Subjects } from '../../src/core/subjects.ts';
import type { Child } from '../support/children.ts';
import { PREFIX, withDrill } from '../support/drill.ts';
import { median, quantile, round } from '../support/numbers.ts';
import { progress } from '../support/report.ts';
import { AGENT, type ScalingNodeOptions } from './wire.ts';

/**
 * Several nodes beside each other on runs that wait: steps a second by number of nodes. And fairness: how soon the one
 * task of a user begins while those of another fill the queue.
 */

export interface ScalingOptions {
  counts: number[];
  /** Runs that a node has in work: few enough that all nodes together do not fill the machine. */
  slots: number;
  seconds: number;
  /** Tasks of the one user. */
  many: number;
  /** Times that another user comes with one. */
  ones: number;
}

const WARMUP_MS = 2_000;
/** Nodes while users are compared. */
const FAIR_NODES = 2;
/** The one whose tasks fill the queue. */
const MANY = 'many';
const PATIENCE_MS = 120_000;
const START_MS = 30_000;

interface Cluster {
  bus: NatsBus;
  nodes: Child[];
}

export async function scalingDrill({ counts, slots, seconds, many, ones }: ScalingOptions) {
  const nodes: Record<string, { stepsPerSecond: number; efficiency: number }> = {};
  let alone = 0;
  for (const count of counts) {
    const stepsPerSecond = await withNodes(count, slots, (cluster) => throughput(cluster, slots, seconds));
    if (alone === 0) alone = stepsPerSecond / count;
    nodes[String(count)] = {
      stepsPerSecond: round(stepsPerSecond),
      efficiency: round(stepsPerSecond / count / alone),
    };
    progress(`${count} nodes: ${Math.round(stepsPerSecond)} steps a second`);
  }
  const fair = await withNodes(FAIR_NODES, slots, (cluster) => oneBesideMany(cluster, many, ones));
  return { slotsPerNode: slots, ...fair, nodes };
}

function withNodes<T>(count: number, slots: number, work: (cluster: Cluster) => Promise<T>): Promise<T> {
  return withDrill(async ({ server, bus, start }) => {
    const nodes: Child[] = [];
    for (let i = 0; i < count; i++) {
      const options: ScalingNodeOptions = { url: server.url, prefix: PREFIX, name: `n${i}`, slots };
      nodes.push(await start(import.meta.url, './node', options));
    }
    return work({ bus, nodes });
  });
}

/** Steps a second while more runs wait than there are places. */
async function throughput({ bus, nodes }: Cluster, slots: number, seconds: number): Promise<number> {
  const subjects = new Subjects(PREFIX);
  let submitted = 0;
  let ended = 0;
  const submit = (): void => {
    for (; submitted - ended < nodes.length * slots * 3; submitted++) {
      void bus.publish(subjects.task(AGENT, `u${submitted % 20}`), '{"input":"x"}');
    }
  };
  const listening = bus.subscribe(`${subjects.prefix}.res.>`, () => {
    ended++;
    submit();
  });
  await bus.flush();
  submit();
  await delay(WARMUP_MS);
  const before = await calls(nodes);
  const from = performance.now();
  await delay(seconds * 1_000);
  const after = await calls(nodes);
  const passed = (performance.now() - from) / 1_000;
  await listening.stop();
  return (after - before) / passed;
}

async function calls(nodes: Child[]): Promise<number> {
  const counts = await Promise.all(
    nodes.map((node) => {
      const said = node.until((line) => /^calls (\d+)$/.exec(line)?.[1]);
      node.tell({ calls: true });
      return said;
    }),
  );
  return counts.reduce((sum, count) => sum + Number(count), 0);
}

/** From the publishing of the one task to the claim of its run, while those of another user fill the queue. */
async function oneBesideMany({ bus }: Cluster, many: number, ones: number) {
  const subjects = new Subjects(PREFIX);
  // Users of one lane share its turns.
  const others = Array.from({ length: ones * 2 + 20 }, (_, i) => `one${i}`).filter(
    (user) => laneOf(user) !== laneOf(MANY),
  );
  const claims = new Claims(bus, subjects);
  await bus.flush();
  const submit = (user: string) => bus.publish(subjects.task(AGENT, user), '{"input":"x"}');
  for (let sent = 0; sent < many; sent += 500) {
    await Promise.all(Array.from({ length: Math.min(500, many - sent) }, () => submit(MANY)));
  }
  // Whoever comes while the tasks of the other are still being accepted comes after those.
  const [behind = '', ...later] = others;
  const rightBehindMs = await claims.timed(behind, () => submit(behind));
  const until = performance.now() + PATIENCE_MS;
  while (claims.accepted < many + 1 && performance.now() < until) await delay(50);
  const queued = claims.accepted - claims.claimed;
  const took: number[] = [];
  for (const user of later.slice(0, ones)) took.push(await claims.timed(user, () => submit(user)));
  const stillQueued = claims.accepted - claims.claimed;
  await claims.stop();
  return {
    queued,
    stillQueued,
    ones: took.filter(Number.isFinite).length,
    oneStartsP50Ms: round(median(took)),
    oneStartsMaxMs: round(quantile(took, 1)),
    rightBehindMs: round(rightBehindMs),
  };
}

/** Hears the journals: which runs of whom were accepted, and which of them a node has claimed for the first time. */
class Claims {
  accepted = 0;
  claimed = 0;
  private readonly users = new Map<string, string>();
  private readonly waiting = new Map<string, () => void>();
  private readonly listening: { stop(): Promise<void> };

  constructor(bus: NatsBus, subjects: Subjects) {
    this.listening = bus.subscribe(`${subjects.prefix}.jrn.>`, ({ subject, data }) => {
      const [, , , run = '', n] = subject.split('.');
      if (n === '0') {
        this.accepted++;
        const { events } = JSON.parse(data) as { events: { type: string; user?: string }[] };
        this.users.set(run, events.find(({ type }) => type === 'accepted')?.user ?? '');
      } else if (n === '1') {
        this.claimed++;
        this.waiting.get(this.users.get(run) ?? '')?.();
      }
    });
  }

  /** How long it takes until the one run of the user is claimed; infinite when it takes too long. */
  async timed(user: string, submit: () => Promise<unknown>): Promise<number> {
    const claimed = new Promise<void>((resolve) => this.waiting.set(user, resolve));
    const began = performance.now();
    void submit();
    const late = delay(START_MS, 'late' as const, { ref: false });
    const first = await Promise.race([claimed, late]);
    this.waiting.delete(user);
    return first === 'late' ? Number.POSITIVE_INFINITY : performance.now() - began;
  }

  stop(): Promise<void> {
    return this.listening.stop();
  }
}
