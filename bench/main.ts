import { Command } from 'commander';
import { addConsoleCommands } from './console/commands.ts';
import { killDrill } from './kill/drill.ts';
import { treeDrill } from './kill-tree/drill.ts';
import { loopFigures } from './loops/drill.ts';
import { parkedDrill } from './parked/drill.ts';
import { comparePolicy, MOST_COST_OF_POLICY } from './policy/compare.ts';
import { largeResults } from './results/drill.ts';
import { scalingDrill } from './scaling/drill.ts';
import { entriesOfARun, type Figures, measure, medianFigures, SERIES, type Series } from './steps/cells.ts';
import { type LongRun, longRun } from './steps/long-run.ts';
import { median, round } from './support/numbers.ts';
import { finish, progress, type ReportOptions, reporting } from './support/report.ts';
import { compareTelemetry, faultsOf, VARIANTS } from './telemetry/compare.ts';

/**
 * The benchmarks: `steps` (throughput and cost of durable steps, next to the bare publishes), `long-run` (growth),
 * `telemetry` (what it costs), `results` (memory of a node that stores large results), `kill` and `kill-tree` (switches
 * under load), `parked` (what waiting runs cost), `scaling` (several nodes beside each other, and users),
 * `loops` (loop detection on recorded runs), and those of the console (`console/commands.ts`).
 */

interface StepsOptions extends ReportOptions {
  concurrency: string;
  seconds: string;
  warmup: string;
  rounds: string;
  series: string;
  profile?: string;
}

interface TurnOptions extends ReportOptions {
  concurrency: string;
  runs: string;
  blocks: string;
  warmup: string;
  pairs: string;
}

interface TelemetryOptions extends TurnOptions {
  variants: string;
}

interface LongRunOptions extends ReportOptions {
  steps: string;
  repeats: string;
}

interface LoopsOptions extends ReportOptions {
  data: string;
}

/** Of runs that succeeded, the share that loop detection may stop: of all, and of those with 10 steps or more. */
const MOST_STOPPED = 0.003;
const MOST_LONG_STOPPED = 0.02;

interface KillOptions extends ReportOptions {
  kills: string;
  nodes: string;
  runs: string;
  seed: string;
}

interface KillTreeOptions extends ReportOptions {
  tries: string;
  nodes: string;
  atOnce: string;
  seed: string;
  lateMs?: string;
}

/** Most that the last node may take to know of a kill, 99th percentile, milliseconds. */
const MOST_KNOWN_MS = 50;

interface ResultsOptions extends ReportOptions {
  count: string;
  bytes: string;
}

/** Most memory that a node may hold while it stores large results. */
const MOST_NODE_MB = 500;

interface ParkedOptions extends ReportOptions {
  parked: string;
  wakes: string;
  seconds: string;
}

/** Most that a parked run may take to be awake, 99th percentile, milliseconds. */
const MOST_WAKE_MS = 50;
/** What two fresh processes may differ in, MB and milliseconds of CPU a second. */
const SAME_MB = 20;
const SAME_CPU_MS = 20;

interface ScalingOptions extends ReportOptions {
  nodes: string;
  slots: string;
  seconds: string;
  many: string;
  ones: string;
}

/** Most that the one task of a user may wait beside those of another, milliseconds. */
const MOST_START_MS = 1_000;

/** Most that a step may cost at the end of a long run, as a multiple of its beginning. */
const MOST_GROWTH = 1.2;

const program = new Command('bench');

reporting(
  program
    .command('steps')
    .description('durable steps a second of a 10-step run, against bare publishes of the same entries')
    .option('--concurrency <list>', 'runs in flight', '1,64,256')
    .option('--seconds <n>', 'length of one measurement', '3')
    .option('--warmup <n>', 'seconds before it: with less the node is still compiling', '8')
    .option('--rounds <n>', 'measurements of each cell; the median counts', '3')
    .option('--series <list>', 'which', SERIES.join(','))
    .option('--profile <dir>', 'write CPU profiles of the nodes there'),
).action(steps);

reporting(
  program
    .command('kill')
    .description('kill switches under load: when the last node knows, and effects that begin too late')
    .option('--kills <n>', 'orders, over all scopes', '1000')
    .option('--nodes <n>', 'node processes', '4')
    .option('--runs <n>', 'runs that are live all the time', '500')
    .option('--seed <n>', 'which drill', '1'),
).action(kill);

