import { AppError } from '../core/errors.ts';
import type { Json } from '../core/json.ts';
import type { AccountRef } from '../core/ledger-wire.ts';
import type { Quotas } from '../core/quotas.ts';
import { argumentAt } from './permissions/resource.ts';
import { matches, nanosOf } from './quotas.ts';

/** Which caps hold for a call (TOOL-13), and how much of them a tool call takes. */

export interface CapOfCall {
  /** Of the full hour; with a limit in nanos of USD, in calls, or both. */
  account: AccountRef;
  /** The argument that is the amount in USD, where caps name one. */
  field?: string;
}

/** Of caps that measure alike the strictest holds: they are one account. Those that name an argument have one for it. */
export function capsOf(quotas: Quotas, target: string): CapOfCall[] {
  const found = new Map<string | undefined, CapOfCall>();
  for (const { for: pattern, calls, usd, amount_field: field } of quotas.caps) {
    if (!matches(pattern, target)) continue;
    if (calls !== undefined) lower(undefined, 'max_count', calls);
    if (usd !== undefined) lower(field, 'max_nanos', nanosOf(usd));
  }
  return [...found.values()];

  function lower(field: string | undefined, limit: 'max_count' | 'max_nanos', most: number): void {
    const scope = field === undefined ? `cap:${target}` : `cap:${target} ${field}`;
    const cap = found.get(field) ?? { account: { scope, period: 'hour' }, ...(field === undefined ? {} : { field }) };
    found.set(field, { ...cap, account: { ...cap.account, [limit]: Math.min(most, cap.account[limit] ?? most) } });
  }
}

/**
 * What a tool call moves, nanos of USD, rounded up. Throws AppError `amount_unknown` where that cannot be told for sure.
 * @param field the argument that says so; undefined: neither the cap nor the tool names one
 */
export function amountMoved(tool: string, field: string | undefined, args: Record<string, Json>): number {
  if (field === undefined) {
    const text = `${tool} is not called: a cap in USD holds for it, and no argument is its amount. Name one in the tool's definition or in the cap (amount_field), or cap its calls`;
    throw new AppError('amount_unknown', text);
  }
  const value = argumentAt(args, field);
  if (typeof value === 'number' && value >= 0) return nanosOf(value);
  const text = `${tool} is not called: a cap in USD holds for it, and its amount ${field} ${wordsOf(value)}; expected a number of USD, 0 or more`;
  throw new AppError('amount_unknown', text, { field });
}

function wordsOf(value: Json | undefined): string {
  if (value === undefined) return 'is missing';
  if (typeof value === 'number') return `is ${value}`;
  if (value === null) return 'is null';
  return `is ${typeof value === 'string' ? 'a text' : Array.isArray(value) ? 'a list' : `of type ${typeof value}`}`;
}
