import type { Breaker, BreakerRule } from '../../core/ledger-wire.ts';

/**
 * Circuit breakers (TOOL-7). Closed: failures in a row are counted, a success ends the row. Open: nothing passes until a
 * moment. Half open: as many probes as the rule says are let through in the whole cluster; any failure opens it again,
 * so many successes close it. A probe that was never heard of again gives its place back after the time the breaker stays
 * open.
 */

export type Probed = { granted: true } | { granted: false; again_at: number };

const CLOSED: Breaker = { state: 'closed', failures: 0, successes: 0, until: 0, probes: {} };

export class Breakers {
  readonly breakers: Map<string, Breaker>;

  constructor(breakers: Iterable<[string, Breaker]> = []) {
    this.breakers = new Map(breakers);
  }

  get(target: string): Breaker {
    return this.breakers.get(target) ?? CLOSED;
  }

  probe(id: string, target: string, rule: BreakerRule, at: number): Probed {
    const breaker = this.get(target);
    if (breaker.state === 'closed') return { granted: true };
    if (breaker.state === 'open' && at < breaker.until) return { granted: false, again_at: breaker.until };
    const probes = Object.fromEntries(Object.entries(breaker.probes).filter(([, until]) => until > at));
    const half: Breaker = { ...breaker, state: 'half_open', probes };
    if (Object.hasOwn(probes, id)) return { granted: true };
    // Successes that came in already need no probe any more.
    if (Object.keys(probes).length + half.successes >= rule.successes) {
      this.breakers.set(target, half);
      return { granted: false, again_at: Math.min(at + rule.open_ms, ...Object.values(probes)) };
    }
    this.breakers.set(target, { ...half, probes: { ...probes, [id]: at + rule.open_ms } });
    return { granted: true };
  }

  /** @param probe the one that it was; a call that began before the breaker opened has none */
  outcome(target: string, ok: boolean, probe: string | undefined, rule: BreakerRule, at: number): void {
    const breaker = this.get(target);
    if (breaker.state === 'closed') {
      const failures = ok ? 0 : breaker.failures + 1;
      if (failures === 0) this.breakers.delete(target);
      else if (failures < rule.failures) this.breakers.set(target, { ...CLOSED, failures });
      else this.open(target, rule, at);
      return;
    }
    // What began before it opened says nothing about now.
    if (probe === undefined || !Object.hasOwn(breaker.probes, probe)) return;
    if (!ok) {
      this.open(target, rule, at);
      return;
    }
    const { [probe]: _done, ...probes } = breaker.probes;
    const successes = breaker.successes + 1;
    if (successes >= rule.successes) this.breakers.delete(target);
    else this.breakers.set(target, { ...breaker, successes, probes });
  }

  reset(target: string): void {
    this.breakers.delete(target);
  }

  private open(target: string, rule: BreakerRule, at: number): void {
    this.breakers.set(target, { ...CLOSED, state: 'open', until: at + rule.open_ms });
  }
}
