import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { allPoints, killNodes, type Tally } from './crash/killer.ts';
import { Lane } from './crash/lane.ts';
import { describeOpen, judge, referenceTraces, type Verdict } from './crash/verdict.ts';
import { seeded } from './support/random.ts';
import { finish, progress, type ReportOptions } from './support/report.ts';

/**
 * The crash drill: nodes are killed in every gap between two durable actions, servers are killed and come back, nodes
 * stand still for longer than their lease; at the end every run must have its result, with nothing lost, nothing
 * repeated, and the trace of a run that nobody disturbed.
 */

interface Options extends ReportOptions {
  crashes: string;
  seed: string;
  lanes: string;
  serverKills: string;
  zombies: string;
  points?: string;
  lease: string;
  logs?: string;
  verbose?: boolean;
}

const command = new Command('crash')
  .option('--crashes <n>', 'how often something dies', '500')
  .option('--seed <n>', 'which drill', String(Date.now() % 1_000_000))
  .option('--lanes <n>', 'independent servers, at once', '3')
  .option('--server-kills <share>', 'share of the crashes that kill the server', '0.05')
  .option('--zombies <share>', 'share of the crashes that let a node stand still instead', '0.03')
  .option('--points <names>', 'only these fault points, separated by commas')
  .option('--lease <ms>', 'lease of the nodes', '1000')
  .option('--logs <file>', 'keep what the nodes logged as warnings and errors there')
  .option('--verbose', 'a line for each crash')
  .option('--json', 'figures as one line')
  .option('--write', 'put the figures into docs/measurements.md')
  .parse();
const options = command.opts<Options>();

const started = performance.now();
const tally: Tally = { crashes: 0, nodeKills: 0, serverKills: 0, zombies: 0, perPoint: {}, aimed: {} };
const leaseMs = Number(options.lease);
const killing = {
  crashes: Number(options.crashes),
  serverKills: Number(options.serverKills),
  zombies: Number(options.zombies),
  points: allPoints(options.points),
  tell: options.verbose === true ? progress : () => {},
};

const undisturbed = await Lane.open('reference', leaseMs);
const references = await referenceTraces(undisturbed);
await undisturbed.close();
progress(`${references.size} undisturbed traces; seed ${options.seed}`);

const ticker = setInterval(() => progress(`${tally.crashes} crashes, ${JSON.stringify(tally.perPoint)}`), 15_000);
const verdicts = await Promise.all(
  Array.from({ length: Number(options.lanes) }, async (_, i): Promise<Verdict> => {
    const lane = await Lane.open(`lane${i}-`, leaseMs);
    try {
      await killNodes(lane, seeded(Number(options.seed) * 31 + i), tally, killing);
      progress(`lane ${i}: no more crashes, ${lane.open.length} runs still open`);
      const open = await lane.finish(120_000);
      await lane.stopWatching();
      const verdict = await judge(lane, references, open);
      for (const line of await describeOpen(lane, open)) progress(`no result: ${line}`);
      return verdict;
    } finally {
      if (options.logs !== undefined) copyFileSync(join(lane.server.dir, 'node.log'), `${options.logs}${i}`);
      await lane.close();
    }
  }),
);
clearInterval(ticker);

const all = <K extends keyof Verdict>(key: K): string[] => verdicts.flatMap((verdict) => verdict[key] as string[]);
const sum = (key: 'runs' | 'entries' | 'unknownOutcomes' | 'deadLetters' | 'leftActivations'): number =>
  verdicts.reduce((total, verdict) => total + verdict[key], 0);
const guarantees = [
  'lostSteps',
  'divergedTraces',
  'repeatedIdempotentEffects',
  'repeatedNonIdempotentEffects',
  'effectsUnderNewKeys',
  'withoutResult',
] as const;
const visited = killing.points.filter((point) => (tally.perPoint[point] ?? 0) > 0);
const missed = killing.points.filter((point) => !visited.includes(point));
const violations = guarantees.flatMap((key) => all(key).map((what) => `${key}: ${what}`));
if (missed.length > 0 && killing.crashes >= 4 * killing.points.length) {
  violations.push(`no node died at ${missed.join(', ')}`);
}
for (const what of all('staleStatuses')) progress(`stale status: ${what}`);

finish(
  'crash',
  'Crash drill',
  {
    crashes: tally.nodeKills + tally.serverKills + tally.zombies,
    lostSteps: all('lostSteps').length,
    divergedTraces: all('divergedTraces').length,
    repeatedIdempotentEffects: all('repeatedIdempotentEffects').length,
    repeatedNonIdempotentEffects: all('repeatedNonIdempotentEffects').length,
    unknownOutcomes: sum('unknownOutcomes'),
    withoutResult: all('withoutResult').length,
    effectsUnderNewKeys: all('effectsUnderNewKeys').length,
    staleStatuses: all('staleStatuses').length,
    deadLetters: sum('deadLetters'),
    leftActivations: sum('leftActivations'),
    runs: sum('runs'),
    entries: sum('entries'),
    nodeKills: tally.nodeKills,
    serverKills: tally.serverKills,
    zombies: tally.zombies,
    seed: Number(options.seed),
    seconds: Math.round((performance.now() - started) / 1000),
    perPoint: tally.perPoint,
  },
  violations,
  options,
);
