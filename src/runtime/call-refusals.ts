import { AppError } from '../core/errors.ts';

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

export function noRoom(gate: 'cap' | 'rate', target: string, again_at: number | null, most: string): Stopped {
  const when = again_at === null ? 'never as it is configured' : `at ${moment(again_at)}`;
  const text = `${target} has no room now (${most}): there is room again ${when}`;
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
