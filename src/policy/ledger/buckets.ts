import type { Bucket, BucketRef } from '../../core/ledger-wire.ts';

/**
 * Token buckets, folded over time: a bucket is what it held at one moment, so it fills by itself and nothing ticks. One
 * that nobody has taken from is full.
 */

export type Taken = { granted: true } | Short;

/** The bucket that is empty, and when it has enough; null: never, more is asked for than it can hold. */
export interface Short {
  granted: false;
  scope: string;
  again_at: number | null;
}

export class Buckets {
  readonly buckets: Map<string, Bucket>;

  constructor(buckets: Iterable<[string, Bucket]> = []) {
    this.buckets = new Map(buckets);
  }

  take(refs: BucketRef[], at: number): Taken {
    const short = this.short(refs, at);
    if (short === null) this.drain(refs, at);
    return short ?? { granted: true };
  }

  /** The first that has too little; null when all have enough. */
  short(refs: BucketRef[], at: number): Short | null {
    for (const ref of refs) {
      const tokens = this.level(ref, at);
      if (ref.take <= tokens) continue;
      const again_at = ref.take > ref.capacity ? null : Math.ceil(at + (ref.take - tokens) * ref.every_ms);
      return { granted: false, scope: ref.scope, again_at };
    }
    return null;
  }

  drain(refs: BucketRef[], at: number): void {
    const left = refs.map((ref) => this.level(ref, at) - ref.take);
    for (const [i, ref] of refs.entries()) this.set(ref, left[i] ?? 0, at);
  }

  level({ scope, capacity, every_ms }: Omit<BucketRef, 'take'>, at: number): number {
    const bucket = this.buckets.get(scope);
    if (bucket === undefined) return capacity;
    return Math.min(capacity, bucket.tokens + Math.max(0, at - bucket.at) / every_ms);
  }

  set({ scope, capacity, every_ms }: Omit<BucketRef, 'take'>, tokens: number, at: number): void {
    this.buckets.set(scope, { tokens, at, full_at: at + (capacity - tokens) * every_ms });
  }

  /** Forgets those that are full. */
  sweep(at: number): void {
    for (const [scope, { full_at }] of this.buckets) if (full_at <= at) this.buckets.delete(scope);
  }
}
