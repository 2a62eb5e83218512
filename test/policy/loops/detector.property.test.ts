import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Json } from '../../../src/core/json.ts';
import { byteLength } from '../../../src/core/json.ts';
import { LoopState } from '../../../src/core/loops.ts';
import { linkOf } from '../../../src/policy/loops/delegation.ts';
import { printOf } from '../../../src/policy/loops/fingerprint.ts';
import { Watched } from './support.ts';

/** Largest state of the detector, bytes of its JSON: of a snapshot, which has 64 KB, a small part. */
const MAX_STATE_BYTES = 12 * 1024;

const json = fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>;
const call = fc.record({
  tool: fc.constantFrom('a', 'b', 'c'),
  args: fc.dictionary(fc.constantFrom('x', 'y', 'z'), json, { maxKeys: 3 }),
  result: fc.oneof(
    json,
    fc.string().map((text) => new Error(text)),
    fc.constantFrom('refused' as const, 'denied' as const),
  ),
  declared: fc.constantFrom({}, { reads: true as const }, { volatile: { result: true as const } }),
});
const step = fc.oneof(
  { weight: 5, arbitrary: fc.array(call, { minLength: 1, maxLength: 4 }).map((calls) => ({ calls })) },
  fc.constantFrom({ think: 'why' }, { think: 'what' }, { ask: 'who?' }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function play(run: Watched, one: Step): void {
  if ('calls' in one) run.step(...one.calls);
  else if ('think' in one) run.decide({ action: 'think', reasoning: one.think });
  else run.decide({ action: 'ask_human', question: one.ask });
}

describe('the loop detector', () => {
  it('catches any cycle of 1 to 5 steps, spliced in anywhere, by the end of its third round', () => {
    const round = fc.integer({ min: 1, max: 5 }).chain((period) =>
      fc.uniqueArray(fc.record({ tool: fc.constantFrom('a', 'b'), args: fc.record({ q: json }), result: json }), {
        minLength: period,
        maxLength: period,
        selector: (one) => printOf([one.tool, one.args]),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), round, (before, cycle) => {
        const run = new Watched();
        for (const one of before) play(run, one);
        for (let i = 0; i < 3; i++) for (const one of cycle) run.step(one);
        const caught = run.verdict();
        expect(caught?.rule).toBe('repeat');
        expect(caught?.count).toBeGreaterThanOrEqual(3);
      }),
      { numRuns: 500 },
    );
  });

  it('never stops, and never puts to a person, a run that polls while the results change: 10,000 runs', () => {
    let worst = 0;
    const heights = { warn: 1, nudge: 2, ask: 3, stop: 4 };
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 }), json, fc.integer({ min: 20, max: 60 }), (tools, args, polls) => {
        const run = new Watched();
        for (let i = 0; i < polls; i++) {
          const result = { state: 'running', percent: i };
          run.step({ tool: `status_${i % tools}`, args: { args }, result, declared: { reads: true } });
          worst = Math.max(worst, heights[run.verdict()?.rung ?? 'warn']);
        }
      }),
      { numRuns: 10_000 },
    );
    expect(worst).toBeLessThanOrEqual(1);
  }, 120_000);

  it('remembers little, however long and wide a run is, and all of it fits its schema', () => {
    const wide = fc.array(call, { minLength: 1, maxLength: 64 });
    fc.assert(
      fc.property(fc.array(wide, { maxLength: 40 }), fc.string({ maxLength: 4_000 }), (steps, reasoning) => {
        const run = new Watched();
        for (const calls of steps) run.stepBecause(reasoning, ...calls);
        run.decide({
          action: 'tool_call',
          reasoning,
          calls: Array.from({ length: 64 }, (_, i) => ({ tool: 'a'.repeat(64), args: { i, reasoning } })),
        });
        const text = JSON.stringify(run.state);
        expect(byteLength(text)).toBeLessThan(MAX_STATE_BYTES);
        expect(JSON.parse(JSON.stringify(LoopState.parse(JSON.parse(text))))).toEqual(JSON.parse(text));
      }),
      { numRuns: 50 },
    );
  });

  it('goes on from any snapshot as if it had seen the whole', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 30 }), fc.nat(), (steps, at) => {
        const whole = new Watched();
        const taken = new Watched();
        steps.forEach((one, i) => {
          play(whole, one);
          play(taken, one);
          if (i === at % steps.length) taken.state = LoopState.parse(JSON.parse(JSON.stringify(taken.state)));
        });
        expect(JSON.parse(JSON.stringify(taken.state))).toEqual(JSON.parse(JSON.stringify(whole.state)));
        expect(taken.verdict()).toEqual(whole.verdict());
      }),
      { numRuns: 300 },
    );
  });
});

describe('fingerprints', () => {
  it('are equal for equal values, whatever the order of keys', () => {
    const turned = (value: Json): Json => {
      if (typeof value !== 'object' || value === null) return value;
      if (Array.isArray(value)) return value.map(turned);
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([name, item]) => [name, turned(item)]),
      );
    };
    fc.assert(fc.property(json, (value) => printOf(turned(value)) === printOf(value)));
  });

  it('are different for different values, in a hundred thousand', () => {
    const prints = new Set<number>();
    for (let i = 0; i < 100_000; i++) prints.add(printOf({ i, text: `value ${i}`, list: [i, [i]] }));
    expect(prints.size).toBe(100_000);
  });

  it('are exact integers, also after JSON', () => {
    fc.assert(
      fc.property(json, (value) => {
        const { input } = linkOf('a', value);
        return Number.isSafeInteger(input) && JSON.parse(JSON.stringify(input)) === input;
      }),
    );
  });
});
