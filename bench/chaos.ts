import { Command, Option } from 'commander';
import { chaosDrill } from './chaos/drill.ts';
import { partitionDrill } from './chaos/partition.ts';
import type { Breakage } from './chaos/wire.ts';
import { finish, progress, type ReportOptions } from './support/report.ts';

/**
 * The chaos drill: nodes, tool workers and servers are killed, nodes stand still and are cut off, at random, under load.
 * In the end every accepted task has one result, and no effect happened twice.
 */

interface Options extends ReportOptions {
  minutes: string;
  nodes: string;
  servers: string;
  leaderKillSeconds: string;
  seed: string;
  lease: string;
  rate: string;
  settle: string;
  break: Breakage;
  logs?: string;
  verbose?: boolean;
}

const program = new Command('chaos')
  // Options behind a command's name are the command's.
  .enablePositionalOptions()
  .option('--minutes <n>', 'how long faults come', '5')
  .option('--nodes <n>', 'supervisor nodes', '4')
  .option('--servers <n>', 'nats-servers, 1 or 3; three keep three copies of each stream', '1')
  .option('--leader-kill-seconds <s>', 'with three servers: how often the leader of a stream is killed', '25')
  .option('--seed <n>', 'which drill', String(Date.now() % 1_000_000))
  .option('--lease <ms>', 'lease of the nodes', '2000')
  .option('--rate <n>', 'tasks a second', '15')
  .option(
    '--settle <s>',
    'how long everything may take to end after the last fault; orphans are found within 3 minutes',
    '300',
  )
  .addOption(
    new Option(
      '--break <what>',
      'break something on purpose: the sink forgets keys, or nodes ack runs as they take them',
    )
      .choices(['none', 'keys', 'ack'])
      .default('none'),
  )
  .option('--logs <folder>', 'keep what the nodes logged as warnings and errors there')
  .option('--verbose', 'a line for each fault')
  .option('--json', 'figures as one line')
  .option('--write', 'put the figures into docs/measurements.md')
  .action(drill);
program
  .command('partition')
  .description('cut one busy node off from the server for longer than its lease')
  .option('--nodes <n>', 'supervisor nodes', '3')
  .option('--lease <ms>', 'lease of the nodes', '2000')
  .option('--stale <ms>', 'how long a node that cannot read the kill switches goes on', '1500')
  .option('--runs <n>', 'runs at once', '40')
  .addOption(
    new Option('--how <how>', 'hole: bytes stop; cut: connections are reset').choices(['hole', 'cut']).default('hole'),
  )
  .option('--json', 'figures as one line')
  .option('--write', 'put the figures into docs/measurements.md')
  .action(partition);
await program.parseAsync();

interface PartitionFlags extends ReportOptions {
  nodes: string;
  lease: string;
  stale: string;
  runs: string;
  how: 'hole' | 'cut';
}

async function partition(options: PartitionFlags): Promise<void> {
  const { figures, violations } = await partitionDrill({
    nodes: Number(options.nodes),
    leaseMs: Number(options.lease),
    staleMs: Number(options.stale),
    runs: Number(options.runs),
    how: options.how,
  });
  finish('chaos-partition', 'A node is cut off', figures, violations, options);
}

async function drill(options: Options): Promise<void> {
  progress(`seed ${options.seed}`);
  const servers = Number(options.servers);
  const { figures, verdict } = await chaosDrill({
    minutes: Number(options.minutes),
    nodes: Number(options.nodes),
    servers,
    leaderKillSeconds: Number(options.leaderKillSeconds),
    seed: Number(options.seed),
    leaseMs: Number(options.lease),
    rate: Number(options.rate),
    settleSeconds: Number(options.settle),
    breakage: options.break,
    logs: options.logs,
    verbose: options.verbose === true,
  });
  const promised = [
    'lost',
    'duplicateResults',
    'repeatedIdempotentEffects',
    'repeatedNonIdempotentEffects',
    'lostSteps',
    'stuck',
  ] as const;
  const violations = promised.flatMap((key) => verdict[key].map((what) => `${key}: ${what}`));
  const title = servers === 1 ? 'Chaos drill' : `Chaos drill, ${servers} servers`;
  finish(servers === 1 ? 'chaos' : `chaos-${servers}`, title, figures, violations, options);
}
