import type { AccountRef, Amount, BreakerRule, BucketRef } from '../core/ledger-wire.ts';
import type { Budget, Budgets, Quotas, Rate } from '../core/quotas.ts';
import type { PriceEntry } from './pricing.ts';

/** Which accounts, buckets and breakers a call is measured against, and what it may cost. */

const NANOS = 1_000_000_000;

/** TOOL-7. */
const DEFAULT_BREAKERS: Record<'tool' | 'model', BreakerRule> = {
  tool: { failures: 5, open_ms: 60_000, successes: 2 },
  model: { failures: 3, open_ms: 30_000, successes: 2 },
};

/** USD as the ledger counts them, rounded up. */
export function nanosOf(usd: number): number {
  return Math.ceil(usd * NANOS - 1e-6);
}

export function usdOf(nanos: number): number {
  return nanos / NANOS;
}

export interface Spender {
  user: string;
  agent: string;
  /** The first of the runs above it, or the run itself. */
  root: string;
}

/** All accounts with a limit that a model call is measured against at once. */
export function accountsOf(quotas: Quotas, { user, agent, root }: Spender): AccountRef[] {
  const own = Object.hasOwn(quotas.users, user) ? quotas.users[user] : quotas.users['*'];
  const ofAgent = Object.hasOwn(quotas.agents, agent) ? quotas.agents[agent] : undefined;
  return [
    ...periods(`user:${user}`, own),
    ...periods(`agent:${agent}`, ofAgent),
    ...limited({ scope: `team:${root}`, period: 'ever' }, quotas.team),
  ];
}

function periods(scope: string, budgets: Budgets | undefined): AccountRef[] {
  return [...limited({ scope, period: 'day' }, budgets?.day), ...limited({ scope, period: 'month' }, budgets?.month)];
}

function limited(ref: AccountRef, budget: Budget | undefined): AccountRef[] {
  if (budget?.usd === undefined && budget?.tokens === undefined) return [];
  return [
    {
      ...ref,
      ...(budget.usd === undefined ? {} : { max_nanos: nanosOf(budget.usd) }),
      ...(budget.tokens === undefined ? {} : { max_tokens: budget.tokens }),
    },
  ];
}

/** Whether a model call costs anything. */
export function isPriced(price: PriceEntry | null): price is PriceEntry {
  return price !== null && (price.input > 0 || price.output > 0 || (price.cached_input ?? 0) > 0);
}

/** Characters a token, at least, in what people write; and what stands around a task: instructions for tools, forms. */
const CHARS_A_TOKEN = 3;
const AROUND_TOKENS = 1_000;
/** A window grows from step to step. */
const GROWTH = 1.25;

export interface Asked {
  /** Characters of the task and the instructions. */
  chars: number;
  /** Input tokens of the calls before, and how many those were. */
  inputTokens: number;
  calls: number;
  maxOutputTokens: number;
}

/** What a model call may use: nobody knows before what its provider counts, so by those before it. @param price null: it is free */
export function estimateOf(price: PriceEntry | null, { chars, inputTokens, calls, maxOutputTokens }: Asked): Amount {
  const usual = calls === 0 ? 0 : (inputTokens / calls) * GROWTH;
  const input = Math.ceil(Math.max(usual, chars / CHARS_A_TOKEN + AROUND_TOKENS));
  const usd = price === null ? 0 : (input * price.input + maxOutputTokens * price.output) / 1_000_000;
  return { nanos: nanosOf(usd), tokens: input + maxOutputTokens, count: 0 };
}

/** Most that a bucket can be asked for at once. */
const MOST_TOKENS = 1_000_000_000;

export interface BucketsOfCall {
  /** For each of them, one call. */
  calls: BucketRef[];
  /** For each of them, the tokens that it may use. */
  tokens: BucketRef[];
}

/** What a call takes from each bucket that its target has. @param tokens that it may use, asked where it matters */
export function bucketsOf(quotas: Quotas, target: string, user: string, tokens: () => number): BucketsOfCall {
  const found: BucketsOfCall = { calls: [], tokens: [] };
  const taken = new Set<string>();
  const seen = new Set<string>();
  for (const rate of quotas.rates) {
    const { unit = 'calls', per, capacity, refill = 1, every_ms } = rate;
    if (!matches(rate.for, target)) continue;
    const terms = JSON.stringify([unit, per, capacity, refill, every_ms]);
    // The same one twice is one.
    if (seen.has(terms)) continue;
    seen.add(terms);
    const scope = bucketName(rate, target, user, taken);
    taken.add(scope);
    found[unit].push({
      scope,
      capacity,
      every_ms: every_ms / refill,
      take: unit === 'calls' ? 1 : Math.min(MOST_TOKENS, tokens()),
    });
  }
  return found;
}

/**
 * Two rates of one target, such as one a minute and one a day, are two buckets. The first has the plain name, which nodes
 * that know of no second one use as well; the others are told apart by their terms.
 */
function bucketName(
  { unit, per, capacity, refill = 1, every_ms }: Rate,
  target: string,
  user: string,
  taken: Set<string>,
) {
  const name = [target, ...(unit === 'tokens' ? ['tokens'] : []), ...(per === 'user' ? [`user:${user}`] : [])].join(
    ' ',
  );
  return taken.has(name) ? `${name} ${capacity}+${refill}/${every_ms}ms` : name;
}

export function breakerOf(quotas: Quotas, target: string): BreakerRule | null {
  const own = quotas.breakers.find(({ for: pattern }) => matches(pattern, target));
  if (own !== undefined) return own.rule;
  return DEFAULT_BREAKERS[target.startsWith('model:') ? 'model' : 'tool'];
}

/**
 * Faults of whoever carries it out. What is wrong with the call, or with its caller, says nothing about them; nor does a
 * worker that died: it takes all of its calls along at once, and those that are left work on.
 */
const THEIR_FAULTS: ReadonlySet<string> = new Set(['timeout', 'tool_crash', 'bad_result', 'model_unavailable']);

export function isTheirFault(code: string): boolean {
  return THEIR_FAULTS.has(code);
}

export function matches(pattern: string, target: string): boolean {
  return pattern.endsWith('*') ? target.startsWith(pattern.slice(0, -1)) : pattern === target;
}
