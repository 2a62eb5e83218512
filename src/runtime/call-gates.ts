import type { Usage } from '../core/decision.ts';
import { type AppError, toAppError } from '../core/errors.ts';
import type { Amount, LedgerEntryOf } from '../core/ledger-wire.ts';
import { type CapOfCall, capsOf } from '../policy/caps.ts';
import { NOTHING } from '../policy/ledger/accounts.ts';
import type { Taken } from '../policy/ledger/buckets.ts';
import { type BucketsOfCall, breakerOf, bucketsOf, isTheirFault } from '../policy/quotas.ts';
import { amountCharged } from '../policy/slices.ts';
import { capReached, circuitOpen, rateLimited, type Stopped } from './call-refusals.ts';
import { type EffectScope, SETTLE_MS, stepTime } from './effects.ts';

/**
 * The gates of TOOL-12 that all nodes share: cap, then rate, then breaker, asked right before a tool or a model is
 * called. Where nothing is configured and the breaker has seen no failure nobody is asked, and nothing is told.
 */

/** A wait up to this long is waited here, milliseconds; a longer one is journalled, and may park the run. */
const WAIT_HERE_MS = 2_000;

/** How a call went; `not_made`: it was not sent after all; `cut`: it was, and nobody waited for what came of it. */
export type CallOutcome = 'ok' | 'not_made' | 'cut' | AppError;

/** What a call takes of what it is measured by, as far as that is known before. */
export interface Foreseen {
  /** That a model call may use. */
  tokens(): number;
  /** What it costs or moves, nanos of USD. Throws AppError where nobody can tell. @param field the argument that caps name */
  nanos(field: string | undefined): number | Promise<number>;
}

export interface Passed {
  /** @param used by a model call; null: nobody knows, so what was foreseen is charged, as for tools */
  over(outcome: CallOutcome, used: Usage | null): void;
}

/** What was taken of the cluster's, and is corrected once it is known: an entry of the ledger. */
interface Held {
  id: string;
  amount: Amount;
}

/** Throws AppError `ledger_unavailable`, and what `nanos` throws. @param target `tool:NAME` or `model:NAME` */
export async function passGates(scope: EffectScope, target: string, foreseen: Foreseen): Promise<Passed | Stopped> {
  const { deps, accepted } = scope;
  const quotas = deps.quotas();
  const buckets = bucketsOf(quotas, target, accepted.user, foreseen.tokens);
  const rule = breakerOf(quotas, target);
  const breaker = rule === null ? null : deps.ledger.ledger.breakers.get(target);
  // Known to be open: then nothing is taken that could not be given back.
  if (breaker?.state === 'open' && deps.clock.now() < breaker.until) return circuitOpen(target, breaker.until);

  const held: Held[] = [];
  const settle = (amountFor: (held: Held) => Amount): void => {
    for (const one of held) tell(scope, { v: 1, kind: 'settle', id: one.id, amount: amountFor(one) });
  };
  const giveBack = (): void => settle(() => NOTHING);
  try {
    for (const cap of capsOf(quotas, target)) {
      const stopped = await reserve(scope, target, cap, foreseen, held);
      if (stopped !== null) {
        giveBack();
        return stopped;
      }
    }
    while (buckets.calls.length + buckets.tokens.length > 0) {
      const verdict = await take(scope, target, buckets, held);
      if (verdict.granted) break;
      const wait = verdict.again_at === null ? Number.POSITIVE_INFINITY : verdict.again_at - deps.clock.now();
      if (wait > WAIT_HERE_MS || scope.effort.notWanted) {
        giveBack();
        return rateLimited(target, verdict);
      }
      await new Promise<void>((resolve) => void deps.clock.after(Math.max(1, wait), resolve));
    }
    let probe: string | null = null;
    if (rule !== null && deps.ledger.ledger.breakers.get(target).state !== 'closed') {
      const id = newId(scope, target);
      const verdict = await deps.ledger.probe({ v: 1, kind: 'probe', id, target, rule });
      if (!verdict.granted) {
        giveBack();
        return circuitOpen(target, verdict.again_at);
      }
      probe = id;
    }
    return {
      over(outcome, used) {
        if (outcome === 'not_made') giveBack();
        else settle(({ amount }) => (used === null ? amount : amountUsed(amount, used)));
        if (rule === null || outcome === 'not_made' || outcome === 'cut') return;
        const ok = outcome === 'ok' || !isTheirFault(outcome.code);
        // A success says something only where there were failures.
        if (ok && probe === null && deps.ledger.ledger.breakers.get(target).failures === 0) return;
        if (ok && outcome !== 'ok' && probe === null) return;
        // A node that is cut off hears nobody: that is its own trouble, and no word on the tool.
        if (!ok && (!deps.bus.connected || deps.switches.frozen)) return;
        tell(scope, { v: 1, kind: 'outcome', target, ok, rule, ...(probe === null ? {} : { probe }) });
      },
    };
  } catch (thrown) {
    giveBack();
    throw thrown;
  }
}

