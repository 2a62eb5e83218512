import type { Command } from 'commander';
import { all, runId } from './arguments.ts';
import { addRemoteCommand, type CommonOptions } from './command.ts';
import { withOperator } from './connect.ts';
import type { Io } from './io.ts';
import { traceText } from './trace-view.ts';

export function addTrace(program: Command, io: Io): void {
  addRemoteCommand(program, 'trace', {
    summary: 'every step of a run: what it decided, called, got back, and when',
    description:
      'Prints every step of a run with the numbers of its journal entries. Times are UTC. --json prints the entries as they are, one JSON array.',
    examples: ['proctor trace 20260101-abc-1', 'proctor trace 20260101-abc-1 --json > trace.json'],
  })
    .argument('<run>', 'run id', runId)
    .action(async (run: string, options: CommonOptions) => {
      const entries = await withOperator(options, async (operator) => all(operator.journal(run)));
      io.out(options.json === true ? JSON.stringify(entries) : traceText(io, entries));
    });
}
