import type { Fields } from './fields.ts';

/**
 * Delays between restarts, beyond OTP: doubled with every failure in a row, cut at the longest, chance added before the
 * cut, so that no delay is longer than `maxMs`.
 */
export interface Backoff {
  readonly minMs: number;
  readonly maxMs: number;
  readonly jitter: number;
  readonly resetAfterMs: number;
  /** Failures in a row after which the child stays down; null without a limit. */
  readonly maxRestarts: number | null;
}

/**
 * @param failures failures in a row before this one
 * @param chance a number from 0 up to 1
 */
export function backoffDelay(backoff: Backoff, failures: number, chance: number): number {
  const grown = Math.min(backoff.maxMs, backoff.minMs * 2 ** Math.min(failures, 53));
  return Math.min(backoff.maxMs, Math.round(grown * (1 + chance * backoff.jitter)));
}

export function readBackoff(fields: Fields): Backoff | null {
  const inner = fields.inner('backoff');
  if (inner === null) return null;
  const minMs = inner.whole('minMs', 1, 0);
  const maxMs = inner.whole('maxMs', 1, 0);
  for (const name of ['minMs', 'maxMs']) if (inner.any(name) === undefined) inner.fault(name, 'it is missing');
  if (minMs > 0 && maxMs > 0 && maxMs < minMs) inner.fault('maxMs', `expected at least minMs (${minMs}); got ${maxMs}`);
  const backoff: Backoff = {
    minMs,
    maxMs,
    jitter: inner.part('jitter', 0),
    resetAfterMs: inner.whole('resetAfterMs', 0, Math.round((minMs + maxMs) / 2)),
    maxRestarts: inner.any('maxRestarts') === undefined ? null : inner.whole('maxRestarts', 0, 0),
  };
  fields.adopt(inner);
  return backoff;
}

/** The next number from 0 up to 1 of a reproducible sequence, and the seed for the one after it (mulberry32). */
export function nextChance(seed: number): { chance: number; seed: number } {
  const next = (seed + 0x6d2b79f5) | 0;
  let mixed = Math.imul(next ^ (next >>> 15), 1 | next);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return { chance: ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296, seed: next };
}
