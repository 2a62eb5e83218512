import type { Want } from '../../machines/agent-run/wanted.ts';
import type { JournalEntry } from '../core/journal-entry.ts';
import type { Amount } from '../core/ledger-wire.ts';
import type { RunContext } from '../core/run-state.ts';
import type { Ledger } from '../policy/ledger/ledger.ts';
import { accountsOf } from '../policy/quotas.ts';
import { chargeOf, sliceStart, tracesOf } from '../policy/slices.ts';
import { tellMarks } from './budget-words.ts';
import { estimateFor, isPaid, type Spender, spenderOf } from './estimate.ts';
import type { RunFold } from './fold.ts';
import type { Charge, Left } from './ledger-log.ts';
import { maxOutputOf } from './think-input.ts';

/**
 * What owners that died have left open is charged by the next one: what the journal tells of their calls, and the
 * estimate of the one that may have been under way. Where that cannot be said, all that was reserved is charged.
 */

/** @param fold as it stands behind the claim of whoever charges, or behind the end of the run */
export function chargeByJournal(run: Spender, fold: Pick<RunFold, 'context' | 'protocol' | 'wants'>): Charge {
  const { n } = fold.protocol;
  const { context } = fold;
  const want = fold.wants().find((one) => one.kind === 'think');
  return async (left) => {
    const inOrder = left
      .map((one) => ({ one, start: sliceStart(one.id, run.accepted.run) }))
      .sort((a, b) => (a.start ?? -1) - (b.start ?? -1));
    const refs = accountsOf(run.deps.quotas(), spenderOf(run.accepted));
    const found = await Promise.all(
      inOrder.map(({ one, start }, i) => {
        if (start === null) return null;
        // Two of one claim: nobody acted on the first, as its verdict came too late.
        const next = inOrder.slice(i + 1).find((later) => later.one.reservation.epoch === one.reservation.epoch);
        const to = next?.start ?? n;
        return charged(run, one, { start, to, context, want: next === undefined ? want : undefined });
      }),
    );
    return new Map(
      inOrder.map(({ one: { id, reservation } }, i) => {
        const amount = found[i] ?? null;
        const look = (ledger: Ledger) => tellMarks(run.log, ledger, refs, reservation.at, amount ?? reservation.amount);
        return [id, { amount, look }];
      }),
    );
  };
}

interface Stretch {
  /** Of the journal: the entry that the slice begins behind, and the last that is its own. */
  start: number;
  to: number;
  context: RunContext;
  /** The model call that is wanted where it ends. */
  want: Extract<Want, { kind: 'think' }> | undefined;
}

/** Null: nobody knows. */
async function charged(
  run: Spender,
  { reservation }: Left,
  { start, to, context, want }: Stretch,
): Promise<Amount | null> {
  const entries = await entriesOf(run, start + 1, to);
  // A price that is gone, or a journal with a gap: then nobody knows.
  if (!isPaid(run, context) || entries === null) return null;
  const estimate = estimateFor(run, context, maxOutputOf(run.accepted, context, want?.phase ?? 'deciding'));
  return chargeOf(reservation.amount, tracesOf(entries, reservation.epoch, want !== undefined), estimate);
}

async function entriesOf({ deps, accepted }: Spender, from: number, to: number): Promise<JournalEntry[] | null> {
  const count = Math.max(0, to - from + 1);
  const entries: JournalEntry[] = [];
  for await (const entry of deps.journal.entries(accepted.run, from, count)) entries.push(entry);
  return entries.length === count ? entries : null;
}
