import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AccountRef, type BucketRef, type LedgerEntry, LedgerSnapshot } from '../../../src/core/ledger-wire.ts';
import { Ledger } from '../../../src/policy/ledger/ledger.ts';

/** Any entries in any order, as they may stand in the log: what holds of the sums whatever came before. */

const START = Date.UTC(2026, 10, 30, 23, 59, 0);
const rule = { failures: 2, open_ms: 5_000, successes: 2 };
const id = fc.integer({ min: 0, max: 12 }).map((n) => `r${n}`);
const amount = fc.record({
  nanos: fc.integer({ min: 0, max: 50 }),
  tokens: fc.integer({ min: 0, max: 50 }),
  count: fc.integer({ min: 0, max: 2 }),
});
const accounts: fc.Arbitrary<AccountRef[]> = fc.constant([
  { scope: 'user:a', period: 'day', max_nanos: 200, max_tokens: 150 },
  { scope: 'team:t', period: 'ever', max_nanos: 600 },
  { scope: 'cap:mail', period: 'hour', max_count: 5 },
]);
const buckets: fc.Arbitrary<BucketRef[]> = fc.constant([
  { scope: 'tool:t', capacity: 3, every_ms: 1_000, take: 1 },
  { scope: 'user:a', capacity: 8, every_ms: 500, take: 1 },
]);
const estimated = fc
  .integer({ min: 1, max: 90 })
  .map((take): BucketRef[] => [{ scope: 'model:m tokens', capacity: 60, every_ms: 50, take }]);
const entry: fc.Arbitrary<LedgerEntry> = fc.oneof(
  fc.record({
    v: fc.constant(2 as const),
    kind: fc.constant('draw' as const),
    id,
    who: id,
    until: fc.constant(START + 60_000),
    buckets,
    estimated,
  }),
  fc.record({
    v: fc.constant(1 as const),
    kind: fc.constant('reserve' as const),
    id,
    run: fc.constant('run'),
    epoch: fc.integer({ min: 0, max: 3 }),
    until: fc.constant(0),
    amount,
    accounts,
  }),
  fc.record({ v: fc.constant(1 as const), kind: fc.constant('settle' as const), id, amount }),
  fc.record({ v: fc.constant(1 as const), kind: fc.constant('lost' as const), id, why: fc.constant('') }),
  fc.record({
    v: fc.constant(1 as const),
    kind: fc.constant('take' as const),
    id,
    buckets,
  }),
  fc.record({
    v: fc.constant(1 as const),
    kind: fc.constant('probe' as const),
    id,
    target: fc.constant('tool:t'),
    rule: fc.constant(rule),
  }),
  fc.record({
    v: fc.constant(1 as const),
    kind: fc.constant('outcome' as const),
    target: fc.constant('tool:t'),
    ok: fc.boolean(),
    probe: id,
    rule: fc.constant(rule),
  }),
  fc.record({
    v: fc.constant(1 as const),
    kind: fc.constant('outcome' as const),
    target: fc.constant('tool:t'),
    ok: fc.boolean(),
    rule: fc.constant(rule),
  }),
);
const log = fc.array(fc.record({ entry, wait: fc.integer({ min: 0, max: 4_000 }) }), { maxLength: 120 });

/** The entries with their sequence and moment. */
function* dated(steps: { entry: LedgerEntry; wait: number }[]): Generator<[LedgerEntry, number, number]> {
  let at = START;
  for (const [i, step] of steps.entries()) {
    at += step.wait;
    yield [step.entry, i + 1, at];
  }
}

