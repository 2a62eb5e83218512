import { type Command, Option } from 'commander';
import type { Operator, RunFilter } from '../client/operator.ts';
import { AppError, toAppError } from '../core/errors.ts';
import type { StatusEvent } from '../core/status.ts';
import { durationIn } from './arguments.ts';
import type { CommonOptions } from './command.ts';
import { Ended, EXIT, failureLine } from './failure.ts';
import { ago, line, paintFor, paintState } from './format.ts';
import type { Io } from './io.ts';
import { table } from './table.ts';

/** Orders to many runs at once: first a preview of those that match, and with --yes the orders. */

export interface Selection extends RunFilter {
  error?: string;
  olderThan?: number;
}

export interface BulkOptions extends CommonOptions, Selection {
  yes?: boolean;
}

/** Longest age that can be asked for: 365 days. */
const YEAR_MS = 365 * 86_400_000;
const SHOWN = 20;

export function addSelection(command: Command): Command {
  return command
    .option('--agent <name>', 'only runs of this agent')
    .option('--user <name>', 'only runs of this user')
    .option('--state <state>', 'only runs in this state, or one that begins with it: waiting, waiting.person, failed')
    .option('--error <code>', 'only runs that ended with this code, or whose last error has it')
    .addOption(
      new Option('--older-than <time>', 'only runs that have not changed for so long: 90s, 30m, 2h, 7d').argParser(
        durationIn(0, YEAR_MS),
      ),
    );
}

export function addBulk(command: Command): Command {
  return addSelection(command).option('--yes', 'do it; without it, runs that match are only shown');
}

/** Throws AppError `usage` unless either a run or a selection is named. */
export function checkTarget(run: string | undefined, options: BulkOptions): void {
  const { agent, user, state, error, olderThan } = options;
  const selects = [agent, user, state, error, olderThan].some((one) => one !== undefined);
  if (run === undefined && !selects) {
    throw new AppError('usage', 'name a run, or say which: --agent, --user, --state, --error, --older-than');
  }
  if (run !== undefined && (selects || options.yes === true)) {
    throw new AppError('usage', 'name a run, or say which ones by options, not both');
  }
}

/** Runs by their last status, the one that changed last at the end. */
export async function selected(operator: Operator, options: Selection): Promise<StatusEvent[]> {
  const { agent, user, state, error, olderThan } = options;
  const filter = {
    ...(agent === undefined ? {} : { agent }),
    ...(user === undefined ? {} : { user }),
    ...(state === undefined ? {} : { state }),
  };
  // A run that changes while pages are read comes again, later: the last word counts.
  const found = new Map<string, StatusEvent>();
  const before = olderThan === undefined ? Number.POSITIVE_INFINITY : (await operator.node()).now - olderThan;
  for await (const status of operator.runs(filter)) {
    found.delete(status.run);
    const codes = [status.code, status.error?.code];
    if (status.at <= before && (error === undefined || codes.includes(error as never))) found.set(status.run, status);
  }
  return [...found.values()];
}

export interface BulkOrder {
  /** As a person reads it after "would": `cancel`. */
  name: string;
  applies(status: StatusEvent): boolean;
  /** What came of it, for people. */
  give(run: string): Promise<string>;
}

/** Shows what matches, or gives the order to each; ends with exit code 1 when one of them failed. */
export async function inBulk(io: Io, operator: Operator, options: BulkOptions, order: BulkOrder): Promise<void> {
  const runs = (await selected(operator, options)).filter((status) => order.applies(status));
  if (options.yes !== true) {
    if (options.json === true) io.out(JSON.stringify({ matching: runs.map(({ run }) => run), done: false }));
    else preview(io, runs, order.name);
    return;
  }
  let failed = 0;
  const done: string[] = [];
  for (const { run } of runs) {
    try {
      const text = await order.give(run);
      done.push(run);
      if (options.json !== true) io.out(text);
    } catch (thrown) {
      // It may have ended meanwhile: the rest goes on.
      failed++;
      io.err(`${run}: ${failureLine(thrown)}`);
      if (toAppError(thrown).code === 'no_node') break;
    }
  }
  if (options.json === true) io.out(JSON.stringify({ matching: runs.map(({ run }) => run), done: true, given: done }));
  else io.out(`${order.name}: ${done.length} of ${runs.length} runs.`);
  if (failed > 0) throw new Ended(EXIT.failed);
}

function preview(io: Io, runs: StatusEvent[], name: string): void {
  if (runs.length === 0) {
    io.out('No run matches: nothing to do.');
    return;
  }
  const paint = paintFor(io);
  const now = Math.max(Date.now(), ...runs.map(({ at }) => at));
  const rows = runs
    .slice(0, SHOWN)
    .map((one) => [one.run, line(one.agent), line(one.user), paintState(paint, one.state), ago(one.at, now)]);
  io.out(table(io, ['run', 'agent', 'user', 'state', 'age'], rows));
  if (runs.length > SHOWN) io.out(`... and ${runs.length - SHOWN} more`);
  io.out(
    `\nThis would ${name} ${runs.length} run${runs.length === 1 ? '' : 's'}. Nothing was done: add --yes to do it.`,
  );
}
