import { cpus } from 'node:os';
import type { Command } from 'commander';
import { finish, type ReportOptions, reporting } from '../support/report.ts';
import { startBrowser } from './browser.ts';
import { liveLatency } from './latency.ts';
import { manyRuns } from './many-runs.ts';
import { openScene } from './scene.ts';
import { faultsOfWatching, watchedRuns } from './watched.ts';

/** The benchmarks of the console: how soon it shows what happened, what it bears, and what it costs the nodes. */

/** Most from a journal to the page, 95th percentile, milliseconds. */
const MOST_PAGE_MS = 250;

/** Of very many runs: until a fresh gateway knows all, until the page shows what was asked for, and what it holds. */
const MOST_START_MS = 15_000;
const MOST_ACTION_MS = 1_000;
const MOST_RSS_MB = 400;

interface ConsoleOptions extends ReportOptions {
  transitions: string;
}

interface WatchedCommandOptions extends ReportOptions {
  runs: string;
  steps: string;
  toolMs: string;
  blocks: string;
  warmup: string;
}

interface ManyRunsCommandOptions extends ReportOptions {
  runs: string;
  changes: string;
  rounds: string;
}

export function addConsoleCommands(program: Command): void {
  reporting(
    program
      .command('console')
      .description('from an entry of a journal to its state in the page')
      .option('--transitions <n>', 'of one run, watched by one browser', '100'),
  ).action(page);
  reporting(
    program
      .command('watched')
      .description('what a node spends on runs that are watched in the console, against one that nobody looks at')
      .option('--runs <n>', 'runs at a time, each with a tab of its own', '40')
      .option('--steps <n>', 'tool steps of each', '40')
      .option('--tool-ms <n>', 'how long the tool takes: with less the machine is full', '100')
      .option('--blocks <n>', 'blocks of each kind', '20')
      .option('--warmup <n>', 'blocks of each kind before them', '2'),
  ).action(watched);
  reporting(
    program
      .command('many-runs')
      .description('the list of runs when there are very many: start and memory of the gateway, and using the list')
      .option('--runs <n>', 'how many', '100000')
      .option('--changes <n>', 'statuses a second while the list is used', '100')
      .option('--rounds <n>', 'how often each thing is done in the page', '5'),
  ).action(many);
}

async function page(options: ConsoleOptions): Promise<void> {
  const scene = await openScene();
  const browser = await startBrowser();
  const figures = await liveLatency(scene, browser, Number(options.transitions));
  await browser.close();
  await scene.stop();
  const violations =
    figures.p95Ms <= MOST_PAGE_MS ? [] : [`p95 is ${figures.p95Ms} ms; at most ${MOST_PAGE_MS} are allowed`];
  finish('bench-console', 'A live transition in the page', figures, violations, options);
}

async function watched(options: WatchedCommandOptions): Promise<void> {
  const { runs, steps, toolMs, blocks, warmup } = options;
  const settings = {
    runs: Number(runs),
    steps: Number(steps),
    toolMs: Number(toolMs),
    blocks: Number(blocks),
    warmup: Number(warmup),
  };
  const found = await watchedRuns(settings, cpus().length);
  const notes =
    'ratios of blocks with one tab on each run to blocks with none, by turns on one node at a load that leaves the machine some: mean over pairs of blocks and its standard error; speed: durable steps a second; each process by its own CPU time';
  const figures = { ...found, ...settings, notes };
  finish('bench-watched', 'Runs that are watched', figures, faultsOfWatching(found), options);
}

async function many(options: ManyRunsCommandOptions): Promise<void> {
  const figures = await manyRuns({
    runs: Number(options.runs),
    changes: Number(options.changes),
    rounds: Number(options.rounds),
  });
  const violations: string[] = [];
  if (!(figures.startMs <= MOST_START_MS)) {
    violations.push(`a fresh gateway knows all runs after ${figures.startMs} ms; ${MOST_START_MS} at most`);
  }
  if (!(figures.peakMb <= MOST_RSS_MB)) {
    violations.push(`the gateway held ${figures.peakMb} MB; ${MOST_RSS_MB} at most`);
  }
  for (const [name, { medianMs }] of Object.entries(figures.page)) {
    if (medianMs <= MOST_ACTION_MS) continue;
    violations.push(`${name} takes ${medianMs} ms in the page; ${MOST_ACTION_MS} at most`);
  }
  finish('bench-many-runs', 'Very many runs in the console', figures, violations, options);
}
