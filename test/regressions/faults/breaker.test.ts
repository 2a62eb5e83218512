import { describe, expect, it } from 'vitest';
import { Ledger } from '../../../src/policy/ledger/ledger.ts';

/**
 * The fault: a circuit breaker that lets a failure in half open pass as one of many, so it never opens again; and one
 * whose successes are counted over all trials there ever were, so that the first good answer closes it.
 */

const rule = { failures: 3, open_ms: 10_000, successes: 2 };
const target = 'tool:search';

/** The ledger as every node folds it, stored and read back between any two entries. */
function breaker() {
  let ledger = new Ledger();
  let seq = 0;
  const fold = (entry: object, at: number) => {
    const verdict = ledger.fold({ v: 1, target, rule, ...entry } as never, ++seq, at);
    ledger = new Ledger(JSON.parse(JSON.stringify(ledger.snapshot())));
    return verdict;
  };
  return {
    outcome: (ok: boolean, at: number, probe?: string) => void fold({ kind: 'outcome', ok, probe }, at),
    probe: (id: string, at: number) => fold({ kind: 'probe', id }, at),
    state: () => ledger.breakers.get(target).state,
  };
}

/** Three failures in a row at 0. */
function open() {
  const one = breaker();
  for (let i = 0; i < 3; i++) one.outcome(false, 0);
  expect(one.state()).toBe('open');
  return one;
}

describe('a breaker', () => {
  it('opens again at the first failure in half open, for its whole time', () => {
    const one = open();
    expect(one.probe('a', 10_000)).toEqual({ granted: true });
    one.outcome(false, 10_500, 'a');
    expect(one.state()).toBe('open');
    expect(one.probe('b', 20_499)).toEqual({ granted: false, again_at: 20_500 });
  });

  it('counts successes of this trial only: those before a failure are forgotten', () => {
    const one = open();
    one.probe('a', 10_000);
    one.outcome(true, 10_100, 'a');
    one.probe('b', 10_200);
    one.outcome(false, 10_300, 'b');
    one.probe('c', 20_300);
    one.outcome(true, 20_400, 'c');
    expect(one.state()).toBe('half_open');
    one.probe('d', 20_500);
    one.outcome(true, 20_600, 'd');
    expect(one.state()).toBe('closed');
  });

  it('that was closed by successes needs all its failures again', () => {
    const one = open();
    for (const id of ['a', 'b']) {
      one.probe(id, 10_000);
      one.outcome(true, 10_100, id);
    }
    for (const at of [10_200, 10_300]) one.outcome(false, at);
    expect(one.state()).toBe('closed');
    one.outcome(false, 10_400);
    expect(one.state()).toBe('open');
  });
});
