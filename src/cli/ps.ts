import type { Command } from 'commander';
import type { RunFilter } from '../client/operator.ts';
import type { StatusEvent } from '../core/status.ts';
import { wholeNumber } from './arguments.ts';
import { addRemoteCommand, type CommonOptions } from './command.ts';
import { withOperator } from './connect.ts';
import { exampleTask, placeArgs } from './example-task.ts';
import { ago, line, paintFor, paintState } from './format.ts';
import { type Io, selfCommand } from './io.ts';
import { table } from './table.ts';

interface PsOptions extends CommonOptions, RunFilter {
  limit: number;
}

export function addPs(program: Command, io: Io): void {
  addRemoteCommand(program, 'ps', {
    summary: 'list runs, the one that changed last at the end',
    description: 'Lists runs by their last status, the one that changed last at the end. "age" is the time since then.',
    examples: ['proctor ps', 'proctor ps --state waiting --user alice', 'proctor ps --limit 1000 --json'],
  })
    .option('--agent <name>', 'only runs of this agent')
    .option('--user <name>', 'only runs of this user')
    .option('--state <state>', 'only runs in this state, or one that begins with it: waiting, waiting.person, failed')
    .option('--limit <n>', 'at most this many, the newest', wholeNumber(1, 100_000), 50)
    .action((options: PsOptions) => ps(io, options));
}

async function ps(io: Io, options: PsOptions): Promise<void> {
  const { agent, user, state } = options;
  const filter = {
    ...(agent === undefined ? {} : { agent }),
    ...(user === undefined ? {} : { user }),
    ...(state === undefined ? {} : { state }),
  };
  // A run that changes while pages are read comes again, later: the last word counts.
  const found = new Map<string, StatusEvent>();
  await withOperator(options, async (operator) => {
    for await (const status of operator.runs(filter)) {
      found.delete(status.run);
      found.set(status.run, status);
      if (found.size > options.limit) found.delete(found.keys().next().value ?? '');
    }
  });
  const runs = [...found.values()];
  if (options.json === true) return io.out(JSON.stringify(runs));
  if (runs.length === 0) {
    const none = Object.keys(filter).length === 0 ? 'There are no runs yet.' : 'No run matches.';
    return io.out(`${none} Submit a task: ${selfCommand()} submit ${exampleTask()} --wait${placeArgs(options.dir)}`);
  }
  const paint = paintFor(io);
  const now = Date.now();
  const rows = runs.map((run) => [
    run.run,
    line(run.agent),
    line(run.user),
    paintState(paint, run.state),
    String(run.step),
    run.progress === null ? '-' : `${Math.round(run.progress)}%`,
    ago(run.at, now),
  ]);
  io.out(table(io, ['run', 'agent', 'user', 'state', 'step', 'progress', 'age'], rows));
}
