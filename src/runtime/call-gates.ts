import { type AppError, toAppError } from '../core/errors.ts';
import type { LedgerEntryOf } from '../core/ledger-wire.ts';
import { breakerOf, bucketsOf, capsOf, isTheirFault } from '../policy/quotas.ts';
import { circuitOpen, noRoom, type Stopped } from './call-refusals.ts';
import { type EffectScope, stepTime } from './effects.ts';

/**
 * The gates of TOOL-12 that all nodes share: cap, then rate, then breaker, asked right before a tool or a model is
 * called. Where nothing is configured and the breaker has seen no failure nobody is asked, and nothing is told.
 */

/** A wait up to this long is waited here, milliseconds; a longer one is journalled, and may park the run. */
const WAIT_HERE_MS = 2_000;
/** How long after its time a call may still tell how it went, milliseconds. */
const SETTLE_MS = 600_000;

/** How a call went; `not_made`: it was not sent after all; `cut`: it was, and nobody waited for what came of it. */
export type CallOutcome = 'ok' | 'not_made' | 'cut' | AppError;

export interface Passed {
  over(outcome: CallOutcome): void;
}

/** Throws AppError `ledger_unavailable`. @param target `tool:NAME` or `model:NAME` */
export async function passGates(scope: EffectScope, target: string): Promise<Passed | Stopped> {
  const { deps, accepted } = scope;
  const quotas = deps.quotas();
  const buckets = bucketsOf(quotas, target, accepted.user);
  const caps = capsOf(quotas, target);
  const rule = breakerOf(quotas, target);
  const breaker = rule === null ? null : deps.ledger.ledger.breakers.get(target);
  // Known to be open: then nothing is taken that could not be given back.
  if (breaker?.state === 'open' && deps.clock.now() < breaker.until) return circuitOpen(target, breaker.until);

  let cap: string | null = null;
  if (caps.length > 0) {
    const id = newId(scope, target);
    const verdict = await deps.ledger.reserve({
      v: 1,
      kind: 'reserve',
      id,
      run: accepted.run,
      epoch: scope.epoch,
      until: deps.clock.now() + stepTime(scope) + SETTLE_MS,
      amount: { nanos: 0, tokens: 0, count: 1 },
      accounts: caps,
    });
    if (!verdict.granted) return noRoom('cap', target, verdict.until, `${verdict.account.max_count} calls an hour`);
    cap = id;
  }
  const giveBack = (): void => {
    if (cap !== null) tell(scope, { v: 1, kind: 'settle', id: cap, amount: { nanos: 0, tokens: 0, count: 0 } });
  };
  try {
    while (buckets.length > 0) {
      const verdict = await deps.ledger.take({ v: 1, kind: 'take', id: newId(scope, target), buckets });
      if (verdict.granted) break;
      const wait = verdict.again_at === null ? Number.POSITIVE_INFINITY : verdict.again_at - deps.clock.now();
      if (wait > WAIT_HERE_MS || scope.effort.notWanted) {
        giveBack();
        return noRoom('rate', target, verdict.again_at, `the rate of ${verdict.scope}`);
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
      over(outcome) {
        if (cap !== null) {
          const count = outcome === 'not_made' ? 0 : 1;
          tell(scope, { v: 1, kind: 'settle', id: cap, amount: { nanos: 0, tokens: 0, count } });
        }
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
