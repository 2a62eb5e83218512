import type { AccountRef, Amount } from '../core/ledger-wire.ts';
import type { Ledger } from '../policy/ledger/ledger.ts';
import type { Log } from '../ports/telemetry.ts';

/** Shares of a budget that are told of. */
const MARKS = [0.5, 0.8, 1];

/**
 * Tells when what was charged took an account past a mark: each mark once in a period, by whoever charged it. What is
 * only held counts for none: most of it comes back.
 * @param at when it was reserved: it is charged to the accounts of that time
 */
export function tellMarks(log: Log, ledger: Ledger, refs: readonly AccountRef[], at: number, added: Amount): void {
  for (const ref of refs) {
    const { spent } = ledger.accounts.read(ref, at);
    tellMark(ref, 'usd', spent.nanos, added.nanos, ref.max_nanos);
    tellMark(ref, 'tokens', spent.tokens, added.tokens, ref.max_tokens);
  }
  function tellMark({ scope, period }: AccountRef, unit: string, used: number, by: number, most = 0): void {
    if (most === 0) return;
    const mark = MARKS.findLast((share) => used >= share * most);
    if (mark === undefined || used - by >= mark * most) return;
    log.warn('budget.threshold', { budget: scope, period, unit, percent: mark * 100 });
  }
}
