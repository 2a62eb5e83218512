import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connectBus } from '../../src/app.ts';
import type { JournalEntry } from '../../src/core/journal-entry.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { Observer } from '../crash/observer.ts';
import { silent } from '../support/log.ts';
import { quantile } from '../support/numbers.ts';
import { Cluster } from './cluster.ts';
import { ownerships } from './failover.ts';
import { repeated } from './verdict.ts';
import type { CableMode } from './wire.ts';

export interface PartitionOptions {
  nodes: number;
  leaseMs: number;
  /** How long a node that cannot read the kill switches goes on (SUP-7), milliseconds. */
  staleMs: number;
  /** How it is cut off. */
  how: Exclude<CableMode, 'open'>;
  runs: number;
}

const CALLS = 24;
const PATIENCE_MS = 180_000;

/** Cuts one busy node off from the server for longer than its lease, and looks at what it does meanwhile and afterwards. */
export async function partitionDrill({ nodes, leaseMs, staleMs, how, runs }: PartitionOptions) {
  const subjects = new Subjects('drill');
  const cluster = await Cluster.open({ servers: 1, nodes, leaseMs, staleMs, breakage: 'none' });
  try {
    const { sink, servers } = cluster;
    const bus = await connectBus({ url: servers.url }, 'drill', subjects, silent);
    const observer = await Observer.open(servers.url, bus, subjects);
    const [place] = cluster.places;
    if (place === undefined) throw new Error('a drill without nodes');
    const victim = place.name;
    let submitted = 0;
    const submit = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        const moves = Array.from({ length: CALLS }, (_, move) => (move % 3 === 2 ? 'remote_idem' : 'local_idem'));
        await bus.publish(subjects.task('script', `user${submitted++ % 9}`), JSON.stringify({ input: { moves } }));
      }
    };
    const until = async (what: string, holds: () => boolean): Promise<void> => {
      const end = performance.now() + PATIENCE_MS;
      while (!holds()) {
        if (performance.now() > end) throw new Error(`waited for ${what} in vain`);
        await observer.look();
        await delay(50);
      }
    };
    const effectsOf = (from: number, to: number) =>
      sink.effects.filter((effect) => effect.from === victim && effect.at >= from && effect.at < to);
    const journals = () => [...observer.runs.keys()].map((run) => observer.entries(run));

    await submit(runs);
    await until('effects of the node', () => effectsOf(0, Date.now()).length > runs);
    await cluster.setCable(place, how);
    const cutAt = Date.now();
    await delay(Math.max(leaseMs, staleMs) + 2 * leaseMs);
    await cluster.setCable(place, 'open');
    const mendedAt = Date.now();
    await submit(runs);
    const tookAgain = () =>
      journals()
        .flatMap(ownerships)
        .some(({ node, from }) => node === victim && from > mendedAt);
    await until('all results', () => observer.results.size === submitted);
    await until('runs of the node that was away', tookAgain);
    const lostSteps = await observer.lost();

    const owned = journals().flatMap((entries) => {
      const all = ownerships(entries);
      return all.flatMap(({ node, from, to, next }, i) =>
        node === victim && from < cutAt && to > cutAt && to !== Infinity ? [{ next, by: all[i + 1]?.node }] : [],
      );
    });
    const failover = owned.flatMap(({ next }) => (next === null ? [] : [next - cutAt]));
    const last = effectsOf(cutAt, mendedAt).at(-1)?.at ?? cutAt;
    const log = readLog(join(cluster.dir, 'node.log')).filter(({ node }) => node === victim);
    const stale = log.find(({ event, at }) => event === 'switches.stale' && at > cutAt);
    const afterStale = effectsOf(stale?.at ?? cutAt, mendedAt);
    // The next call of a run wants an entry first, and none can be written.
    const perRun = new Map<string, number>();
    for (const { run } of effectsOf(cutAt, mendedAt)) perRun.set(run, (perRun.get(run) ?? 0) + 1);
    const foreign = effectsOf(cutAt, Number.POSITIVE_INFINITY).filter(
      ({ run, at }) => ownerships(observer.entries(run)).findLast(({ from }) => from <= at)?.node !== victim,
    );
    await observer.close();
    await bus.close();
    const figures = {
      how,
      staleMs,
      leaseMs,
      awayMs: mendedAt - cutAt,
      ownedRuns: owned.length,
      wentOnElsewhere: owned.filter(({ by }) => by !== undefined && by !== victim).length,
      effectsAfterFrozen: afterStale.length,
      mostEffectsOfARunAfterTheCut: Math.max(0, ...perRun.values()),
      lastEffectMs: last - cutAt,
      frozenMs: stale === undefined ? null : stale.at - cutAt,
      failoverP50Ms: quantile(failover, 0.5),
      failoverP99Ms: quantile(failover, 0.99),
      fencedRuns: log.filter(({ event }) => event === 'run.fenced').length,
      effectsWithoutOwnership: foreign.length,
      results: observer.results.size,
      nodes,
    };
    const violations = [
      ...lostSteps.map((what) => `lost: ${what}`),
      ...repeated(sink.effects, 'idem').map((what) => `repeated effect: ${what}`),
      ...journals().flatMap(entriesOfOthers),
      ...foreign.map(({ key }) => `${key} took effect by ${victim} when another node owned the run`),
    ];
    if (owned.length === 0) violations.push('the node owned no run that moved: nothing was shown');
    if (figures.wentOnElsewhere < owned.length)
      violations.push(`${owned.length - figures.wentOnElsewhere} runs of the node went on at no other`);
    for (const { key } of afterStale)
      violations.push(`${key} took effect after ${victim} said that it begins nothing new`);
    if (figures.mostEffectsOfARunAfterTheCut > 1)
      violations.push(
        `a run had ${figures.mostEffectsOfARunAfterTheCut} effects after the cut: it acted without its journal`,
      );
    if (stale === undefined) violations.push('the node did not say that it begins nothing new');
    if (figures.fencedRuns === 0) violations.push('no write of the node was refused');
    return { figures, violations };
  } finally {
    await cluster.close();
  }
}

/** Entries that were written under another claim than the newest. */
function entriesOfOthers(entries: JournalEntry[]): string[] {
  let epoch = -1;
  return entries.flatMap((entry) => {
    if (entry.events.some(({ type }) => type === 'claimed')) epoch = entry.n;
    return entry.epoch === epoch ? [] : [`entry ${entry.n} was written under claim ${entry.epoch}, not ${epoch}`];
  });
}

interface LogLine {
  at: number;
  event: string;
  node: string;
}

function readLog(file: string): LogLine[] {
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as LogLine);
}
