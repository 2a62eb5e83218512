import { type Command, Option } from 'commander';
import { AppError } from '../core/errors.ts';
import { all, runId } from './arguments.ts';
import { addRemoteCommand, type CommonOptions } from './command.ts';
import { withClient, withOperator } from './connect.ts';
import type { Io } from './io.ts';
import { traceText } from './trace-view.ts';

interface TraceOptions extends CommonOptions {
  entries?: boolean;
  user?: string;
}

export function addTrace(program: Command, io: Io): void {
  addRemoteCommand(program, 'trace', {
    summary: 'every step of a run: what it decided, called, got back, and when',
    description:
      'Prints every step of a run with the numbers of its journal entries, retries and changes of nodes. Times are UTC, and since the run was accepted. --json prints the decision trace (schemas/trace.v1.json), without secrets; --entries the journal as it is.',
    examples: [
      'proctor trace 20260101-abc-1',
      'proctor trace 20260101-abc-1 --json > trace.json',
      'proctor trace 20260101-abc-1 --json --user alice',
      'proctor trace 20260101-abc-1 --entries > journal.jsonl',
    ],
  })
    .argument('<run>', 'run id', runId)
    .option('--user <name>', 'with --json: as this submitter, of a run of its own; default: as operator')
    .addOption(new Option('--entries', 'print the journal entries, one JSON a line').conflicts(['json', 'user']))
    .action((run: string, options: TraceOptions) => trace(io, run, options));
}

async function trace(io: Io, run: string, options: TraceOptions): Promise<void> {
  const { json, user } = options;
  if (user !== undefined && json !== true) {
    throw new AppError('usage', '--user: a submitter may read the decision trace only: add --json');
  }
  if (user !== undefined) {
    return io.out(JSON.stringify(await withClient({ ...options, user }, (client) => client.trace(run))));
  }
  await withOperator(options, async (operator) => {
    if (json === true) return io.out(JSON.stringify(await operator.trace(run)));
    if (options.entries !== true) return io.out(traceText(io, await all(operator.journal(run))));
    for await (const entry of operator.journal(run)) io.out(JSON.stringify(entry));
  });
}
