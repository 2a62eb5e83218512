import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Command } from 'commander';
import { connectBus } from '../src/app.ts';
import { Subjects } from '../src/core/subjects.ts';
import { Follower } from './fuzz/follow.ts';
import { hostileTasks } from './fuzz/tasks.ts';
import { startChild } from './support/children.ts';
import { silent } from './support/log.ts';
import { finish, progress, type ReportOptions } from './support/report.ts';
import { startServer } from './support/server.ts';

/**
 * Throws malformed, oversized and hostile tasks at a node. Each must become a run that ends, or a dead letter with a
 * reason; the node stays up, and holds no more memory after the second half than after the first.
 */

interface Options extends ReportOptions {
  tasks: string;
  seed: string;
  mostGrowthMb: string;
  logs?: string;
}

const options = new Command('fuzz')
  .option('--tasks <n>', 'how many', '10000')
  .option('--seed <n>', 'which tasks', '1')
  .option('--most-growth-mb <n>', 'most heap that the second half may add', '16')
  .option('--logs <file>', 'keep what the node logged as warnings and errors there')
  .option('--json', 'figures as one line')
  .option('--write', 'put the figures into docs/measurements.md')
  .parse()
  .opts<Options>();

const CHUNK = 250;
const IN_FLIGHT = 32;
const PATIENCE_MS = 60_000;

const total = Number(options.tasks);
const subjects = new Subjects('drill');
const server = await startServer();
const log = join(server.dir, 'node.log');
const node = startChild(import.meta.url, './fuzz/node', { url: server.url, log }, ['--expose-gc']);
try {
  await node.until((line) => line === 'up' || null);
  const bus = await connectBus({ url: server.url }, 'fuzz', subjects, silent);
  const follower = await Follower.open(server.url, bus, subjects);
  const began = performance.now();
  let half = await memory();
  for (let done = 0; done < total; ) {
    const tasks = hostileTasks(Math.min(CHUNK, total - done), Number(options.seed) + done);
    await sendAll(follower, tasks);
    await settled(follower);
    const before = done;
    done += tasks.length;
    if (before < total / 2 && done >= total / 2) {
      await endAll(follower);
      half = await memory();
    }
    if (Math.floor(before / 1000) < Math.floor(done / 1000)) {
      progress(
        `${done} tasks: ${follower.accepted.size} accepted, ${follower.dead.size} dead letters, ${follower.running().length} still run`,
      );
    }
    if (!node.alive) break;
  }
  await endAll(follower);
  const lost = [...follower.open().map((seq) => `task ${seq}`), ...follower.running()];
  for (const what of lost.slice(0, 10)) {
    const task = [...follower.sent].find(([seq]) => what === `task ${seq}` || follower.accepted.get(seq) === what)?.[1];
    progress(`lost: ${what} ${task?.subject} ${Buffer.from(task?.body ?? []).toString('utf8', 0, 300)}`);
  }
  const nodeUp = node.alive && (await answers(bus));
  const end = nodeUp ? await memory() : half;
  const codes: Record<string, number> = {};
  for (const code of follower.dead.values()) codes[code] = (codes[code] ?? 0) + 1;
  const mb = (bytes: number): number => Math.round((bytes / 2 ** 20) * 10) / 10;
  const figures = {
    tasks: follower.sent.size,
    accepted: follower.accepted.size,
    deadLettered: follower.dead.size,
    lost: lost.length,
    nodeUp,
    memoryGrowthMb: mb(end.heapUsed - half.heapUsed),
    rssGrowthMb: mb(end.rss - half.rss),
    heapMb: mb(end.heapUsed),
    rssMb: mb(end.rss),
    runsEnded: follower.ended.size,
    seed: Number(options.seed),
    seconds: Math.round((performance.now() - began) / 1000),
    deadLetterCodes: codes,
  };
  const violations: string[] = [];
  if (lost.length > 0) violations.push(`${lost.length} tasks were lost`);
  if (!nodeUp) violations.push('the node went down');
  if (figures.memoryGrowthMb > Number(options.mostGrowthMb)) {
    violations.push(`the heap grew by ${figures.memoryGrowthMb} MB in the second half`);
  }
  await follower.close();
  await bus.close();
  finish('fuzz', 'Fuzzing the door', figures, violations, options);
} finally {
  if (options.logs !== undefined) copyFileSync(log, options.logs);
  await node.end('SIGKILL');
  await server.stop();
}

async function sendAll(follower: Follower, tasks: ReturnType<typeof hostileTasks>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: IN_FLIGHT }, async () => {
      while (next < tasks.length) {
        const task = tasks[next++];
        if (task !== undefined) await follower.send(task);
      }
    }),
  );
}

/** Waits until each task sent so far is a run or a dead letter. */
async function settled(follower: Follower): Promise<void> {
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    await follower.readDeadLetters();
    if (follower.open().length === 0 || performance.now() > until || !node.alive) return;
    await delay(20);
  }
}

/** Cancels what would not end by itself, and waits until every run has a result. */
async function endAll(follower: Follower): Promise<void> {
  const until = performance.now() + PATIENCE_MS;
  for (let round = 0; follower.running().length > 0 && performance.now() < until && node.alive; round++) {
    if (round % 20 === 10) await Promise.all(follower.running().map((run) => follower.cancel(run)));
    await delay(100);
  }
}

async function memory(): Promise<{ rss: number; heapUsed: number }> {
  node.tell({ memory: true });
  return node.until((line) => (line.startsWith('{') ? (JSON.parse(line) as { rss: number; heapUsed: number }) : null));
}

async function answers(bus: Awaited<ReturnType<typeof connectBus>>): Promise<boolean> {
  return bus.request(subjects.api('node'), '{}', { timeoutMs: 5_000 }).then(
    () => true,
    () => false,
  );
}