describe('the ledger', () => {
  it('COST-2: passes a limit by no more than what was spent above its estimate in flight', () => {
    fc.assert(
      fc.property(log, (steps) => {
        const ledger = new Ledger();
        const asked = new Map<string, number>();
        /** What was spent above its estimate, in all. */
        let above = 0;
        for (const [one, seq, at] of dated(steps)) {
          const estimate = one.kind === 'settle' ? ledger.accounts.open.get(one.id)?.amount.nanos : undefined;
          if (one.kind === 'settle' && estimate !== undefined) above += Math.max(0, one.amount.nanos - estimate);
          const verdict = ledger.fold(one, seq, at);
          if (one.kind === 'reserve' && 'granted' in verdict && verdict.granted) asked.set(one.id, one.amount.nanos);
          const team = ledger.accounts.read({ scope: 'team:t', period: 'ever' }, at);
          expect(team.spent.nanos + team.held.nanos).toBeLessThanOrEqual(600 + above);
          for (const account of ledger.accounts.accounts.values()) {
            expect(Math.min(account.held.nanos, account.held.tokens, account.held.count)).toBeGreaterThanOrEqual(0);
          }
        }
      }),
    );
  });

  it('keeps held in every account exactly what is open', () => {
    fc.assert(
      fc.property(log, (steps) => {
        const ledger = new Ledger();
        for (const [one, seq, at] of dated(steps)) ledger.fold(one, seq, at);
        const held = new Map<string, number>();
        for (const { keys, amount: reserved } of ledger.accounts.open.values()) {
          for (const key of keys) held.set(key, (held.get(key) ?? 0) + reserved.nanos);
        }
        for (const [key, account] of ledger.accounts.accounts) expect(account.held.nanos).toBe(held.get(key) ?? 0);
      }),
    );
  });

  it('TOOL-8: gives no more out of a bucket than it holds and what has run in since', () => {
    fc.assert(
      fc.property(log, (steps) => {
        const ledger = new Ledger();
        const given: number[] = [];
        for (const [one, seq, at] of dated(steps)) {
          const isKnown = one.kind === 'draw' && ledger.draws.open.has(one.id);
          const verdict = ledger.fold(one, seq, at);
          const takes = one.kind === 'take' || (one.kind === 'draw' && !isKnown);
          if (takes && 'granted' in verdict && verdict.granted) given.push(at);
        }
        given.forEach((from, i) => {
          given.slice(i).forEach((to, n) => {
            expect(n + 1).toBeLessThanOrEqual(3 + (to - from) / 1_000 + 1e-6);
          });
        });
      }),
    );
  });

  it('TOOL-7: lets as many probes through as it takes successes to close, and none while it is open', () => {
    fc.assert(
      fc.property(log, (steps) => {
        const ledger = new Ledger();
        for (const [one, seq, at] of dated(steps)) {
          const before = ledger.breakers.get('tool:t');
          const verdict = ledger.fold(one, seq, at);
          const after = ledger.breakers.get('tool:t');
          if (one.kind === 'probe' && 'granted' in verdict && before.state === 'open' && at < before.until) {
            expect(verdict.granted).toBe(false);
          }
          const live = Object.values(after.probes).filter((until) => until > at).length;
          expect(live + after.successes).toBeLessThanOrEqual(rule.successes);
          if (before.state === 'half_open' && one.kind === 'outcome' && !one.ok && one.probe !== undefined) {
            if (Object.hasOwn(before.probes, one.probe)) expect(after.state).toBe('open');
          }
          if (after.state !== 'half_open') expect(after.successes).toBe(0);
        }
      }),
    );
  });

  it('goes on from a snapshot at any entry as if it had folded them all', () => {
    fc.assert(
      fc.property(log, fc.nat(), (steps, cut) => {
        const whole = new Ledger();
        let resumed: Ledger | null = null;
        for (const [one, seq, at] of dated(steps)) {
          const verdict = whole.fold(one, seq, at);
          if (resumed !== null) expect(resumed.fold(one, seq, at)).toEqual(verdict);
          if (seq === (cut % (steps.length + 1)) + 1)
            resumed = new Ledger(LedgerSnapshot.parse(JSON.parse(JSON.stringify(whole.snapshot()))));
        }
        if (resumed !== null) expect(resumed.snapshot()).toEqual(whole.snapshot());
      }),
    );
  });
});