reporting(
  program
    .command('kill-tree')
    .description(
      'kills of a root with 200 descendants over several nodes, while they attach: effects that begin too late',
    )
    .option('--tries <n>', 'trees', '1000')
    .option('--nodes <n>', 'node processes', '4')
    .option('--at-once <n>', 'trees at once', '2')
    .option('--seed <n>', 'which drill', '1')
    .option('--late-ms <n>', 'lets every effect begin so late, whatever was ordered: the drill must fail'),
).action(killTree);

reporting(
  program
    .command('loops')
    .description('loop detection on recorded runs: false alarms, what it finds of the labelled loops, steps saved')
    .requiredOption('--data <dir>', 'folder with replay.jsonl and loops.jsonl, plain or gzipped'),
).action(loops);

reporting(
  program
    .command('long-run')
    .description('time and bytes of a step at the end of a long run against its beginning')
    .option('--steps <n>', 'length of the run', '2000')
    .option('--repeats <n>', 'runs; the medians count', '3'),
).action(growth);

reporting(
  program
    .command('telemetry')
    .description('what traces, figures and logs cost a node, and what they cost when they are switched off')
    .option('--concurrency <n>', 'runs in flight', '64')
    .option('--runs <n>', 'runs of one block', '200')
    .option('--blocks <n>', 'blocks of each side', '40')
    .option('--warmup <n>', 'blocks of each side before them', '12')
    .option('--pairs <n>', 'pairs of processes a variant', '10')
    .option('--variants <list>', 'which', VARIANTS.join(',')),
).action(telemetry);

reporting(
  program
    .command('policy')
    .description('what a policy with every section costs a node, beside the one that comes with Proctor')
    .option('--concurrency <n>', 'runs in flight', '64')
    .option('--runs <n>', 'runs of one block', '200')
    .option('--blocks <n>', 'blocks of each side', '20')
    .option('--warmup <n>', 'blocks of each side before them', '12')
    .option('--pairs <n>', 'pairs of processes a variant', '3'),
).action(policy);

reporting(
  program
    .command('results')
    .description('memory of a node while many large results of tools are stored at once')
    .option('--count <n>', 'results, all at once', '64')
    .option('--bytes <n>', 'of each', '5000000'),
).action(results);

reporting(
  program
    .command('parked')
    .description('what runs that wait for a person or a far moment cost a node, and how soon they are awake')
    .option('--parked <n>', 'runs', '20000')
    .option('--wakes <n>', 'of them, one after the other', '100')
    .option('--seconds <n>', 'length of one measurement', '5'),
).action(parked);

reporting(
  program
    .command('scaling')
    .description('steps a second by number of nodes; how soon the one task of a user begins beside those of another')
    .option('--nodes <list>', 'numbers of node processes', '1,2,4')
    .option('--slots <n>', 'runs that each has in work', '8')
    .option('--seconds <n>', 'length of one measurement', '5')
    .option('--many <n>', 'tasks of the one user', '10000')
    .option('--ones <n>', 'times that another comes with one', '20'),
).action(scaling);

addConsoleCommands(program);

await program.parseAsync();

