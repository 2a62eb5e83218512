import { AppError } from '../core/errors.ts';
import type { AccountRef } from '../core/ledger-wire.ts';
import type { Unit } from '../policy/ledger/accounts.ts';
import { usdOf } from '../policy/quotas.ts';

/** What a gate says that lets nothing through now. */

const DAY_MS = 86_400_000;

/** Not now: when it may be, epoch milliseconds; null: not before somebody changes something. */
export interface Stopped {
  gate: 'cap' | 'rate' | 'breaker';
  error: AppError;
  again_at: number | null;
}

export function circuitOpen(target: string, again_at: number): Stopped {
  const text = `${target} failed too often in a row: nothing is sent to it until ${moment(again_at)} (proctor breakers ls)`;
  return { gate: 'breaker', error: new AppError('circuit_open', text, { retryable: true }), again_at };
}

export function capReached(target: string, account: AccountRef, unit: Unit, again_at: number | null): Stopped {
  const { max_nanos = 0, max_count = 0 } = account;
  const most = unit === 'nanos' ? `${usdOf(max_nanos)} USD` : `${max_count} calls`;
  return noRoom('cap', target, again_at, `${most} an hour`);
}

export function rateLimited(target: string, bucket: { scope: string; again_at: number | null }): Stopped {
  return noRoom('rate', target, bucket.again_at, `the rate of ${bucket.scope}`);
}

function noRoom(gate: 'cap' | 'rate', target: string, again_at: number | null, most: string): Stopped {
  const when = again_at === null ? 'there never is any for this call' : `there is room again at ${moment(again_at)}`;
  const text = `${target} has no room now (${most}): ${when}`;
  return {
    gate,
    error: new AppError(gate === 'cap' ? 'cap_reached' : 'rate_limited', text, { retryable: again_at !== null }),
    again_at,
  };
}

/** How long to leave it alone, milliseconds. */
export function waitOf({ again_at }: Stopped, now: number): number {
  return Math.min(DAY_MS, Math.max(1, (again_at ?? now + DAY_MS) - now));
}

function moment(at: number): string {
  return new Date(at).toISOString();
}
