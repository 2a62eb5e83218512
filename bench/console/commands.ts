import { cpus } from 'node:os';
import type { Command } from 'commander';
import { endAfter } from '../support/deadline.ts';
import { round } from '../support/numbers.ts';
import { finish, type ReportOptions, reporting } from '../support/report.ts';
import { startBrowser } from './browser.ts';
import { liveLatency } from './latency.ts';
import { liveRuns } from './live-runs.ts';
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

/** Of live runs: script time of a page for each message, half of them, milliseconds. */
const MOST_SCRIPT_MS = 16;
/** By how much memory may grow, as a part of it; and so many MB always, which collecting garbage and compiling make. */
const MOST_GROWTH = 0.1;
const GROWTH_MB = { gatewayRss: 20, runsPageHeap: 1, overviewPageHeap: 1 };

interface LiveRunsCommandOptions extends ReportOptions {
  assets?: string;
  runs: string;
  nodes: string;
  stepMs: string;
  minutes: string;
  warmup: string;
}

interface ConsoleOptions extends ReportOptions {
  transitions: string;
}

interface WatchedCommandOptions extends ReportOptions {
  runs: string;
  steps: string;
  rivals: string;
  blocks: string;
  warmup: string;
}

interface ManyRunsCommandOptions extends ReportOptions {
  assets?: string;
  runs: string;
  changes: string;
  rounds: string;
}

/** Of watched runs, with all that goes on beside it. */
const MOST_STEP_MS = 5;
/** For everything beside the measurement itself, of a command that gives itself an end. */
const PATIENCE_MS = 600_000;

const ASSETS = 'folder of the built page; default: what npm run build made';

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
      .option('--steps <n>', 'tool steps of each', '100')
      .option(
        '--rivals <n>',
        'processes that share the core of the node, so that it is full and the others are not',
        '4',
      )
      .option('--blocks <n>', 'blocks of each kind', '60')
      .option('--warmup <n>', 'blocks of each kind before them', '5'),
  ).action(watched);
  reporting(
    program
      .command('many-runs')
      .description('the list of runs when there are very many: start and memory of the gateway, and using the list')
      .option('--runs <n>', 'how many', '100000')
      .option('--changes <n>', 'statuses a second while the list is used', '100')
      .option('--rounds <n>', 'how often each thing is done in the page', '5')
      .option('--assets <dir>', ASSETS),
  ).action(many);
  reporting(
    program
      .command('live-runs')
      .description('what the pages of the console spend beside very many live runs, and whether memory stays flat')
      .option('--runs <n>', 'that are live all the time', '2000')
      .option('--nodes <n>', 'node processes', '2')
      .option('--step-ms <n>', 'how long a step of a run takes on average', '20000')
      .option('--minutes <n>', 'length of the measurement', '10')
      .option('--warmup <n>', 'seconds before it: pages are still compiled', '180')
      .option('--assets <dir>', ASSETS),
  ).action(live);
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
  const { runs, steps, rivals, blocks, warmup } = options;
  const settings = {
    runs: Number(runs),
    steps: Number(steps),
    rivals: Number(rivals),
    blocks: Number(blocks),
    warmup: Number(warmup),
  };
  const all = 2 * (settings.blocks + settings.warmup) * settings.runs * settings.steps;
  endAfter(PATIENCE_MS + all * MOST_STEP_MS);
  const found = await watchedRuns(settings, cpus().length);
  const notes =
    'ratios of blocks with one tab on each run to blocks with none, beside which another process spends what watching costs gateway, tabs and server, by turns on one node that is full, as rivals share its core: mean over pairs of blocks and its standard error; speed: durable steps a second; each process by its own CPU time';
  const figures = { ...found, ...settings, notes };
  finish('bench-watched', 'Runs that are watched', figures, faultsOfWatching(found), options);
}

async function many(options: ManyRunsCommandOptions): Promise<void> {
  endAfter(PATIENCE_MS);
  const figures = await manyRuns({
    runs: Number(options.runs),
    changes: Number(options.changes),
    rounds: Number(options.rounds),
    assets: options.assets,
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

async function live(options: LiveRunsCommandOptions): Promise<void> {
  const runs = Number(options.runs);
  const settings = {
    runs,
    nodes: Number(options.nodes),
    stepMs: Number(options.stepMs),
    minutes: Number(options.minutes),
  };
  endAfter(PATIENCE_MS + 2 * settings.minutes * 60_000);
  const figures = await liveRuns({ ...settings, warmupSeconds: Number(options.warmup), assets: options.assets });
  const violations: string[] = [];
  if (figures.live < runs) violations.push(`${figures.live} of ${runs} runs were live to the end`);
  for (const [name, { scriptP50Ms }] of Object.entries(figures.page)) {
    if (scriptP50Ms < MOST_SCRIPT_MS) continue;
    violations.push(
      `${name}: half of the updates take ${scriptP50Ms} ms of script or more; under ${MOST_SCRIPT_MS} is wanted`,
    );
  }
  const { gatewayHeapMbBefore: before, gatewayHeapMbAfter: after } = figures;
  const memory = Object.entries(figures.memoryMb).map(([name, { first, last }]) => ({
    ...{ name, first, last },
    room: GROWTH_MB[name as keyof typeof GROWTH_MB],
  }));
  for (const { name, first, last, room } of [...memory, { name: 'gatewayHeap', first: before, last: after, room: 0 }]) {
    const most = Math.max(room, first * MOST_GROWTH);
    if (!(last - first <= most)) violations.push(`${name} grew from ${first} to ${last} MB; by ${round(most)} at most`);
  }
  const notes =
    'pages: the list of runs with the longest in its state on top, and the overview; script and task: of the main thread from one message of the stream to the next, by traces of 5 s in every 10; heap: after a garbage collection; memory at the first and the last tenth of the time, slope a minute';
  finish(
    'bench-live-runs',
    'Very many live runs in the console',
    { ...figures, ...settings, notes },
    violations,
    options,
  );
}
