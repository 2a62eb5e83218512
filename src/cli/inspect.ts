import { type Command, InvalidArgumentError } from 'commander';
import { runId } from './arguments.ts';
import { addRemoteCommand, type CommonOptions } from './command.ts';
import { withOperator } from './connect.ts';
import type { Io } from './io.ts';

interface InspectOptions extends CommonOptions {
  stately: boolean;
  to: string;
}

function webSocketUrl(text: string): string {
  if (/^wss?:\/\//.test(text) && URL.canParse(text)) return text;
  throw new InvalidArgumentError('Expected an address such as ws://localhost:8080.');
}

export function addInspect(program: Command, io: Io): void {
  addRemoteCommand(program, 'inspect', {
    summary: 'show a run in the Stately inspector',
    description:
      'Folds the journal of a run once more, from its start, and sends what its state chart does to the Stately inspector, until the run has ended. The inspector is a page of stately.ai: what it shows leaves your network, without secrets. "proctor console" shows the same and more, and keeps it here.',
    examples: [
      'proctor inspect 20260101-abc-1 --stately',
      'proctor inspect 20260101-abc-1 --stately --to ws://127.0.0.1:9000',
    ],
  })
    .argument('<run>', 'run id', runId)
    .requiredOption('--stately', 'send it to the Stately inspector')
    .option(
      '--to <url>',
      'where createInspectorServer() of @statelyai/inspect/server listens',
      webSocketUrl,
      'ws://localhost:8080',
    )
    .action(async (run: string, options: InspectOptions) => {
      const { inspectRun } = await import('../app/inspect.ts');
      const abort = new AbortController();
      process.once('SIGINT', () => abort.abort());
      const entries = await withOperator(options, (operator) => inspectRun(operator, run, options.to, abort.signal));
      io.out(
        options.json === true
          ? JSON.stringify({ run, entries })
          : `Sent ${entries} entries of ${run} to ${options.to}.`,
      );
    });
}
