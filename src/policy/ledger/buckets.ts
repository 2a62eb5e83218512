import type { Bucket, BucketRef } from '../../core/ledger-wire.ts';

/**
 * Token buckets, folded over time: a bucket is what it held at one moment, so it fills by itself and nothing ticks. One
 * that nobody has taken from is full.
 */

export type Taken =
  | { granted: true }
  /** The bucket that is empty, and when it has enough; null: never, more is asked for than it can hold. */
  | { granted: false; scope: string; again_at: number | null };

export class Buckets {
  readonly buckets: Map<string, Bucket>;

  constructor(buckets: Iterable<[string, Bucket]> = []) {
    this.buckets = new Map(buckets);
  }

  take(refs: BucketRef[], at: number): Taken {
    const levels = refs.map((ref) => ({ ref, tokens: this.level(ref, at) }));
    for (const { ref, tokens } of levels) {
      if (ref.take <= tokens) continue;
      const again_at = ref.take > ref.capacity ? null : Math.ceil(at + (ref.take - tokens) * ref.every_ms);
      return { granted: false, scope: ref.scope, again_at };
    }
    for (const { ref, tokens } of levels) {
      const left = tokens - ref.take;
      this.buckets.set(ref.scope, { tokens: left, at, full_at: at + (ref.capacity - left) * ref.every_ms });
    }
    return { granted: true };
  }

  level({ scope, capacity, every_ms }: Omit<BucketRef, 'take'>, at: number): number {
    const bucket = this.buckets.get(scope);
    if (bucket === undefined) return capacity;
    return Math.min(capacity, bucket.tokens + Math.max(0, at - bucket.at) / every_ms);
  }

  /** Forgets those that are full. */
  sweep(at: number): void {
    for (const [scope, { full_at }] of this.buckets) if (full_at <= at) this.buckets.delete(scope);
  }
}
