import type { Command } from 'commander';
import type { ErrorInfo } from '../core/errors.ts';
import type { JournalEntry } from '../core/journal-entry.ts';
import { runId } from './arguments.ts';
import { addRemoteCommand, type CommonOptions } from './command.ts';
import { withOperator } from './connect.ts';
import { type Io, selfCommand } from './io.ts';
import { showText } from './show-view.ts';

/** Everything about one run that somebody on call wants to know. */

export interface LastError {
  at: number;
  entry: number;
  c?: string;
  error: ErrorInfo;
}

export function addShow(program: Command, io: Io): void {
  addRemoteCommand(program, 'show', {
    summary: 'where a run stands, what it waits for, and who can help',
    examples: ['proctor show 20260101-abc-1', 'proctor show 20260101-abc-1 --json'],
  })
    .argument('<run>', 'run id', runId)
    .action(async (run: string, options: CommonOptions) => {
      const { details, error, asked } = await withOperator(options, async (operator) => {
        const details = await operator.run(run);
        // The window is where a run that is in trouble now shows it; older errors stand in the trace.
        const from = details.context.window[0]?.entry ?? 0;
        // A question stands in the journal, not in the status.
        const asked = details.status.requires?.kind === 'answer' ? (await operator.why(run)).waiting_for : null;
        return { details, error: await lastError(operator.journal(run, from)), asked };
      });
      if (options.json === true) return io.out(JSON.stringify({ ...details, last_error: error }));
      io.out(showText(io, details, error, { now: Date.now(), self: selfCommand(), asked }));
    });
}

async function lastError(entries: AsyncIterable<JournalEntry>): Promise<LastError | null> {
  let last: LastError | null = null;
  for await (const { n, at, events } of entries) {
    for (const event of events) {
      if (!('error' in event) || event.error === undefined) continue;
      last = { at, entry: n, error: event.error, ...('c' in event ? { c: event.c } : {}) };
    }
  }
  return last;
}
