import type { Place } from '../../core/ledger-wire.ts';

/**
 * Who waits before which bucket, first come first served: otherwise those that want little would empty a bucket for ever
 * before those that want much. A place is kept until shortly after the moment its holder was told to come again.
 */

/** How long after its moment a place is kept, milliseconds: a parked run has to be taken up again. */
const KEPT_MS = 60_000;

export class Lines {
  readonly lines: Map<string, Place[]>;

  constructor(lines: Iterable<[string, Place[]]> = []) {
    this.lines = new Map(lines);
  }

  /** What those want who stand before `who`, or before its end when `who` does not stand there. */
  ahead(scope: string, who: string, at: number): number {
    let sum = 0;
    for (const place of this.lines.get(scope) ?? []) {
      if (place.who === who) break;
      if (place.until > at) sum += place.take;
    }
    return sum;
  }

  /** Takes a place at the end, or keeps the one it has. @param again_at when its holder will come again */
  stand(scope: string, who: string, take: number, again_at: number, at: number): void {
    const mine: Place = { who, take, until: again_at + KEPT_MS };
    const line = (this.lines.get(scope) ?? []).filter(({ who: one, until }) => one === who || until > at);
    const i = line.findIndex(({ who: one }) => one === who);
    this.lines.set(scope, i < 0 ? [...line, mine] : line.with(i, mine));
  }

  leave(scope: string, who: string): void {
    const line = this.lines.get(scope);
    if (line === undefined) return;
    const rest = line.filter((place) => place.who !== who);
    if (rest.length === 0) this.lines.delete(scope);
    else this.lines.set(scope, rest);
  }

  /** Forgets those who did not come. */
  sweep(at: number): void {
    for (const [scope, line] of this.lines) {
      const rest = line.filter(({ until }) => until > at);
      if (rest.length === 0) this.lines.delete(scope);
      else this.lines.set(scope, rest);
    }
  }
}