async function steps(options: StepsOptions): Promise<void> {
  const levels = options.concurrency.split(',').map(Number);
  const series = SERIES.filter((name) => options.series.split(',').includes(name));
  const entries = await entriesOfARun();
  const cell = {
    seconds: Number(options.seconds),
    warmupSeconds: Number(options.warmup),
    entries,
    nodeFlags: options.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profile}`],
  };
  const cells = new Map<string, Figures[]>();
  for (let round = 1; round <= Number(options.rounds); round++) {
    for (const level of levels) {
      for (const name of series) {
        const figures = await measure(name, level, cell);
        const key = `${name} ${level}`;
        cells.set(key, [...(cells.get(key) ?? []), figures]);
        progress(`round ${round}, ${key}: ${JSON.stringify(figures)}`);
      }
    }
  }
  const of = (name: Series): Record<string, Figures> =>
    Object.fromEntries(levels.map((level) => [String(level), medianFigures(cells.get(`${name} ${level}`) ?? [])]));
  const figures: Record<string, unknown> = Object.fromEntries(series.map((name) => [name, of(name)]));
  const ratio = (a: Series, b: Series) =>
    Object.fromEntries(
      levels.map((level) => {
        // Within a round both were measured close together, so the ratio of each round is taken before the median.
        const [left, right] = [cells.get(`${a} ${level}`) ?? [], cells.get(`${b} ${level}`) ?? []];
        return [
          level,
          round(median(left.map((one, i) => one.stepsPerSecond / (right[i]?.stepsPerSecond ?? Number.NaN)))),
        ];
      }),
    );
  if (series.length === SERIES.length) {
    figures.inProcessToBareBest = ratio('proctorInProcess', 'bareBest');
    figures.natsToInProcess = ratio('proctorNats', 'proctorInProcess');
  }
  figures.rounds = Number(options.rounds);
  figures.bytesPerEntry = Math.round(entries.reduce((sum, entry) => sum + entry.length, 0) / entries.length);
  figures.notes =
    'cpuUsPerStep and peakMb: node (or publisher) + worker, where there is one, + nats-server; 20 durable steps a run';
  finish('bench-steps', 'Durable steps', figures, [], options);
}

function turnsOf({ concurrency, runs, blocks, warmup, pairs }: TurnOptions) {
  return {
    concurrency: Number(concurrency),
    runs: Number(runs),
    blocks: Number(blocks),
    warmup: Number(warmup),
    pairs: Number(pairs),
  };
}

async function telemetry(options: TelemetryOptions): Promise<void> {
  const settings = turnsOf(options);
  const variants = VARIANTS.filter((name) => options.variants.split(',').includes(name));
  const found = await compareTelemetry({ ...settings, variants });
  const notes =
    'ratios to the same build without the lines that tell telemetry anything, by turns on one server: mean over pairs of processes and its standard error; CPU of the node alone; same: the baseline against itself; on: every span and figure to a collector over OTLP';
  finish('bench-telemetry', 'Cost of telemetry', { ...found, ...settings, notes }, faultsOf(found), options);
}

async function policy(options: TurnOptions): Promise<void> {
  const settings = turnsOf(options);
  const found = await comparePolicy(settings);
  const notes =
    'ratios to a policy that allows everything, by turns on one server: mean over pairs of processes and its standard error; CPU of the node alone; policy: every section in force, the model is free; priced: the same, and model calls draw from what their run reserves in every budget; same: the baseline against itself';
  const { mean: cpu } = found.cpu.policy;
  const { mean: speed } = found.speed.policy;
  const violations =
    cpu > 1 + MOST_COST_OF_POLICY || speed < 1 - MOST_COST_OF_POLICY
      ? [`the whole policy leaves ${speed} of the speed and takes ${cpu} of the CPU time; it may cost 15 %`]
      : [];
  finish('bench-policy', 'Cost of the policy', { ...found, ...settings, notes }, violations, options);
}

async function growth(options: LongRunOptions): Promise<void> {
  const runs: LongRun[] = [];
  for (let i = 0; i < Number(options.repeats); i++) {
    runs.push(await longRun(Number(options.steps)));
    progress(`run ${i + 1}: ${JSON.stringify(runs.at(-1))}`);
  }
  const middle = (read: (run: LongRun) => number): number => median(runs.map(read));
  const part = (name: 'first' | 'last') => ({
    msPerStep: middle((run) => run[name].msPerStep),
    bytesPerStep: middle((run) => run[name].bytesPerStep),
  });
  const figures = {
    steps: Number(options.steps),
    repeats: runs.length,
    ratioTime: middle((run) => run.ratioTime),
    ratioBytes: middle((run) => run.ratioBytes),
    snapshotMaxBytes: Math.max(...runs.map((run) => run.snapshotMaxBytes)),
    seconds: middle((run) => run.seconds),
    first: part('first'),
    last: part('last'),
  };
  const violations = (['ratioTime', 'ratioBytes'] as const)
    .filter((name) => figures[name] > MOST_GROWTH)
    .map((name) => `${name} is ${figures[name]}; at most ${MOST_GROWTH} is allowed`);
  finish('bench-long-run', 'Growth over a long run', figures, violations, options);
}

async function results(options: ResultsOptions): Promise<void> {
  const figures = await largeResults(Number(options.count), Number(options.bytes));
  const violations: string[] = [];
  if (figures.errors > 0) violations.push(`${figures.errors} results were lost or damaged`);
  if (figures.peakMb > MOST_NODE_MB) {
    violations.push(`the node held ${figures.peakMb} MB; at most ${MOST_NODE_MB} are allowed`);
  }
  finish('bench-results', 'Large results', figures, violations, options);
}

async function killTree(options: KillTreeOptions): Promise<void> {
  const figures = await treeDrill({
    tries: Number(options.tries),
    nodes: Number(options.nodes),
    atOnce: Number(options.atOnce),
    seed: Number(options.seed),
    ...(options.lateMs === undefined ? {} : { lateMs: Number(options.lateMs) }),
  });
  const violations: string[] = [];
  const { lateEffects, unacknowledged, attachedLate } = figures;
  if (lateEffects > 0) violations.push(`${lateEffects} effects began after the kill of their tree was acknowledged`);
  if (unacknowledged > 0) violations.push(`${unacknowledged} kills were not acknowledged`);
  if (attachedLate === 0) violations.push('no run attached after the order: the drill has shown nothing');
  finish('bench-kill-tree', 'Kills of whole trees', figures, violations, options);
}

async function kill(options: KillOptions): Promise<void> {
  const { kills, nodes, runs, seed } = options;
  const figures = await killDrill({
    kills: Number(kills),
    nodes: Number(nodes),
    runs: Number(runs),
    seed: Number(seed),
  });
  const violations: string[] = [];
  if (figures.lateEffects > 0) violations.push(`${figures.lateEffects} effects began after a kill was acknowledged`);
  if (!(figures.knownP99Ms < MOST_KNOWN_MS)) {
    violations.push(`a kill was known everywhere after ${figures.knownP99Ms} ms (p99); ${MOST_KNOWN_MS} at most`);
  }
  if (!(figures.readP99Ms < MOST_KNOWN_MS)) {
    violations.push(`a kill was read everywhere after ${figures.readP99Ms} ms (p99); ${MOST_KNOWN_MS} at most`);
  }
  finish('bench-kill', 'Kill switches under load', figures, violations, options);
}

function loops(options: LoopsOptions): void {
  let figures: ReturnType<typeof loopFigures> = {};
  try {
    figures = loopFigures(options.data);
  } catch (thrown) {
    program.error(`error: --data: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
  const { stopOnSuccess, stopOnLongSuccess } = figures as Record<string, number>;
  const violations: string[] = [];
  if (!((stopOnSuccess ?? 1) <= MOST_STOPPED))
    violations.push(`stopOnSuccess is ${stopOnSuccess}; ${MOST_STOPPED} at most`);
  if (!((stopOnLongSuccess ?? 1) <= MOST_LONG_STOPPED)) {
    violations.push(`stopOnLongSuccess is ${stopOnLongSuccess}; ${MOST_LONG_STOPPED} at most`);
  }
  finish('bench-loops', 'Loop detection', figures, violations, options);
}

