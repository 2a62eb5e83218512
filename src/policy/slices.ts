import type { Usage } from '../core/decision.ts';
import type { RunEvent } from '../core/events.ts';
import type { JournalEntry } from '../core/journal-entry.ts';
import type { Account, AccountRef, Amount } from '../core/ledger-wire.ts';
import { NOTHING, plus } from './ledger/accounts.ts';
import { nanosOf } from './quotas.ts';

/**
 * How much a run reserves at once (COST-2): room for several model calls, of which the calls draw without an entry each.
 * What a slice takes from others is bounded three ways: by its share of what is left, by its calls and by its time.
 */

/** Most estimates that a slice has room for. */
const CALLS = 8;
/** Most of what is left in the tightest of its accounts that a slice may take. */
const SHARE = 0.02;
/** How long calls may draw from a slice, milliseconds. */
export const SLICE_MS = 10_000;

export interface Room {
  ref: AccountRef;
  account: Pick<Account, 'spent' | 'held'>;
}

/** For how many calls like this one to reserve: 1 where more would be more than its share. */
export function callsOfSlice(estimate: Amount, rooms: readonly Room[]): number {
  let calls = CALLS;
  for (const { ref, account } of rooms) {
    calls = Math.min(calls, shareOf(ref.max_nanos, account, 'nanos', estimate.nanos));
    calls = Math.min(calls, shareOf(ref.max_tokens, account, 'tokens', estimate.tokens));
  }
  return Math.max(1, calls);
}

function shareOf(most: number | undefined, { spent, held }: Room['account'], unit: 'nanos' | 'tokens', one: number) {
  if (most === undefined || one === 0) return CALLS;
  return Math.floor(((most - spent[unit] - held[unit]) * SHARE) / one);
}

export function times({ nanos, tokens, count }: Amount, n: number): Amount {
  return { nanos: nanos * n, tokens: tokens * n, count: count * n };
}

/** What is not used yet; nothing where more was used. */
export function leftOf(reserved: Amount, used: Amount): Amount {
  return {
    nanos: Math.max(0, reserved.nanos - used.nanos),
    tokens: Math.max(0, reserved.tokens - used.tokens),
    count: Math.max(0, reserved.count - used.count),
  };
}

export function fitsIn(amount: Amount, left: Amount): boolean {
  return amount.nanos <= left.nanos && amount.tokens <= left.tokens && amount.count <= left.count;
}

export function isSame(a: Amount, b: Amount): boolean {
  return a.nanos === b.nanos && a.tokens === b.tokens && a.count === b.count;
}

/** What a model call is charged. */
export function amountCharged({ input_tokens, output_tokens, cost_usd }: Usage): Amount {
  return { nanos: nanosOf(cost_usd), tokens: input_tokens + output_tokens, count: 0 };
}

/** The name of what a run reserves for model calls. @param entry the last entry of its journal then @param unique of its own */
export function sliceId(run: string, entry: number, unique: string): string {
  return `${run}:${entry}:${unique}`;
}

/** The last entry of the journal when it was reserved; null for what is no slice, or was reserved by an older version. */
export function sliceStart(id: string, run: string): number | null {
  if (!id.startsWith(`${run}:`)) return null;
  const [entry] = id.slice(run.length + 1).split(':', 1);
  return entry !== undefined && /^\d{1,15}$/.test(entry) ? Number(entry) : null;
}

/** Events that a model call ends with: they say what it used. */
type Concluding = Extract<RunEvent, { type: 'decided' | 'think_retry' | 'think_failed' | 'using_fallback' }>;
const CONCLUDING: ReadonlySet<string> = new Set<Concluding['type']>([
  'decided',
  'think_retry',
  'think_failed',
  'using_fallback',
]);

/** Beside what is told of tool calls, what cuts off no model call. Of anything else it is taken that it may have. */
const CUTS_NOTHING: ReadonlySet<string> = new Set<RunEvent['type']>(['claimed', 'resume', 'released', 'timer']);

export interface Traces {
  /** What the journal says of the calls of that claim. */
  used: Amount;
  /** There may have been one more call, which it says nothing of. */
  open: boolean;
}

/**
 * What a journal tells of the model calls that drew from a slice. There is at most one that it does not tell of: calls
 * are made one after the other, and none is made from a slice after one whose outcome was not journalled.
 * @param entries of the journal, from the one behind the slice's start on, to the end or to the claim of whoever asks
 * @param epoch the claim that the slice was reserved under
 * @param thinking whether the run wants a model call where they end
 */
export function tracesOf(entries: readonly JournalEntry[], epoch: number, thinking: boolean): Traces {
  let used = NOTHING;
  let open = true;
  for (const [i, entry] of entries.entries()) {
    const isOthers = entry.epoch > epoch;
    // Where the run stood when another took it is not known here.
    if (isOthers && i < entries.length - 1) return { used, open: true };
    const concluding = isOthers ? [] : entry.events.filter(isConcluding);
    for (const { usage } of concluding) used = plus(used, amountCharged(usage));
    // What stands in one entry with an outcome was journalled before anything more could begin.
    if (concluding.length > 0) open = false;
    else if (entry.events.some((event) => !('c' in event) && !CUTS_NOTHING.has(event.type))) open = true;
  }
  return { used, open: open || thinking };
}

function isConcluding(event: RunEvent): event is Concluding {
  // Time that is over cuts a call off, whoever takes the run over then.
  return CONCLUDING.has(event.type) && !(event.type === 'using_fallback' && event.kind === 'time');
}

/** What a slice is charged whose owner is gone: what its calls used, and the estimate of the one that may be under way. */
export function chargeOf(reserved: Amount, { used, open }: Traces, estimate: Amount): Amount {
  if (!open) return used;
  const left = leftOf(reserved, used);
  // It was made only if there was room for it.
  return plus(used, {
    nanos: Math.min(estimate.nanos, left.nanos),
    tokens: Math.min(estimate.tokens, left.tokens),
    count: 0,
  });
}
