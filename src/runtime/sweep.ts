import { ActivationBody } from '../core/activation-wire.ts';
import { toAppError } from '../core/errors.ts';
import { streamsOf } from '../core/streams.ts';
import type { StoredMessage } from '../ports/bus.ts';
import type { Cancel } from '../ports/clock.ts';
import { sweepApprovals } from './approval-requests.ts';
import type { NodeDeps } from './deps.ts';
import { removeMessage } from './remove.ts';

/**
 * A server that was killed brings back messages that were acked shortly before, and hands them to nobody
 * (nats-server 2.9). An activation that came back so would stand in the queue for ever and be counted as waiting work.
 * They are the oldest of the queue, so it is enough to look at its head now and then.
 */

const EVERY_MS = 600_000;
/** Activations that are looked at each time, oldest first. */
const HEAD = 100;
/** A younger one may be on its way to be acked. */
const MIN_AGE_MS = 60_000;

/** Sweeps every ten minutes, the first time after one; what fails is tried again the next time. */
export function startSweep(deps: NodeDeps): Cancel {
  const { clock, log } = deps;
  let stopped = false;
  let cancel = clock.after(MIN_AGE_MS, again);
  function again(): void {
    Promise.all([sweepActivations(deps), sweepApprovals(deps)]).then(next, (error: unknown) => {
      log.warn('sweep.failed', { message: toAppError(error).message });
      next();
    });
  }
  function next(): void {
    if (!stopped) cancel = clock.after(EVERY_MS, again);
  }
  return () => {
    stopped = true;
    cancel();
  };
}

/** Removes activations whose run has ended or names them as spent; resolves with how many. */
export async function sweepActivations(deps: NodeDeps): Promise<number> {
  const { bus, subjects, clock, log } = deps;
  const { queue } = streamsOf(subjects);
  const old: StoredMessage[] = [];
  for await (const message of bus.scan(queue.name, `${subjects.prefix}.queue.>`)) {
    if (old.length >= HEAD || clock.now() - message.at < MIN_AGE_MS) break;
    old.push(message);
  }
  let removed = 0;
  for (const message of old) {
    const { seq } = message;
    const run = runOf(message);
    if (run === null || !(await isOver(deps, run, seq))) continue;
    if (!(await removeMessage(deps, queue.name, message))) continue;
    removed++;
    log.warn('activation.came_back', { run_id: run, seq, consequence: 'it is removed again' });
  }
  return removed;
}

/** Null for one that its subject and its body do not name alike: it is none of ours. */
function runOf({ data, subject }: StoredMessage): string | null {
  try {
    const body = ActivationBody.safeParse(JSON.parse(data));
    return body.success && subject.endsWith(`.${body.data.run}`) ? body.data.run : null;
  } catch {
    return null;
  }
}

/** An end counts once the result is stored: before that the activation is what makes somebody store it. */
async function isOver({ bus, journal, subjects }: NodeDeps, run: string, seq: number): Promise<boolean> {
  const fold = await journal.load(run);
  if (fold === null) return false;
  fold.stop();
  const { context, protocol } = fold;
  if (!fold.ended) return protocol.released && protocol.parked !== null && seq <= protocol.parked.seq;
  const subject = subjects.result(context.agent, context.user, run);
  return (await bus.last(streamsOf(subjects).results.name, subject, { authoritative: true })) !== null;
}
