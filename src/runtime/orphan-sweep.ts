import { z } from 'zod';
import { toAppError } from '../core/errors.ts';
import { streamsOf } from '../core/streams.ts';
import type { Cancel } from '../ports/clock.ts';
import type { NodeDeps } from './deps.ts';
import { OrphanSearch } from './orphans.ts';

/**
 * When orphans are looked for: a page of runs a minute, by one node of the cluster. A mark on the bus says when that was
 * last done and where the next page begins. Two nodes that see it at the same moment do the same work twice, which does
 * no harm.
 */

const EVERY_MS = 60_000;
/** Nodes that were started together look at different moments. */
const SPREAD_MS = 10_000;

const Mark = z.object({ v: z.literal(1), next: z.int().min(1) });

/** What fails is tried again the next time. */
export function startOrphanSweep(deps: NodeDeps): Cancel {
  const { bus, clock, ids, log } = deps;
  let cancel: Cancel = () => {};
  let stopped = false;
  const arm = (): void => {
    if (!stopped) cancel = clock.after(EVERY_MS + Math.round(ids.fraction() * SPREAD_MS), look);
  };
  const look = (): void => {
    const swept = bus.connected ? sweepOrphans(deps) : Promise.resolve(0);
    swept.then(arm, (thrown: unknown) => {
      const { code, message } = toAppError(thrown);
      if (code === 'closed') return;
      log.warn('orphans.not_looked_for', { code, message, consequence: 'tried again in a minute' });
      arm();
    });
  };
  arm();
  return () => {
    stopped = true;
    cancel();
  };
}

/** Looks at the next page unless some node did within the last minute; resolves with how many runs it queued anew. */
export async function sweepOrphans(deps: NodeDeps): Promise<number> {
  const { bus, clock, subjects } = deps;
  const subject = subjects.sweep('orphans');
  const mark = await bus.last(streamsOf(subjects).clock.name, subject, { authoritative: true });
  if (mark !== null && clock.now() - mark.at < EVERY_MS) return 0;
  const from = mark === null ? 1 : readMark(mark.data);
  const write = (next: number) => bus.publish(subject, JSON.stringify({ v: 1, next }));
  // First its turn is taken: a node that dies over it is followed by another, on the same page.
  await write(from);
  const { next, found } = await new OrphanSearch(deps).page(from);
  await write(next);
  return found;
}

function readMark(data: string): number {
  try {
    return Mark.parse(JSON.parse(data)).next;
  } catch {
    return 1;
  }
}
