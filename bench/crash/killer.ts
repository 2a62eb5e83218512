import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { FAULT_POINTS, type FaultPoint } from '../../src/runtime/fault-points.ts';
import type { Child } from '../support/children.ts';
import type { Random } from '../support/random.ts';
import type { Lane } from './lane.ts';
import type { Fault } from './node.ts';
import { leadsTo, SCENARIO_NAMES } from './scenarios.ts';

/** What was done so far, over all lanes. */
export interface Tally {
  crashes: number;
  nodeKills: number;
  serverKills: number;
  zombies: number;
  /** Deaths at each fault point; `outside` is one between two points. */
  perPoint: Record<string, number>;
  /** How often each point was aimed at. */
  aimed: Record<string, number>;
}

export interface KillerOptions {
  /** Crashes altogether. */
  crashes: number;
  /** Shares of the crashes that are a killed server, and a node that stands still for longer than its lease. */
  serverKills: number;
  zombies: number;
  points: readonly FaultPoint[];
  /** Hears of each crash. */
  tell: (line: string) => void;
}

/** How long a node may take to reach its point before any point will do, milliseconds. */
const PATIENCE_MS = 2_500;
/** Open runs above which no more are submitted. */
const MAX_OPEN = 60;

/** Lets nodes die one after the other until the tally is full. */
export async function killNodes(lane: Lane, random: Random, tally: Tally, options: KillerOptions): Promise<void> {
  let node = await lane.node();
  while (tally.crashes < options.crashes) {
    tally.crashes++;
    if (!node.child.alive) node = await lane.node();
    const dice = random.next();
    if (dice < options.serverKills) {
      await feed(lane, random, options.points[0] ?? 'entry.written');
      await delay(random.int(200));
      await lane.server.kill9();
      tally.serverKills++;
      options.tell(`server of ${node.name} is killed`);
      await delay(random.int(300));
      await lane.server.start();
    } else if (dice < options.serverKills + options.zombies) {
      await feed(lane, random, 'entry.written');
      node = await zombie(lane, node, random);
      tally.zombies++;
      options.tell(`${node.name} follows a zombie`);
    } else {
      const point = leastAimedAt(tally, random, options.points);
      tally.aimed[point] = (tally.aimed[point] ?? 0) + 1;
      const began = performance.now();
      const hit = await killAt(lane, node, point, random);
      tally.perPoint[hit] = (tally.perPoint[hit] ?? 0) + 1;
      tally.nodeKills++;
      options.tell(
        `${node.name} was to die at ${point}, died at ${hit} after ${Math.round(performance.now() - began)} ms`,
      );
    }
  }
  if (!node.child.alive) await lane.node();
}

function leastAimedAt(tally: Tally, random: Random, points: readonly FaultPoint[]): FaultPoint {
  const least = Math.min(...points.map((point) => tally.aimed[point] ?? 0));
  return random.pick(points.filter((point) => (tally.aimed[point] ?? 0) === least));
}

async function feed(lane: Lane, random: Random, point: FaultPoint): Promise<void> {
  if (lane.open.length > MAX_OPEN) return;
  await lane.submit([random.pick(leadsTo(point)), random.pick(SCENARIO_NAMES), random.pick(SCENARIO_NAMES)]);
}

/** Resolves with the point at which the node died. */
async function killAt(
  lane: Lane,
  node: { child: Child; name: string },
  point: FaultPoint,
  random: Random,
): Promise<string> {
  const often = ['entry.before', 'entry.written', 'entry.folded', 'think.returned', 'call.sent', 'call.returned'];
  const fault: Fault = {
    point,
    k: 1 + random.int(often.includes(point) ? 12 : 2),
    when: random.pick(['now', 'now', 'turn', 'soon']),
  };
  node.child.tell({ fault });
  await feed(lane, random, point);
  if (!(await diedWithin(node.child, PATIENCE_MS))) {
    node.child.tell({ fault: { point, k: 1, when: 'now' } });
    await feed(lane, random, point);
    if (!(await diedWithin(node.child, PATIENCE_MS))) {
      node.child.tell({ fault: { point: 'any', k: 1 + random.int(10), when: 'now' } });
      await feed(lane, random, point);
      if (!(await diedWithin(node.child, PATIENCE_MS))) await node.child.end('SIGKILL');
    }
  }
  try {
    return readFileSync(`${lane.settings.dir}/hit-${node.name}`, 'utf8');
  } catch {
    return 'outside';
  }
}

/** A node stands still for longer than its lease while another takes its runs; then it goes on, and dies a little later. */
async function zombie(lane: Lane, node: { child: Child; name: string }, random: Random) {
  await delay(50 + random.int(250));
  node.child.process.kill('SIGSTOP');
  const second = await lane.node();
  await delay(lane.settings.leaseMs + 200 + random.int(600));
  node.child.process.kill('SIGCONT');
  await delay(200 + random.int(400));
  await node.child.end('SIGKILL');
  return second;
}

async function diedWithin(child: Child, ms: number): Promise<boolean> {
  const patience = new AbortController();
  const over = delay(ms, false, { signal: patience.signal }).catch(() => false);
  const died = await Promise.race([child.exited.then(() => true), over]);
  patience.abort();
  return died;
}

export function allPoints(names: string | undefined): FaultPoint[] {
  if (names === undefined) return [...FAULT_POINTS];
  return names.split(',').map((name) => {
    const point = FAULT_POINTS.find((one) => one === name);
    if (point === undefined) throw new Error(`no fault point ${name}; there are: ${FAULT_POINTS.join(', ')}`);
    return point;
  });
}
