import { createHash } from 'node:crypto';
import { connectBus } from '../../src/app.ts';
import { periodOfRun } from '../../src/core/ids.ts';
import { blobStream } from '../../src/core/streams.ts';
import { Subjects } from '../../src/core/subjects.ts';
import type { Bus, StoredMessage } from '../../src/ports/bus.ts';
import { startChild } from '../support/children.ts';
import { silent } from '../support/log.ts';
import { round } from '../support/numbers.ts';
import { peakMb } from '../support/proc.ts';
import { ResultFeed } from '../support/results.ts';
import { startServer } from '../support/server.ts';
import { AGENT, PREFIX, type ResultsProcessOptions, TOOL } from './wire.ts';

/** So many runs at once, each with one large result; then everything that was stored is read and its digest taken. */

export interface ResultsFigures extends Record<string, number> {
  results: number;
  /** Of all results, as stored. */
  bytes: number;
  /** Most memory that the node held. */
  peakMb: number;
  seconds: number;
  errors: number;
}

export async function largeResults(count: number, bytesEach: number): Promise<ResultsFigures> {
  const server = await startServer();
  const subjects = new Subjects(PREFIX);
  const options: ResultsProcessOptions = { url: server.url, slots: count };
  const worker = startChild(import.meta.url, './worker', options);
  const node = startChild(import.meta.url, './node', options);
  try {
    await Promise.all([worker, node].map((child) => child.until((line) => line === 'up' || null)));
    const bus = await connectBus({ url: server.url }, 'results-drill', subjects, silent);
    const feed = await ResultFeed.open(server.url, subjects);
    const began = performance.now();
    const ended = await Promise.all(
      Array.from({ length: count }, async (_, number) => {
        const result = feed.next(`result-${number}`);
        const args = { bytes: bytesEach, number };
        const task = { input: '', session_id: `result-${number}`, plan: { steps: [{ id: 's', tool: TOOL, args }] } };
        await bus.publish(subjects.task(AGENT, 'drill'), JSON.stringify(task));
        return result;
      }),
    );
    const seconds = (performance.now() - began) / 1000;
    const peak = peakMb(node.pid);
    const completed = ended.filter((result) => result.status === 'completed');
    const stored = await readStored(
      bus,
      subjects,
      completed.map((result) => result.run),
    );
    await feed.close();
    await bus.close();
    const { results, bytes } = stored;
    return { results, bytes, peakMb: round(peak), seconds: round(seconds), errors: count - results };
  } finally {
    await Promise.all([worker.end('SIGKILL'), node.end('SIGKILL')]);
    await server.stop();
  }
}

/** How many of the runs have a result that has the digest its subject says, and how long those are. */
async function readStored(bus: Bus, subjects: Subjects, runs: string[]): Promise<{ results: number; bytes: number }> {
  const told = { results: 0, bytes: 0 };
  for (const run of runs) {
    const { name } = blobStream(subjects, periodOfRun(run));
    // The digest is in the subject: any call, any digest, part 0.
    const first = await bus.last(name, subjects.blob(run, '*', '*', 0));
    if (first === null) continue;
    const base = first.subject.slice(0, -1);
    const hash = createHash('sha256');
    let bytes = 0;
    for (let part = 0, message: StoredMessage | null = first; message !== null; ) {
      hash.update(message.bytes());
      bytes += message.bytes().length;
      message = await bus.last(name, `${base}${++part}`);
    }
    if (!base.endsWith(`.${hash.digest('hex')}.`)) continue;
    told.results++;
    told.bytes += bytes;
  }
  return told;
}
