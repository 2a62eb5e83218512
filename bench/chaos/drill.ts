import { cpSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { connectBus } from '../../src/app.ts';
import { createOperator } from '../../src/client/operator.ts';
import { toAppError } from '../../src/core/errors.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { Observer } from '../crash/observer.ts';
import { People } from '../crash/people.ts';
import { silent } from '../support/log.ts';
import { quantile } from '../support/numbers.ts';
import { seeded } from '../support/random.ts';
import { progress } from '../support/report.ts';
import { Cluster } from './cluster.ts';
import { failovers } from './failover.ts';
import { Faults } from './faults.ts';
import { Load } from './load.ts';
import { serverLosses } from './server-losses.ts';
import { judge } from './verdict.ts';
import type { Breakage } from './wire.ts';

export interface DrillOptions {
  minutes: number;
  nodes: number;
  servers: number;
  leaderKillSeconds: number;
  seed: number;
  leaseMs: number;
  /** Tasks a second. */
  rate: number;
  /** After the last fault, how long everything may take to end, seconds. */
  settleSeconds: number;
  breakage: Breakage;
  /** Folder to keep what the nodes left behind in: what they logged as warnings and errors. */
  logs?: string | undefined;
  verbose: boolean;
}

/** Tasks without a result above which no more are submitted. */
const MOST_OPEN = 150;
/** As a node has it by default. */
const STALE_MS = 10_000;
const TELL_MS = 15_000;

/** Runs under faults; the figures, and what was promised and did not hold. */
export async function chaosDrill(options: DrillOptions) {
  const { servers, nodes, leaseMs, breakage, seed } = options;
  const subjects = new Subjects('drill');
  const cluster = await Cluster.open({ servers, nodes, leaseMs, staleMs: STALE_MS, breakage });
  try {
    const bus = await connectBus({ url: cluster.servers.url }, 'drill', subjects, silent, {
      replicas: servers,
      allowOldReplicas: true,
    });
    const observer = await Observer.open(cluster.servers.url, bus, subjects);
    const load = await Load.open(cluster.servers.url, subjects, seeded(seed * 31));
    const open = (): string[] => {
      const done = new Set([...observer.results.values()].map((result) => result.session_id));
      return [...load.accepted.keys()].filter((session) => !done.has(session));
    };
    const people = new People({
      bus,
      subjects,
      observer,
      tasks: load.tasks,
      happened: (key) => cluster.sink.happened(key),
    });
    const watching = watch(async () => {
      await observer.look();
      await people.attend();
    });
    const faults = new Faults(cluster, subjects, seeded(seed), {
      ...options,
      tell: options.verbose ? progress : () => {},
    });
    const ticker = setInterval(() => {
      progress(`${load.accepted.size} accepted, ${open().length} open; ${JSON.stringify(faults.counts())}`);
    }, TELL_MS);
    const lag = monitorEventLoopDelay({ resolution: 50 });
    lag.enable();
    const submitting = new AbortController();
    const submitted = load.run(options.rate, MOST_OPEN, () => open().length, submitting.signal);
    await faults.run();
    submitting.abort();
    await submitted;
    progress(`no more faults, ${open().length} tasks open`);
    const settling = performance.now();
    const unended = () => open().length > 0 || unendedRuns(observer).length > 0;
    while (unended() && performance.now() - settling < options.settleSeconds * 1_000) await delay(100);
    const settleMs = Math.round(performance.now() - settling);
    clearInterval(ticker);
    lag.disable();
    await watching.stop();
    const operator = createOperator({ bus, subjects, by: 'drill' });
    for (const run of unendedRuns(observer).slice(0, 20)) {
      const why = await operator.why(run).then(
        ({ text }) => text,
        (thrown: unknown) => toAppError(thrown).message,
      );
      progress(`no end: ${run}: ${why}`);
    }
    // From here on nothing changes any more.
    await cluster.killNodes();
    const verdict = await judge(observer, load, cluster.sink, cluster.dir);
    const proofs =
      servers === 1
        ? []
        : await serverLosses(verdict, { servers: cluster.servers.all, subjects, observer, load, dir: cluster.dir });
    for (const proof of proofs) progress(`lost by the servers: ${proof}`);
    const { calm, storm } = failovers(
      [...observer.runs.keys()].map((run) => observer.entries(run)),
      faults.done,
      leaseMs,
    );
    await load.close();
    await observer.close();
    await bus.close();
    const figures = {
      accepted: load.accepted.size,
      results: observer.results.size,
      lost: verdict.lost.length,
      duplicateResults: verdict.duplicateResults.length,
      repeatedIdempotentEffects: verdict.repeatedIdempotentEffects.length,
      repeatedNonIdempotentEffects: verdict.repeatedNonIdempotentEffects.length,
      lostSteps: verdict.lostSteps.length,
      ...(servers === 1 ? {} : { lostByServer: proofs.length }),
      stuck: verdict.stuck.length,
      zombieWritesRefused: verdict.zombieWritesRefused,
      unknownOutcomes: verdict.unknownOutcomes,
      failoverP99Ms: quantile(calm, 0.99),
      failoverP50Ms: quantile(calm, 0.5),
      failovers: calm.length,
      failoverInStormsP99Ms: quantile(storm, 0.99),
      failoversInStorms: storm.length,
      settleMs,
      // How late a timer of the drill itself was: what the machine adds to all other times.
      machineLagP99Ms: Math.round(lag.percentile(99) / 1e6),
      machineLagMaxMs: Math.round(lag.max / 1e6),
      runs: observer.runs.size,
      effects: cluster.sink.effects.length,
      unacknowledged: load.unacknowledged,
      seed,
      minutes: options.minutes,
      nodes,
      servers,
      leaseMs,
      faults: faults.counts(),
    };
    return { figures, verdict };
  } finally {
    if (options.logs !== undefined)
      cpSync(cluster.dir, options.logs, { recursive: true, filter: (file) => !file.includes('store') });
    await cluster.close();
  }
}

/** Delegated ones too. */
function unendedRuns(observer: Observer): string[] {
  return [...observer.runs.keys()].filter((run) => !observer.results.has(run));
}

/** Does the work again and again; the servers are away now and then. */
function watch(work: () => Promise<void>): { stop(): Promise<void> } {
  let stopped = false;
  const done = (async () => {
    while (!stopped) {
      await work().catch(() => undefined);
      await delay(150);
    }
  })();
  return {
    stop() {
      stopped = true;
      return done;
    },
  };
}
