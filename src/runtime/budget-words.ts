import { clip } from '../core/errors.ts';
import type { RunEventOf } from '../core/events.ts';
import type { AccountRef, Amount } from '../core/ledger-wire.ts';
import type { Reserved } from '../policy/ledger/accounts.ts';
import type { Ledger } from '../policy/ledger/ledger.ts';
import { usdOf } from '../policy/quotas.ts';
import type { Log } from '../ports/telemetry.ts';

/** What is said of budgets: that one is nearly used up, and that a call has no room in it. */

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

/** The end of a run whose next call has no room (COST-4). */
export function refused(
  log: Log,
  user: string,
  verdict: Extract<Reserved, { granted: false }>,
  amount: Amount,
): RunEventOf<'limit'> {
  const { account, unit, left, held: rest, until } = verdict;
  const most = (unit === 'nanos' ? account.max_nanos : account.max_tokens) ?? 0;
  const say = (n: number) => (unit === 'nanos' ? `${usdOf(n).toFixed(4)} USD` : `${n} tokens`);
  const budget = `${account.scope}${account.period === 'ever' ? '' : ` this ${account.period}`}`;
  log.warn('budget_exceeded', {
    user_id: user,
    budget,
    most: say(most),
    current_spend: say(most - left - rest),
    held: say(rest),
    estimated_cost: say(amount[unit]),
    consequence: 'the run ends budget_exceeded',
  });
  const again = until === null ? '' : `; it begins anew at ${new Date(until).toISOString()}`;
  const detail = `the next model call may cost ${say(amount[unit])}, and of the budget ${budget} (${say(most)}) ${say(left)} are left, ${say(rest)} being held by other calls${again}`;
  return { type: 'limit', code: 'budget_exceeded', detail: clip(detail, 1_024) };
}