async function parked(options: ParkedOptions): Promise<void> {
  const asked = { parked: Number(options.parked), wakes: Number(options.wakes), seconds: Number(options.seconds) };
  const figures = await parkedDrill(asked);
  const violations: string[] = [];
  const { rssMbWith, rssMbWithout, cpuMsPerSecondWith, cpuMsPerSecondWithout, wakeP99Ms } = figures;
  if (figures.parked < asked.parked) violations.push(`${figures.parked} of ${asked.parked} runs were parked`);
  if (figures.wakes < asked.wakes) violations.push(`${asked.wakes - figures.wakes} runs were not woken`);
  if (rssMbWith > rssMbWithout + SAME_MB) violations.push(`parked runs cost ${rssMbWith - rssMbWithout} MB`);
  if (cpuMsPerSecondWith > cpuMsPerSecondWithout + SAME_CPU_MS) {
    violations.push(`parked runs cost ${cpuMsPerSecondWith - cpuMsPerSecondWithout} ms of CPU a second`);
  }
  if (!(wakeP99Ms < MOST_WAKE_MS)) {
    violations.push(`a parked run was awake after ${wakeP99Ms} ms (p99); ${MOST_WAKE_MS} at most`);
  }
  finish('bench-parked', 'Parked runs', figures, violations, options);
}

async function scaling(options: ScalingOptions): Promise<void> {
  const ones = Number(options.ones);
  const figures = await scalingDrill({
    counts: options.nodes.split(',').map(Number),
    slots: Number(options.slots),
    seconds: Number(options.seconds),
    many: Number(options.many),
    ones,
  });
  const violations: string[] = [];
  if (figures.ones < ones) violations.push(`${ones - figures.ones} single tasks did not begin`);
  if (figures.stillQueued === 0)
    violations.push('nothing was queued beside the single tasks: the drill has shown nothing');
  if (!(figures.oneStartsMaxMs < MOST_START_MS)) {
    violations.push(`a single task began after ${figures.oneStartsMaxMs} ms; ${MOST_START_MS} at most`);
  }
  finish('bench-scaling', 'Several nodes', figures, violations, options);
}
