import { NO_USAGE, Usage } from '../core/decision.ts';
import { type AppError, clip } from '../core/errors.ts';
import type { RunEventOf } from '../core/events.ts';
import { modelOf } from '../core/fallback.ts';
import type { AccountRef, Amount, LedgerEntryOf } from '../core/ledger-wire.ts';
import type { Reserved } from '../policy/ledger/accounts.ts';
import type { Ledger } from '../policy/ledger/ledger.ts';
import { accountsOf, estimateOf, isPriced, nanosOf, usdOf } from '../policy/quotas.ts';
import { type EffectScope, stepTime } from './effects.ts';

/**
 * Money and tokens of a model call (COST-2): the estimate is reserved in all of its accounts before, what was really
 * used is settled after, and only then may the journal hold what came of the call: so whoever finds the reservation
 * open later knows that nobody settles it. A call that costs nothing asks nobody.
 */

/** How long after the end of a call it may take to settle it, milliseconds. */
const SETTLE_MS = 600_000;
/** How soon an account is asked again whose rest is held by other calls, milliseconds: doubled each time, at most the second. */
const AGAIN_MS = 250;
const LONGEST_AGAIN_MS = 4_000;
/** Shares of a budget that are told of. */
const MARKS = [0.5, 0.8, 1];

export interface Hold {
  /** What was used is charged; null: nobody knows, so the estimate is. */
  settle(usage: Usage | null): Promise<void>;
}

/** What the next model call may use; worked out when it is first asked for. Throws AppError `unknown_price`. */
export function estimateFor({ deps, accepted, context }: EffectScope, maxOutputTokens: number): () => Amount {
  const { instructions = '' } = accepted.agent;
  let known: Amount | null = null;
  return () =>
    (known ??= estimateOf(deps.price(modelOf(accepted.agent, context)), {
      chars: instructions.length + JSON.stringify(accepted.task).length,
      inputTokens: context.input_tokens,
      calls: context.thinks,
      maxOutputTokens,
    }));
}

/** Null: it costs nothing. Throws AppError `ledger_unavailable`, or `unknown_price`. */
export async function holdForThink(
  scope: EffectScope,
  thinkId: string,
  estimate: () => Amount,
): Promise<Hold | RunEventOf<'limit'> | null> {
  const { deps, accepted, context, epoch } = scope;
  if (!isPriced(deps.price(modelOf(accepted.agent, context)))) return null;
  const root = accepted.ancestors[0] ?? accepted.run;
  const accounts = accountsOf(deps.quotas(), { user: accepted.user, agent: accepted.agent.name, root });
  if (accounts.length === 0) return null;
  const amount = estimate();
  const until = deps.clock.now() + stepTime(scope);
  for (let wait = AGAIN_MS; ; wait = Math.min(2 * wait, LONGEST_AGAIN_MS)) {
    const entry: LedgerEntryOf<'reserve'> = {
      v: 1,
      kind: 'reserve',
      id: `${accepted.run}:${thinkId}:${deps.ids.random()}`,
      run: accepted.run,
      epoch,
      until: until + SETTLE_MS,
      amount,
      accounts,
    };
    const verdict = await deps.ledger.reserve(entry, (ledger, at) => tellMarks(scope, ledger, at, entry));
    if (verdict.granted) return held(scope, entry);
    // What others hold may come back: they settle less than they reserved.
    const mayFit = verdict.left + verdict.held >= amount[verdict.unit];
    if (!mayFit || deps.clock.now() + wait > until || scope.effort.notWanted) return refused(scope, verdict, amount);
    const moment = Math.round(wait * (0.5 + deps.ids.fraction()));
    await new Promise<void>((resolve) => void deps.clock.after(moment, resolve));
  }
}

/** What a failed call used, by what it says of it; null: nobody knows. @param isCut it was cut off from this side */
export function usedByFailed({ usage, code }: AppError, isCut: boolean): Usage | null {
  const used = Usage.safeParse(usage);
  if (used.success) return used.data;
  return isCut || NOT_KNOWN.has(code) ? null : NO_USAGE;
}

/** It was on its way to the provider, who may have answered and counted. */
const NOT_KNOWN: ReadonlySet<string> = new Set(['timeout', 'aborted', 'model_unavailable', 'closed']);

function held({ deps, log }: EffectScope, { id }: LedgerEntryOf<'reserve'>): Hold {
  return {
    async settle(usage) {
      if (usage === null) {
        log.warn('ledger.reservation_lost', {
          id,
          why: 'what the model call used is not known',
          consequence: 'it is charged at its estimate',
        });
        await deps.ledger.tell({ v: 1, kind: 'lost', id, why: 'what the model call used is not known' });
        return;
      }
      const tokens = usage.input_tokens + usage.output_tokens;
      await deps.ledger.tell({
        v: 1,
        kind: 'settle',
        id,
        amount: { nanos: nanosOf(usage.cost_usd), tokens, count: 0 },
      });
    },
  };
}

/** The end of a run whose next call has no room (COST-4). */
function refused(
  { accepted, log }: EffectScope,
  verdict: Extract<Reserved, { granted: false }>,
  amount: Amount,
): RunEventOf<'limit'> {
  const { account, unit, left, held: rest, until } = verdict;
  const most = (unit === 'nanos' ? account.max_nanos : account.max_tokens) ?? 0;
  const say = (n: number) => (unit === 'nanos' ? `${usdOf(n).toFixed(4)} USD` : `${n} tokens`);
  const budget = `${account.scope}${account.period === 'ever' ? '' : ` this ${account.period}`}`;
  log.warn('budget_exceeded', {
    user_id: accepted.user,
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

/** Tells when this reservation takes an account past a mark: each mark once in a period, by whoever passes it. */
function tellMarks({ log }: EffectScope, ledger: Ledger, at: number, entry: LedgerEntryOf<'reserve'>): void {
  for (const ref of entry.accounts) {
    const { spent, held: open } = ledger.accounts.read(ref, at);
    tellMark(ref, 'usd', spent.nanos + open.nanos, entry.amount.nanos, ref.max_nanos);
    tellMark(ref, 'tokens', spent.tokens + open.tokens, entry.amount.tokens, ref.max_tokens);
  }
  function tellMark({ scope, period }: AccountRef, unit: string, used: number, added: number, most = 0): void {
    if (most === 0) return;
    const mark = MARKS.findLast((share) => used >= share * most);
    if (mark === undefined || used - added >= mark * most) return;
    log.warn('budget.threshold', { budget: scope, period, unit, percent: mark * 100 });
  }
}
