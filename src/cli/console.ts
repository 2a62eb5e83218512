import { type Command, InvalidArgumentError, Option } from 'commander';
import { collect, wholeNumber } from './arguments.ts';
import { addCommand } from './command.ts';
import { DEFAULT_DIR } from './connect.ts';
import type { ConsoleCommandOptions } from './console-options.ts';
import type { Io } from './io.ts';
import { LOG_LEVELS } from './up-options.ts';

export function addConsole(program: Command, io: Io): void {
  addCommand(program, 'console', {
    summary: 'serve the page: watch runs live, and act',
    description:
      'Serves the inspector: all runs, their state charts live and at any moment of their past, nodes, tools, agents, kill switches. It reads the journals itself, so the nodes have no work with it, and any number of consoles can run. Without --token-file it prints a link that logs you in once. Beyond this machine it wants to know who may use it: a token file, {"accounts": [{"name": "olga", "role": "operator", "token": "..."}]} with the roles viewer, approver and operator, or a reverse proxy that says who it is (its header X-Proctor-Role names the role).',
    examples: [
      'proctor console',
      'proctor console --port 8080 --token-file accounts.json',
      'proctor console --host 0.0.0.0 --proxy-header X-Forwarded-User --proxy-from 10.0.0.2 --public-url https://proctor.example.com',
      'proctor console --file 20260101-abc-1.json',
    ],
  })
    .option('--dir <folder>', 'data folder of the Proctor to look at; NATS_URL comes before it', DEFAULT_DIR)
    .option('--prefix <name>', 'first token of all subjects (default: what the folder says, else proctor)')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option(
      '--port <n>',
      'port to listen on; 0 for any (default: 4280, or any when that is taken)',
      wholeNumber(0, 65_535),
    )
    .option('--token-file <file>', 'accounts: who may use it, with which role and token')
    .option('--proxy-header <name>', 'header in which a reverse proxy names the user')
    .option('--proxy-from <address>', 'address that the proxy speaks from; may be repeated', collect)
    .option('--public-url <url>', 'where browsers reach it, when that is another address', publicUrl)
    .option('--file <file>', 'show the run in this file, saved from the page; needs no server')
    .addOption(new Option('--log-level <level>', 'default: warn when a person watches, else info').choices(LOG_LEVELS))
    .option('--json', 'print the address as JSON')
    .action(async (options: ConsoleCommandOptions) => (await import('./console-run.ts')).runConsole(io, options));
}

function publicUrl(text: string): URL {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text))
    throw new InvalidArgumentError('Expected an http or https address.');
  return new URL(text);
}
