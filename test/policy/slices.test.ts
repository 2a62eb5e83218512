import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RunEvent } from '../../src/core/events.ts';
import type { JournalEntry } from '../../src/core/journal-entry.ts';
import type { AccountRef, Amount } from '../../src/core/ledger-wire.ts';
import { callsOfSlice, chargeOf, sliceId, sliceStart, times, tracesOf } from '../../src/policy/slices.ts';

const amount = (nanos: number, tokens = 0): Amount => ({ nanos, tokens, count: 0 });
const room = (max: Partial<AccountRef>, spent = 0, held = 0) => ({
  ref: { scope: 'user:u', period: 'day' as const, ...max },
  account: { spent: amount(spent, spent), held: amount(held, held) },
});
const EPOCH = 3;
const usage = (tokens: number) => ({ input_tokens: tokens, output_tokens: 0, cost_usd: tokens / 1e9 });

function entriesOf(events: RunEvent[][], epoch = EPOCH): JournalEntry[] {
  return events.map((list, i) => ({ v: 3, n: 10 + i, epoch, writer: 'w', at: 0, events: list }));
}
const decided = (tokens: number): RunEvent =>
  ({ type: 'decided', decision: { action: 'think', thought: 'x' }, usage: usage(tokens), model: 'm', ms: 1 }) as never;
const retried = (tokens: number): RunEvent => ({ ...decided(tokens), type: 'think_retry' }) as never;
const fellBack = (kind: string): RunEvent =>
  ({ ...decided(0), type: 'using_fallback', kind, link: { to: 'person' } }) as never;
const done = { type: 'call_done', c: '1-0', result: 1, ms: 1 } as RunEvent;
const pause = { type: 'pause', by: 'op', why: 'x' } as RunEvent;
const resume = { type: 'resume', by: 'op', why: 'x' } as RunEvent;

describe('a slice', () => {
  it('has room for eight calls, and takes no more than 2 % of what is left in the tightest account', () => {
    const one = amount(10, 10);
    expect(callsOfSlice(one, [])).toBe(8);
    expect(callsOfSlice(one, [room({ max_nanos: 4_000 })])).toBe(8);
    expect(callsOfSlice(one, [room({ max_nanos: 4_000 }, 500, 500)])).toBe(6);
    expect(callsOfSlice(one, [room({ max_nanos: 1e9 }), room({ max_tokens: 1_500 })])).toBe(3);
    for (const left of [999, 10, 0, -5]) expect(callsOfSlice(one, [room({ max_nanos: left })])).toBe(1);
    expect(callsOfSlice(amount(10, 0), [room({ max_tokens: 1 })])).toBe(8);
  });

  it('takes its share whatever is left, or is a single call', () => {
    const money = fc.integer({ min: 0, max: 1_000_000 });
    const rooms = fc.array(fc.tuple(money, money, money), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5_000 }), rooms, (one, list) => {
        const all = list.map(([most, spent, held]) => room({ max_nanos: most }, spent, held));
        const calls = callsOfSlice(amount(one), all);
        for (const [most, spent, held] of list)
          if (calls > 1) expect(calls * one).toBeLessThanOrEqual((most - spent - held) * 0.02 + 1e-9);
        expect(calls).toBeLessThanOrEqual(8);
      }),
    );
  });

  it('says in its name where in the journal it begins; what older versions and caps reserve is none', () => {
    expect(sliceStart(sliceId('20260101-a.b', 17, 'x:y'), '20260101-a.b')).toBe(17);
    for (const id of ['run:think-3:x', 'run:tool:mail:x', 'other:17:x', 'run:17x:y', 'run::y'])
      expect(sliceStart(id, 'run')).toBeNull();
  });
});

