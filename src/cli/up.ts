import { type Command, Option } from 'commander';
import { collect, durationIn, hostAndPort, replicaCount, wholeNumber } from './arguments.ts';
import { addCommand } from './command.ts';
import { DEFAULT_DIR } from './connect.ts';
import type { Io } from './io.ts';
import { LOG_LEVELS, type UpOptions } from './up-options.ts';

/** What `up` and `supervisor` have in common. */
export function addNodeOptions(command: Command): Command {
  return command
    .option('--root <folder>', 'folder that the file tools see', '.')
    .option('--allow-host <host>', 'host that http_fetch may reach; may be repeated', collect)
    .option('--agents <path>', 'folder or file with agents, stored for all nodes (see: proctor agents check)')
    .option('--slots <n>', 'runs in work at once per agent (default: 10)', wholeNumber(1, 10_000))
    .option('--user-slots <n>', 'of those, runs of one user at most (default: all)', wholeNumber(1, 10_000))
    .option('--queue-limit <n>', 'runs of one agent that may wait (default: 100000)', wholeNumber(1, 10_000_000))
    .option('--user-queue-limit <n>', 'of those, runs of one user (default: half)', wholeNumber(1, 10_000_000))
    .option('--lease <time>', 'how long a silent node keeps its runs (default: 10s)', durationIn(500, 600_000))
    .option(
      '--exit-blocked <time>',
      'end the process when its event loop is blocked for so long; 0s: never (default: three leases)',
      durationIn(0, 3_600_000),
    )
    .option('--replicas <n>', 'servers that keep each stream that is made: 1, 3 or 5 (default: 1)', replicaCount)
    .option('--allow-old-replicas', 'more than 1 also on servers older than 2.11, whose copies may come to differ')
    .option('--name <name>', 'name of the node, unique among those that run (default: a random one)')
    .option('--pricing <file>', 'what models cost, in YAML (default: the example that comes with Proctor)')
    .addOption(new Option('--log-level <level>', 'default: warn when a person watches, else info').choices(LOG_LEVELS))
    .option(
      '--http <[host:]port>',
      'answer /healthz, /readyz and /metrics there; beyond this machine only with PROCTOR_HTTP_TOKEN set',
      hostAndPort,
    );
}

export function addUp(program: Command, io: Io): void {
  const command = addCommand(program, 'up', {
    summary: 'start everything: server, node and tools',
    description:
      'Starts a NATS server of its own, a node, and the tools that come with Proctor, until Ctrl-C. With NATS_URL set that server is used. Logs go to stderr as JSON lines.',
    examples: [
      'proctor up',
      'proctor up --once examples/tasks/first.json',
      'proctor up --agents examples/agents --root ~/project',
      'proctor up --root ~/project --allow-host api.example.com --user alice --user bob',
      'NATS_URL=nats://10.0.0.5:4222 PROCTOR_NKEY_FILE=node.nk proctor up --name node-2',
    ],
  })
    .option('--dir <folder>', 'folder for keys and data; made when missing', DEFAULT_DIR)
    .option('--prefix <name>', 'first token of all subjects', 'proctor')
    .option('--port <n>', 'port of the server when it is free; 0 for any (default: 4222)', wholeNumber(0, 65_535))
    .option('--no-console', 'without the page to watch runs on')
    .option(
      '--console-port <n>',
      'port of that page; 0 for any (default: 4280, or any when that is taken)',
      wholeNumber(0, 65_535),
    )
    .option('--user <name>', 'who may submit; may be repeated (default: default)', collect);
  addNodeOptions(command)
    .option('--once <file>', 'run one task, print its outcome as the last line of stdout, and stop')
    .option('--agent <name>', 'with --once: agent that gets the task', 'plan')
    .option('--json', 'print what is up as JSON')
    // A node needs much that other commands do not: it is loaded only here.
    .action(async (options: UpOptions) => {
      if (options.once === undefined) return (await import('./up-run.ts')).up(io, options);
      return (await import('./once.ts')).once(io, options, options.once);
    });
}
