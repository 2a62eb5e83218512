import { canonicalText } from '../core/canonical.ts';
import { clip, type ErrorInfo } from '../core/errors.ts';
import type { PlannedCall } from '../core/events.ts';
import type { Json } from '../core/json.ts';
import type { ToolDefinition } from '../core/tool.ts';

/** Results are acted on while they are valid (TOOL-9): an old one is fetched again first. */

/** A result that the run has seen. */
export interface Fetched {
  tool: string;
  args: Record<string, Json>;
  /** When, epoch milliseconds. */
  at: number;
  /** How long it may be acted on; absent: for good. */
  valid_ms?: number | undefined;
}

/**
 * How old a cached result may be that answers a call of the tool; absent: it is called. None answers that may not be
 * acted on any more, else it could not be fetched again.
 */
export function cacheOf({ cache_ms, cache_scope, valid_ms }: ToolDefinition): Pick<PlannedCall, 'cache'> {
  if (cache_ms === undefined) return {};
  const ms = Math.min(cache_ms, valid_ms ?? cache_ms);
  return { cache: { ms, ...(cache_scope === 'shared' ? { shared: true as const } : {}) } };
}

/** Code of a call that is refused because what it acts on is too old. */
export const STALE_RESULT = 'stale_result';

/** Results that one refusal names. */
const MOST_NAMED = 3;

/** Whether a result may not be acted on any more. */
export function isStale({ at, valid_ms }: Pick<Fetched, 'at' | 'valid_ms'>, now: number): boolean {
  return valid_ms !== undefined && now - at > valid_ms;
}

/**
 * Why a call must not be made now: it does more than read, and something that it acts on was not fetched again since its
 * validity was over. The newest result of one tool and the same arguments is the one that counts.
 */
export function staleFault(
  fetched: readonly Fetched[],
  { tool, reads, depends_on }: Pick<PlannedCall, 'tool' | 'reads' | 'depends_on'>,
  now: number,
): ErrorInfo | null {
  if (fetched.length === 0 || reads === true) return null;
  const newest = new Map<string, Fetched>();
  for (const one of fetched) {
    if (depends_on !== undefined && !depends_on.includes(one.tool)) continue;
    const key = `${one.tool} ${canonicalText(one.args)}`;
    const known = newest.get(key);
    if (known === undefined || known.at <= one.at) newest.set(key, one);
  }
  const stale = [...newest.values()].filter((one) => isStale(one, now));
  const [first] = stale;
  if (first === undefined) return null;
  const named = stale.slice(0, MOST_NAMED).map((one) => wordsOf(one, now));
  const more = stale.length - named.length;
  const all = more === 0 ? named.join('; ') : `${named.join('; ')}; and ${more} more`;
  const again = stale.length === 1 ? `call ${first.tool} again` : 'call them again';
  const message = `${all}: ${again} with the same arguments first, look at what comes, then decide about ${tool}`;
  return { code: STALE_RESULT, message: clip(message, 1_024), retryable: false };
}

function wordsOf({ tool, args, at, valid_ms = 0 }: Fetched, now: number): string {
  const given = clip(canonicalText(args), 160);
  return `the result of ${tool} ${given} is ${seconds(now - at)} old and may be acted on for ${seconds(valid_ms)}`;
}

function seconds(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${Number((ms / 1_000).toFixed(1))} s`;
}
