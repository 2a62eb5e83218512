import type { BucketRef, Draw, LedgerEntryOf } from '../../core/ledger-wire.ts';
import type { Buckets, Short, Taken } from './buckets.ts';
import { Lines } from './lines.ts';

/**
 * Estimates that are taken from buckets, and corrected when what was used is known. A bucket then holds what it would
 * hold had that been known at once, and never more: of what comes back, only as much as there was room for all the time
 * counts. So each draw keeps the most that its buckets have held since, as if what was settled meanwhile had been known
 * at its beginning. Where a bucket ran over between, less may come back than could.
 *
 * What nobody settles stays taken. More was used than was estimated: the bucket falls into debt, and all wait until it
 * is out of it.
 */
export class Draws {
  /** Open ones by id, in the order in which they were granted. */
  readonly open: Map<string, Draw>;
  readonly lines: Lines;
  private readonly buckets: Buckets;

  constructor(buckets: Buckets, open: Iterable<[string, Draw]> = [], lines = new Lines()) {
    this.buckets = buckets;
    this.open = new Map(open);
    this.lines = lines;
  }

  /** All buckets or none. What is more than a bucket can hold waits for a full one. */
  draw({ id, who, until, buckets, estimated }: LedgerEntryOf<'draw'>, at: number): Taken {
    if (this.open.has(id)) return { granted: true };
    const short = this.shortest(who, buckets, estimated, at);
    if (short !== null) {
      // In all lines at once: whoever is let through by one bucket keeps its place before the others.
      for (const { scope, take } of estimated) this.lines.stand(scope, who, take, short.again_at ?? at, at);
      return short;
    }
    this.buckets.drain(buckets, at);
    for (const ref of estimated) {
      this.raise(ref.scope, this.buckets.level(ref, at));
      this.lines.leave(ref.scope, who);
    }
    this.buckets.drain(estimated, at);
    this.open.set(id, { until, parts: estimated.map((ref) => ({ ...ref, most: this.buckets.level(ref, at) })) });
    return { granted: true };
  }

  /** False when nothing is open under that name. */
  settle(id: string, used: number, at: number): boolean {
    const draw = this.open.get(id);
    if (draw === undefined) return false;
    for (const { most, ...ref } of draw.parts) {
      const level = this.buckets.level(ref, at);
      const highest = Math.max(most, level);
      const back = Math.max(0, ref.take - used);
      const left =
        used > ref.take ? level - (used - ref.take) : level + Math.min(back, Math.max(0, ref.capacity - highest));
      this.raiseBy(id, ref, highest, back);
      this.buckets.set(ref, left, at);
    }
    this.open.delete(id);
    return true;
  }

  /** Forgets those that nobody settles any more. */
  sweep(at: number): void {
    for (const [id, { until }] of this.open) if (until < at) this.open.delete(id);
    this.lines.sweep(at);
  }

  /** The bucket that has enough last; null when all have. */
  private shortest(who: string, buckets: BucketRef[], estimated: BucketRef[], at: number): Short | null {
    let latest = this.buckets.short(buckets, at);
    for (const ref of estimated) {
      const { scope, capacity, every_ms, take } = ref;
      const missing = Math.min(take, capacity) + this.lines.ahead(scope, who, at) - this.buckets.level(ref, at);
      if (missing <= 0) continue;
      const again_at = Math.ceil(at + missing * every_ms);
      if (latest === null || again_at > (latest.again_at ?? Number.POSITIVE_INFINITY)) {
        latest = { granted: false, scope, again_at };
      }
    }
    return latest;
  }

  /** Before something is drawn: the most that they hold until then. */
  private raise(scope: string, level: number): void {
    for (const { parts } of this.open.values()) {
      for (const part of parts) if (part.scope === scope) part.most = Math.max(part.most, level);
    }
  }

  /** What came back was there from the beginning of its draw on: then the bucket held so much more. */
  private raiseBy(id: string, { scope, capacity }: BucketRef, highest: number, back: number): void {
    let later = false;
    for (const [other, { parts }] of this.open) {
      if (other === id) later = true;
      else {
        for (const part of parts) {
          if (part.scope !== scope) continue;
          part.most = Math.min(capacity, later ? part.most + back : Math.max(part.most, highest + back));
        }
      }
    }
  }
}
