import { setTimeout as delay } from 'node:timers/promises';
import type { NatsBus } from '../../src/adapters/nats/bus.ts';
import type { StatusEvent } from '../../src/core/status.ts';
import { Subjects } from '../../src/core/subjects.ts';
import type { Child } from '../support/children.ts';
import { type Drill, PREFIX, withDrill } from '../support/drill.ts';
import { quantile, round } from '../support/numbers.ts';
import { cpuMsFine, rssMb } from '../support/proc.ts';
import { progress } from '../support/report.ts';
import { AGENT, type ParkedNodeOptions } from './wire.ts';

/**
 * What runs cost a node that wait for a person or a far moment: memory, CPU and start of a fresh process beside none of
 * them, and beside all; then how soon single ones are awake: from the publishing of what wakes a run to the hearing of
 * its next journal entry or status.
 */

export interface ParkedDrillOptions {
  parked: number;
  wakes: number;
  seconds: number;
}

const USERS = 20;
/** Runs that the process which parks them has in work at once. */
const SLOTS = 64;
/** How long parking may stand still before it is given up, milliseconds. */
const PATIENCE_MS = 60_000;
/** How long a fresh process gets to calm down before it is measured, milliseconds. */
const SETTLE_MS = 2_000;
const WAKE_MS = 10_000;

interface Idle {
  startMs: number;
  rssMb: number;
  cpuMsPerSecond: number;
}

/** Where a run waits: for the answer to call `c`, or for a moment. */
interface Waiting {
  run: string;
  c: string | undefined;
}

export function parkedDrill(options: ParkedDrillOptions) {
  return withDrill((drill) => parkedOn(drill, options));
}

async function parkedOn({ server, bus, start: startNode }: Drill, { parked, wakes, seconds }: ParkedDrillOptions) {
  const start = (name: string, slots: number): Promise<Child> =>
    startNode(import.meta.url, './node', { url: server.url, prefix: PREFIX, name, slots } satisfies ParkedNodeOptions);
  /** Its figures, and the process, which goes on. */
  const fresh = async (name: string): Promise<Idle & { child: Child }> => {
    const began = performance.now();
    const child = await start(name, 10);
    const startMs = performance.now() - began;
    await delay(SETTLE_MS);
    const [cpuBefore, from] = [cpuMsFine(child.pid), performance.now()];
    await delay(seconds * 1_000);
    const cpuMsPerSecond = ((cpuMsFine(child.pid) - cpuBefore) * 1_000) / (performance.now() - from);
    return { child, startMs, rssMb: rssMb(child.pid), cpuMsPerSecond };
  };
  // The first of all makes the streams; it is not measured.
  const parker = await start('parker', SLOTS);
  await parker.end('SIGKILL');
  const without = await fresh('without');
  await without.child.end('SIGKILL');

  const second = await start('parker-2', SLOTS);
  const waiting = await park(bus, parked);
  await second.end('SIGKILL');
  progress(`${waiting.length} runs parked`);

  const beside = await fresh('with');
  const wakeMs = await wakeSome(bus, waiting, wakes);
  return {
    parked: waiting.length,
    waitForPerson: waiting.filter(({ c }) => c !== undefined).length,
    rssMbWithout: round(without.rssMb),
    rssMbWith: round(beside.rssMb),
    cpuMsPerSecondWithout: round(without.cpuMsPerSecond),
    cpuMsPerSecondWith: round(beside.cpuMsPerSecond),
    startMsWithout: round(without.startMs),
    startMsWith: round(beside.startMs),
    wakes: wakeMs.filter(Number.isFinite).length,
    wakeP50Ms: round(quantile(wakeMs, 0.5)),
    wakeP99Ms: round(quantile(wakeMs, 0.99)),
  };
}

/** Submits so many tasks, every other one for tomorrow, and resolves with the runs when all are parked. */
async function park(bus: NatsBus, count: number): Promise<Waiting[]> {
  const subjects = new Subjects(PREFIX);
  const parked = new Map<string, Waiting>();
  const listening = bus.subscribe(`${subjects.prefix}.evt.>`, ({ data }) => {
    const { run, state, node, requires } = JSON.parse(data) as StatusEvent;
    if (node !== undefined || (state !== 'waiting.person' && state !== 'idle.scheduled')) return;
    parked.set(run, { run, c: requires?.c });
  });
  await bus.flush();
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString();
  for (let sent = 0; sent < count; ) {
    const some = Array.from({ length: Math.min(500, count - sent) }, () => {
      const task = { input: 'x', ...(sent % 2 === 0 ? {} : { not_before: tomorrow }) };
      return bus.publish(subjects.task(AGENT, `u${sent++ % USERS}`), JSON.stringify(task));
    });
    await Promise.all(some);
  }
  for (let before = -1, stood = 0; parked.size < count && stood < PATIENCE_MS; stood += 100) {
    if (parked.size > before) [before, stood] = [parked.size, 0];
    await delay(100);
  }
  await listening.stop();
  return [...parked.values()];
}

/** Wakes runs all over, one after the other: who waits for a person is answered, who waits for a moment is cancelled. */
async function wakeSome(bus: NatsBus, waiting: Waiting[], wakes: number): Promise<number[]> {
  const subjects = new Subjects(PREFIX);
  const awake = new Map<string, () => void>();
  const hear = ({ subject }: { subject: string }): void => {
    for (const token of subject.split('.')) awake.get(token)?.();
  };
  const listening = [`${PREFIX}.jrn.>`, `${PREFIX}.evt.>`].map((subject) => bus.subscribe(subject, hear));
  await bus.flush();
  const took: number[] = [];
  for (let i = 0; i < Math.min(wakes, waiting.length); i++) {
    const { run, c } = waiting[Math.floor((i * waiting.length) / wakes)] ?? { run: '', c: undefined };
    const woken = new Promise<void>((resolve) => awake.set(run, resolve));
    const said = { v: 1, by: 'bench', why: 'a drill' };
    const kind = c === undefined ? 'cancel' : 'resolve';
    const body = c === undefined ? said : { ...said, c, verdict: 'done', result: 'that one' };
    const began = performance.now();
    void bus.publish(subjects.inbox({ run, kind, id: `wake-${i}` }), JSON.stringify(body));
    const late = delay(WAKE_MS, 'late' as const, { ref: false });
    took.push((await Promise.race([woken, late])) === 'late' ? Number.POSITIVE_INFINITY : performance.now() - began);
    awake.delete(run);
  }
  await Promise.all(listening.map((one) => one.stop()));
  return took;
}
