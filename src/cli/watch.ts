import type { Command } from 'commander';
import type { Client } from '../client/client.ts';
import type { RunStatus, RunUpdate } from '../client/watch.ts';
import type { RunResult } from '../core/result.ts';
import { runId } from './arguments.ts';
import { addRemoteCommand, type CommonOptions } from './command.ts';
import { withClient, withOperator } from './connect.ts';
import { Ended, EXIT } from './failure.ts';
import { duration, line, paintFor, paintState, timeOfDay, usd } from './format.ts';
import { type Io, selfCommand } from './io.ts';
import { LiveLine } from './live-line.ts';
import { stepLine } from './progress.ts';
import { onQuit } from './quit.ts';
import { personOf, resultText } from './result-view.ts';

interface WatchCommandOptions extends CommonOptions {
  user?: string;
}

export function addWatch(program: Command, io: Io): void {
  addRemoteCommand(program, 'watch', {
    summary: 'follow a run until it ends; fails when the run failed',
    description:
      'Prints each finished step, what the run waits for, and its result. On a terminal the last line tells where it stands. --json prints one update a line. Ctrl-C ends the watching; the run goes on.',
    examples: ['proctor watch 20260101-abc-1', 'proctor watch 20260101-abc-1 --user alice --json'],
  })
    .argument('<run>', 'run id', runId)
    .option('--user <name>', 'as this submitter, a run of its own (default: as operator)')
    .action((run: string, options: WatchCommandOptions) => {
      const { user } = options;
      const work = (client: Watching) => watch(io, client, run, options.json === true);
      return user === undefined ? withOperator(options, work) : withClient({ ...options, user }, work);
    });
}

type Watching = Pick<Client, 'watch' | 'why' | 'personAnswer'>;

async function watch(io: Io, client: Watching, run: string, json: boolean): Promise<void> {
  const given = new AbortController();
  const quit = onQuit(() => process.exit(EXIT.interrupted));
  void quit.asked.then(() => given.abort());
  const live = new LiveLine(json ? null : io);
  let result: RunResult | null = null;
  try {
    for await (const update of client.watch(run, { signal: given.signal })) {
      if (json) io.out(JSON.stringify(update));
      else tell(io, live, update, await waitOf(client, update));
      if (update.type === 'ended') ({ result } = update);
    }
  } finally {
    live.clear();
    quit.release();
  }
  if (result === null) {
    io.err(`Stopped watching; run ${run} goes on. Watch it again with: ${selfCommand()} watch ${run}`);
    throw new Ended(EXIT.interrupted);
  }
  if (!json) io.out(resultText(result, paintFor(io), await personOf(client, result)));
  if (result.status === 'failed') throw new Ended(EXIT.failed);
}

/** What it waits for; a question stands in the journal, not in the status. */
async function waitOf(client: Watching, update: RunUpdate): Promise<string> {
  if (update.type !== 'waiting') return '';
  const { kind, text } = update.requires;
  if (kind !== 'answer') return text;
  const why = await client.why(update.status.run);
  return `${why.waiting_for ?? text}; ${why.who}`;
}

function tell(io: Io, live: LiveLine, update: RunUpdate, wait: string): void {
  if (update.type === 'step') {
    live.above(stepLine(update.step));
    return;
  }
  const { status } = update;
  live.show(() => statusLine(io, status, Date.now()));
  if (update.type === 'ended') return;
  const waits = wait === '' ? '' : `: ${wait}`;
  const node = status.node === undefined ? '' : `  ${status.node}`;
  if (!live.isLive || update.type === 'waiting') {
    live.above(line(`${timeOfDay(status.at)}  ${status.state}${waits}${node}`));
  }
}

/** `executing.calling  step 3  40%  12.3 s in this state  0.02 USD  node-1`. */
function statusLine(io: Io, status: RunStatus, now: number): string {
  const { state, step, progress, budget, node, at } = status;
  const parts = [
    paintState(paintFor(io), state),
    `step ${step}`,
    ...(progress === null ? [] : [`${Math.round(progress)}%`]),
    `${duration(Math.max(0, now - at))} since the last change`,
    ...(budget === undefined || budget.tokens === 0 ? [] : [`${usd(budget.cost_usd)}`]),
    ...(node === undefined ? [] : [line(node)]),
  ];
  return parts.join('  ');
}
