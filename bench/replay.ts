import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import type { NatsBus } from '../src/adapters/nats/bus.ts';
import { connectBus } from '../src/app.ts';
import { canonicalText } from '../src/core/canonical.ts';
import { periodOfRun } from '../src/core/ids.ts';
import { decodeEntry, type JournalEntry } from '../src/core/journal-entry.ts';
import type { Json } from '../src/core/json.ts';
import { journalStream } from '../src/core/streams.ts';
import { Subjects } from '../src/core/subjects.ts';
import { ToolNames } from './replay/names.ts';
import { KEY_OF_ROW, type ReplayProcessOptions, USER } from './replay/wire.ts';
import { startChild } from './support/children.ts';
import { silent } from './support/log.ts';
import { round } from './support/numbers.ts';
import { finish, progress, type ReportOptions } from './support/report.ts';
import { ResultFeed } from './support/results.ts';
import { type RecordedRun, readRows } from './support/rows.ts';
import { startServer } from './support/server.ts';

/**
 * Replays recorded runs: the recorded decisions as the model, the recorded results as tools in a worker process over
 * NATS. Each run must make exactly the recorded calls, in order, with the recorded results, as its journal has them and
 * as the worker saw them.
 */

interface Options extends ReportOptions {
  data: string;
  limit: string;
  concurrency: string;
}

interface Made {
  tool: string;
  args: Json;
  result?: Json;
}

const options = new Command('replay')
  .requiredOption('--data <file>', 'recorded runs, JSON lines, plain or gzipped')
  .option('--limit <n>', 'at most that many runs', 'Infinity')
  .option('--concurrency <n>', 'runs at once', '64')
  .option('--json', 'figures as one line')
  .option('--write', 'put the figures into docs/measurements.md')
  .parse()
  .opts<Options>();

const rows = rowsOrExit();
const names = new ToolNames();
for (const row of rows) for (const step of row.steps) names.ours(step.tool);

const subjects = new Subjects('drill');
const server = await startServer();
const limit = rows.length;
const settings: ReplayProcessOptions = {
  url: server.url,
  data: options.data,
  limit,
  seen: join(server.dir, 'seen.jsonl'),
  slots: Number(options.concurrency),
};
const worker = startChild(import.meta.url, './replay/worker', settings);
const node = startChild(import.meta.url, './replay/node', settings);
try {
  await Promise.all([worker, node].map((child) => child.until((line) => line === 'up' || null)));
  const bus = await connectBus({ url: server.url }, 'replay', subjects, silent);
  const { runOfRow, seconds } = await replayAll(bus);
  worker.tell({ done: true });
  await worker.until((line) => line === 'written' || null);
  const mismatches = await compare(bus, runOfRow);
  await bus.close();
  for (const mismatch of mismatches.slice(0, 20)) progress(`mismatch: ${mismatch}`);
  const steps = rows.reduce((sum, row) => sum + row.steps.length, 0);
  finish(
    'replay',
    'Replay of recorded runs',
    {
      runs: rows.length,
      mismatches: mismatches.length,
      runsPerSecond: round(rows.length / seconds),
      stepsPerSecond: round(steps / seconds),
      steps,
      mappedToolNames: names.mapped.size,
      seconds: round(seconds),
    },
    mismatches.length === 0 ? [] : [`${mismatches.length} runs differ from what was recorded`],
    options,
  );
} finally {
  await Promise.all([worker.end('SIGKILL'), node.end('SIGKILL')]);
  await server.stop();
}

function rowsOrExit(): RecordedRun[] {
  try {
    return readRows(options.data, Number(options.limit));
  } catch (error) {
    progress(`\nreplay: cannot read the recorded runs: ${String(error)}\nGive a file of recorded runs with --data.\n`);
    process.exit(2);
  }
}

/** Publishes the tasks, so many at once as allowed, and waits for the results. */
async function replayAll(bus: NatsBus): Promise<{ runOfRow: Map<number, string>; seconds: number }> {
  const feed = await ResultFeed.open(server.url, subjects);
  const runOfRow = new Map<number, string>();
  const began = performance.now();
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < rows.length) {
      const row = next++;
      const ended = feed.next(`row-${row}`);
      const task = { input: row, session_id: `row-${row}`, key: KEY_OF_ROW(row) };
      await bus.publish(subjects.task('recorded', USER), JSON.stringify(task));
      const result = await ended;
      runOfRow.set(row, result.run);
      if (runOfRow.size % 500 === 0) progress(`${runOfRow.size} of ${rows.length} runs`);
    }
  };
  await Promise.all(Array.from({ length: settings.slots }, work));
  const seconds = (performance.now() - began) / 1000;
  await feed.close();
  return { runOfRow, seconds };
}

async function compare(bus: NatsBus, runOfRow: Map<number, string>): Promise<string[]> {
  const journals = await readJournals(bus, new Set([...runOfRow.values()].map(periodOfRun)));
  const seen = readSeen();
  return rows.flatMap((row, i) => {
    const expected = row.steps.map(({ tool, args, result }) => ({ tool, args, result }));
    const journal = callsOf(journals.get(runOfRow.get(i) ?? '') ?? []);
    const byJournal = firstDifference(expected, journal);
    if (byJournal !== null) return [`${row.id}, journal: ${byJournal}`];
    const asked = expected.map(({ tool, args }) => ({ tool, args }));
    const byWorker = firstDifference(asked, seen.get(i) ?? []);
    return byWorker === null ? [] : [`${row.id}, worker: ${byWorker}`];
  });
}

async function readJournals(bus: NatsBus, periods: Set<string>): Promise<Map<string, JournalEntry[]>> {
  const journals = new Map<string, JournalEntry[]>();
  for (const period of periods) {
    const filter = `${subjects.prefix}.jrn.${period}.>`;
    for await (const message of bus.scan(journalStream(subjects, period).name, filter)) {
      const run = message.subject.split('.').at(-2) ?? '';
      const entries = journals.get(run) ?? [];
      journals.set(run, entries);
      entries.push(decodeEntry(message.data, run));
    }
  }
  return journals;
}

/** What a journal says was called, in order, with what came back. */
function callsOf(entries: JournalEntry[]): Made[] {
  const made = new Map<string, Made>();
  for (const entry of entries.sort((a, b) => a.n - b.n)) {
    for (const event of entry.events) {
      if (event.type === 'decided' && event.decision.action === 'tool_call') {
        event.decision.calls.forEach((call, i) => {
          made.set(`${entry.n}-${i}`, { tool: names.recorded(call.tool), args: call.args });
        });
      } else if (event.type === 'call_done') {
        const call = made.get(event.c);
        if (call !== undefined) call.result = event.result;
      }
    }
  }
  return [...made.values()];
}

function readSeen(): Map<number, Made[]> {
  const seen = new Map<number, Made[]>();
  for (const line of readFileSync(settings.seen, 'utf8').split('\n')) {
    if (line === '') continue;
    const { row, tool, args } = JSON.parse(line) as { row: number; tool: string; args: Json };
    const calls = seen.get(row) ?? [];
    seen.set(row, calls);
    calls.push({ tool: names.recorded(tool), args });
  }
  return seen;
}

function firstDifference(expected: Made[], found: Made[]): string | null {
  if (expected.length !== found.length) return `${expected.length} calls were recorded, ${found.length} were made`;
  for (const [i, call] of expected.entries()) {
    const [want, have] = [canonicalText({ ...call }), canonicalText({ ...found[i] })];
    if (want !== have) return `call ${i}: expected ${want.slice(0, 300)}, found ${have.slice(0, 300)}`;
  }
  return null;
}
