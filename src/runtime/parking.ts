import { AppError } from '../core/errors.ts';
import { streamsOf } from '../core/streams.ts';
import type { OwnedRun } from './owned-run.ts';
import { storeStatus } from './store-status.ts';

/**
 * Lets go of a run that waits for a person or a far moment, so that it costs no node anything. The order is the point:
 * what can wake the run is stored first, then `parked` names the activation that will be acked, then the status is stored
 * that says who is waited for, then the ack.
 */
export async function parkRun(owner: OwnedRun, nearest: number | null): Promise<boolean> {
  const { deps, run, delivery } = owner;
  if (nearest !== null) {
    await storeTimer(owner, nearest);
    deps.faults.hit('park.timer_stored');
  }
  const activation = { created: delivery.created, seq: delivery.seq };
  if (!(await owner.writeClosing([{ type: 'parked', activation }]))) return false;
  deps.faults.hit('park.written');
  const snapshot = owner.fold.snapshot();
  if (snapshot !== null) {
    await deps.journal.saveSnapshot(run, snapshot);
    deps.faults.hit('park.snapshot_written');
  }
  await storeStatus(deps, owner.accepted, owner.fold, await owner.steps.take());
  deps.faults.hit('park.status_stored');
  // This one, which `parked` names; a newer one that came meanwhile will be looked at when it comes again.
  delivery.ack();
  deps.faults.hit('park.acked');
  return true;
}

/**
 * A message in the inbox that becomes due at `at` (epoch ms); one a moment, so storing it twice is storing it once. One
 * that the journal holds already came too early by this node's clock and is about to be acked: it wakes nobody again.
 */
async function storeTimer({ deps, run, fold }: OwnedRun, at: number): Promise<void> {
  const due = Math.ceil(at);
  const stream = streamsOf(deps.subjects).inbox.name;
  for (const id of [String(due), `${due}-${fold.protocol.n}`]) {
    const subject = deps.subjects.inbox({ run, kind: 'timer', id });
    try {
      await deps.bus.publish(subject, JSON.stringify({ v: 1, due }));
      return;
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'taken') throw error;
    }
    const stored = await deps.bus.last(stream, subject, { authoritative: true });
    if (stored !== null && !fold.protocol.inbox.includes(stored.seq)) return;
  }
}
