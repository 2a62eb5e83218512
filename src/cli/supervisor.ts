import type { Command } from 'commander';
import { addCommand } from './command.ts';
import { DEFAULT_DIR } from './connect.ts';
import type { Io } from './io.ts';
import { addNodeOptions } from './up.ts';
import type { NodeOptions } from './up-options.ts';

export function addSupervisor(program: Command, io: Io): void {
  const command = addCommand(program, 'supervisor', {
    summary: 'start one more node, on this machine or another',
    description:
      'Starts a node that joins the NATS server of NATS_URL, or the one of the Proctor that runs in --dir. Any number of nodes share the work; runs of one that dies go on elsewhere within its lease. Ctrl-C or SIGTERM: it takes no more runs, hands over what it has and exits 0; a second one ends it at once. Logs go to stderr as JSON lines.',
    examples: [
      'proctor supervisor',
      'proctor supervisor --dir /srv/proctor --slots 50 --http 9465',
      'NATS_URL=nats://10.0.0.5:4222 PROCTOR_NKEY_FILE=node.nk proctor supervisor --name rack-2',
      'NATS_URL=nats://n1:4222,nats://n2:4222,nats://n3:4222 PROCTOR_NKEY_FILE=node.nk proctor supervisor --lease 30s',
    ],
  })
    .option('--dir <folder>', 'data folder of the Proctor to join; NATS_URL comes before it', DEFAULT_DIR)
    .option('--prefix <name>', 'first token of all subjects (default: what the folder says, else proctor)');
  addNodeOptions(command)
    .option('--json', 'print what has joined as JSON')
    .action(async (options: NodeOptions & { prefix?: string }) =>
      (await import('./up-run.ts')).supervisor(io, options),
    );
}