export function isStopped(one: Passed | Stopped): one is Stopped {
  return 'gate' in one;
}

/** A place in a cap; null when there is one. */
async function reserve(
  scope: EffectScope,
  target: string,
  { account, field }: CapOfCall,
  foreseen: Foreseen,
  held: Held[],
): Promise<Stopped | null> {
  const { deps, accepted, epoch } = scope;
  const nanos = account.max_nanos === undefined ? 0 : await foreseen.nanos(field);
  // Calls are counted in one account, whatever arguments other caps look at.
  const amount: Amount = { nanos, tokens: 0, count: field === undefined ? 1 : 0 };
  const unit = nanos > (account.max_nanos ?? 0) ? 'nanos' : amount.count > (account.max_count ?? 1) ? 'count' : null;
  // More than a whole hour has: it would wait for ever.
  if (unit !== null) return capReached(target, account, unit, null);
  const id = newId(scope, target);
  const until = deps.clock.now() + stepTime(scope) + SETTLE_MS;
  const entry: LedgerEntryOf<'reserve'> = {
    ...{ v: 1, kind: 'reserve', id, run: accepted.run, epoch, until },
    ...{ amount, accounts: [account] },
  };
  const verdict = await deps.ledger.reserve(entry);
  if (!verdict.granted) return capReached(target, account, verdict.unit, verdict.until);
  held.push({ id, amount });
  return null;
}

async function take(scope: EffectScope, target: string, buckets: BucketsOfCall, held: Held[]): Promise<Taken> {
  const { deps, accepted } = scope;
  const id = newId(scope, target);
  const { calls, tokens: estimated } = buckets;
  const [first] = estimated;
  if (first === undefined) return deps.ledger.take({ v: 1, kind: 'take', id, buckets: calls });
  const until = deps.clock.now() + stepTime(scope) + SETTLE_MS;
  // A run makes one model call at a time.
  const verdict = await deps.ledger.draw({
    ...{ v: 2, kind: 'draw', id, who: accepted.run, until },
    ...{ buckets: calls, estimated },
  });
  if (verdict.granted) held.push({ id, amount: { ...NOTHING, tokens: first.take } });
  return verdict;
}

/** What a model call used, in the units in which it was foreseen. */
function amountUsed({ nanos, tokens, count }: Amount, used: Usage): Amount {
  const charged = amountCharged(used);
  return { nanos: nanos === 0 ? 0 : charged.nanos, tokens: tokens === 0 ? 0 : charged.tokens, count };
}

function newId({ deps, accepted }: EffectScope, target: string): string {
  return `${accepted.run}:${target}:${deps.ids.random()}`.slice(-256);
}

/** Nobody waits for it: it is stored when the server is there. */
function tell({ deps, log }: EffectScope, entry: LedgerEntryOf<'settle' | 'outcome'>): void {
  deps.ledger.tell(entry).catch((thrown: unknown) => {
    const { code, message } = toAppError(thrown);
    if (code !== 'closed') log.warn('ledger.not_told', { kind: entry.kind, code, message });
  });
}