describe('what a journal tells of a slice', () => {
  const traces = (events: RunEvent[][], thinking = false) => tracesOf(entriesOf(events), EPOCH, thinking);

  it('is what its calls used, and whether there may be one more', () => {
    expect(traces([], true)).toEqual({ used: amount(0), open: true });
    expect(traces([[decided(5)], [done], [retried(7)]])).toEqual({ used: amount(12, 12), open: false });
    expect(traces([[decided(5)], [done]], true)).toEqual({ used: amount(5, 5), open: true });
  });

  it('leaves a call open that was cut off, and none that was over before', () => {
    expect(traces([[pause]]).open).toBe(true);
    expect(traces([[decided(5)], [done], [pause]]).open).toBe(true);
    expect(traces([[decided(5)], [pause], [resume]]).open).toBe(true);
    expect(traces([[decided(5), pause]]).open).toBe(false);
    expect(traces([[pause], [decided(5)]]).open).toBe(false);
    expect(traces([[decided(5)], [{ type: 'kill', by: 'op', why: '' }]]).open).toBe(true);
    expect(traces([[decided(5)], [fellBack('time')]]).open).toBe(true);
    expect(traces([[pause], [fellBack('model')]]).open).toBe(false);
  });

  it('ends with the next claim: what that used is not its own', () => {
    const mine = entriesOf([[decided(5)]]);
    const claimed = { type: 'claimed', node: 'n', nonce: 'x', activation: { created: '', seq: 1 } } as RunEvent;
    const later = entriesOf([[claimed], [decided(100)]], 20);
    expect(tracesOf([...mine, ...later.slice(0, 1)], EPOCH, false)).toEqual({ used: amount(5, 5), open: false });
    expect(tracesOf([...mine, ...later.slice(0, 1)], EPOCH, true)).toEqual({ used: amount(5, 5), open: true });
    expect(tracesOf([...mine, ...later], EPOCH, false)).toEqual({ used: amount(5, 5), open: true });
  });
});

describe('what is charged of a slice whose owner died', () => {
  interface Call {
    used: number;
    end: 'decided' | 'retried' | 'paused' | 'dropped';
  }
  const call: fc.Arbitrary<Call> = fc.record({
    used: fc.integer({ min: 0, max: 100 }),
    end: fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom('decided' as const, 'retried' as const) },
      { weight: 1, arbitrary: fc.constantFrom('paused' as const, 'dropped' as const) },
    ),
  });
  const life = fc.record({
    calls: fc.array(call, { maxLength: 12 }),
    tools: fc.boolean(),
    resumes: fc.boolean(),
    /** Before which of its actions the owner died. */
    death: fc.nat({ max: 40 }),
  });

  /** As an owner does it: one call after the other, as long as the estimate fits; none after one that was not journalled. */
  function live({ calls, tools, resumes, death }: { calls: Call[]; tools: boolean; resumes: boolean; death: number }) {
    const events: RunEvent[][] = [];
    let actions = 0;
    let actual = 0;
    let thinking = true;
    const dies = () => actions++ === death;
    for (const { used, end } of calls) {
      if (actual + 100 > 800 || dies()) break;
      actual += used;
      if (dies()) break;
      if (end === 'paused' || end === 'dropped') {
        events.push([pause]);
        thinking = false;
        if (resumes && !dies()) {
          events.push([resume]);
          thinking = true;
        }
        break;
      }
      events.push([end === 'decided' ? decided(used) : retried(used)]);
      thinking = !tools;
      if (!tools) continue;
      if (dies()) break;
      events.push([done]);
      thinking = true;
    }
    return { events, actual, thinking };
  }

  it('is never less than its calls used, nor more than was reserved, nor than one estimate above', () => {
    fc.assert(
      fc.property(life, (one) => {
        const { events, actual, thinking } = live(one);
        const traces = tracesOf(entriesOf(events), EPOCH, thinking);
        const reserved = times(amount(100, 100), 8);
        const charged = chargeOf(reserved, traces, amount(100, 100));
        expect(charged.nanos).toBeGreaterThanOrEqual(actual);
        expect(charged.nanos).toBeLessThanOrEqual(Math.min(800, actual + 100));
        if (!traces.open) expect(charged.nanos).toBe(actual);
      }),
      { numRuns: 2_000 },
    );
  });
});
