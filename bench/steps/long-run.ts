import { connect, type NatsConnection } from '@nats-io/transport-node';
import { connectBus } from '../../src/app.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { startChild } from '../support/children.ts';
import { silent } from '../support/log.ts';
import { median, round } from '../support/numbers.ts';
import { ResultFeed } from '../support/results.ts';
import { startServer } from '../support/server.ts';
import { AGENT, type StepProcessOptions } from './wire.ts';

/** One run of many steps: what a step costs at its end against what it cost at its beginning. */

export interface Part {
  /** Median. */
  msPerStep: number;
  /** Journal entries and snapshots, mean. */
  bytesPerStep: number;
}

export interface LongRun {
  steps: number;
  first: Part;
  last: Part;
  ratioTime: number;
  ratioBytes: number;
  snapshotMaxBytes: number;
  snapshots: number;
  seconds: number;
}

/** A run made before the measured one, so that its first steps are not those of a cold process. */
const WARMUP_STEPS = 500;

export async function longRun(steps: number): Promise<LongRun> {
  const server = await startServer();
  const settings: StepProcessOptions = { url: server.url, prefix: 'bench', slots: 2, steps, tool: 'local' };
  const node = startChild(import.meta.url, './node', settings);
  const subjects = new Subjects(settings.prefix);
  const nc = await connect({ servers: server.url, noAsyncTraces: true });
  const bus = await connectBus({ url: server.url }, 'bench-driver', subjects, silent);
  const feed = await ResultFeed.open(server.url, subjects);
  const run = async (length: number): Promise<void> => {
    const session = `long-${length}`;
    const ended = feed.next(session);
    await bus.publish(subjects.task(AGENT, 'long'), JSON.stringify({ input: length, session_id: session }));
    const result = await ended;
    if (result.status !== 'completed') throw new Error(`the run ended ${result.code}`);
  };
  try {
    await node.until((line) => line === 'up' || null);
    await run(WARMUP_STEPS);
    const written = await watch(nc, settings.prefix);
    const began = performance.now();
    await run(steps);
    await nc.flush();
    return figures(steps, written, (performance.now() - began) / 1000);
  } finally {
    await node.end('SIGKILL');
    await Promise.all([bus.close(), feed.close(), nc.close()]);
    await server.stop();
  }
}

/** What the node wrote: when each step was finished, and the bytes since the step before. */
interface Written {
  steps: { at: number; bytes: number }[];
  snapshots: number[];
}

async function watch(nc: NatsConnection, prefix: string): Promise<Written> {
  const written: Written = { steps: [], snapshots: [] };
  let bytes = 0;
  nc.subscribe(`${prefix}.jrn.>`, {
    callback: (_, message) => {
      bytes += message.data.length;
      if (!message.string().includes('"type":"call_done"')) return;
      written.steps.push({ at: performance.now(), bytes });
      bytes = 0;
    },
  });
  nc.subscribe(`${prefix}.snap.>`, {
    callback: (_, message) => {
      bytes += message.data.length;
      written.snapshots.push(message.data.length);
    },
  });
  await nc.flush();
  return written;
}

function figures(steps: number, { steps: made, snapshots }: Written, seconds: number): LongRun {
  if (made.length !== steps) throw new Error(`${steps} steps were asked for and ${made.length} were seen`);
  const tenth = Math.floor(steps / 10);
  const part = (from: number): Part => {
    const times: number[] = [];
    let bytes = 0;
    for (let i = from; i < from + tenth; i++) {
      times.push((made[i]?.at ?? 0) - (made[i - 1]?.at ?? 0));
      bytes += made[i]?.bytes ?? 0;
    }
    return { msPerStep: median(times), bytesPerStep: bytes / tenth };
  };
  // The first step carries the acceptance and the claim.
  const [first, last] = [part(1), part(steps - tenth)];
  return {
    steps,
    first: { msPerStep: round(first.msPerStep), bytesPerStep: Math.round(first.bytesPerStep) },
    last: { msPerStep: round(last.msPerStep), bytesPerStep: Math.round(last.bytesPerStep) },
    ratioTime: round(last.msPerStep / first.msPerStep),
    ratioBytes: round(last.bytesPerStep / first.bytesPerStep),
    snapshotMaxBytes: Math.max(0, ...snapshots),
    snapshots: snapshots.length,
    seconds: round(seconds),
  };
}
