import { type Command, Option } from 'commander';
import { addRemoteCommand } from './command.ts';
import type { Io } from './io.ts';
import { LOG_LEVELS } from './up-options.ts';
import type { WorkerOptions } from './worker-options.ts';

export function addWorker(program: Command, io: Io): void {
  addRemoteCommand(program, 'worker <file>', {
    summary: 'serve the tools in a file, until Ctrl-C',
    description:
      'Serves the tools that a TypeScript or JavaScript file exports: export default [defineTool({ ... })]. The file may import proctor and zod without installing them. Logs go to stderr as JSON lines.',
    examples: [
      'proctor worker examples/workers/orders.ts',
      'NATS_URL=nats://10.0.0.5:4222 PROCTOR_NKEY_FILE=worker.nk proctor worker tools.mjs',
    ],
  })
    .addOption(new Option('--log-level <level>', 'default: warn when a person watches, else info').choices(LOG_LEVELS))
    // The compiler for the file and the connection are loaded only here.
    .action(async (file: string, options: WorkerOptions) =>
      (await import('./worker-run.ts')).worker(io, file, options),
    );
}
