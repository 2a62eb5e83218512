import type { Command } from 'commander';
import { wholeNumber } from './arguments.ts';
import { addRemoteCommand, type CommonOptions } from './command.ts';
import { withOperator } from './connect.ts';
import { exampleTask, placeArgs } from './example-task.ts';
import { ago, line, paintFor, paintState } from './format.ts';
import { type Io, selfCommand } from './io.ts';
import { addSelection, type Selection, selected } from './select.ts';
import { table } from './table.ts';

interface PsOptions extends CommonOptions, Selection {
  limit: number;
}

export function addPs(program: Command, io: Io): void {
  addSelection(
    addRemoteCommand(program, 'ps', {
      summary: 'list runs, the one that changed last at the end',
      description:
        'Lists runs by their last status, the one that changed last at the end. "age" is the time since then.',
      examples: ['proctor ps', 'proctor ps --state waiting --older-than 1h', 'proctor ps --limit 1000 --json'],
    }),
  )
    .option('--limit <n>', 'at most this many, the newest', wholeNumber(1, 100_000), 50)
    .action((options: PsOptions) => ps(io, options));
}

async function ps(io: Io, options: PsOptions): Promise<void> {
  const { agent, user, state, error, olderThan } = options;
  const all = [agent, user, state, error, olderThan].every((one) => one === undefined);
  const runs = (await withOperator(options, (operator) => selected(operator, options))).slice(-options.limit);
  if (options.json === true) return io.out(JSON.stringify(runs));
  if (runs.length === 0) {
    const none = all ? 'There are no runs yet.' : 'No run matches.';
    return io.out(`${none} Submit a task: ${selfCommand()} submit ${exampleTask()} --wait${placeArgs(options.dir)}`);
  }
  const paint = paintFor(io);
  const now = Date.now();
  const delegated = runs.some((run) => run.ancestors !== undefined);
  const rows = runs.map((run) => [
    run.run,
    ...(delegated ? [run.ancestors?.at(-1) ?? '-'] : []),
    line(run.agent),
    line(run.user),
    paintState(paint, run.state),
    String(run.step),
    run.progress === null ? '-' : `${Math.round(run.progress)}%`,
    ago(run.at, now),
  ]);
  io.out(
    table(
      io,
      ['run', ...(delegated ? ['delegated by'] : []), 'agent', 'user', 'state', 'step', 'progress', 'age'],
      rows,
    ),
  );
}
