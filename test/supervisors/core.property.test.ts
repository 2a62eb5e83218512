import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decide } from '../../supervisors/core.ts';
import { failure } from '../../supervisors/exit-reason.ts';
import type { SupervisorInput } from '../../supervisors/spec-types.ts';
import { type Input, MAX_WAITING_CALLS } from '../../supervisors/state.ts';
import { moves, RandomLife, specs } from './random-life.ts';

const RUNS = { numRuns: 400 };

function live(spec: SupervisorInput, happening: [number, number][]): RandomLife {
  const life = new RandomLife(spec);
  life.input({ type: 'start' });
  if (happening.length % 5 !== 0) life.comeUp();
  for (const [kind, n] of happening) life.move(kind, n);
  return life;
}

describe('whatever happens to a supervisor', () => {
  it('it decides without throwing, the same each time, and leaves earlier states as they were', () => {
    fc.assert(
      fc.property(specs, moves, (spec, happening) => {
        expect(live(spec, happening).faults).toEqual([]);
      }),
      RUNS,
    );
  });

  it('nothing that comes in makes it throw, however malformed', () => {
    const anything = fc.anything({ withNullPrototype: true, withBigInt: true, withDate: true });
    const types = ['started', 'ignored', 'start_failed', 'exited', 'spoke', 'stop', 'message', 'call', 'tick', 'kill'];
    const calls = [
      'start_child',
      'terminate_ref',
      'which_partition',
      'reload',
      'resize',
      'get_childspec',
      'which_child',
    ];
    const fields = fc.dictionary(fc.constantFrom('ref', 'reason', 'from', 'id', 'spec', 'what', 'call'), anything);
    const request = fc.tuple(fc.constantFrom(...calls), anything).map(([type, value]) => ({
      type: 'call',
      call: { call: 1, request: { type, spec: value, ref: value, key: value, size: value, id: value } },
    }));
    const typed = fc.tuple(fc.constantFrom(...types), fields, fc.boolean(), anything);
    const malformed = typed.map(([type, some, aimed, reason]) => ({
      ...some,
      type,
      ...(aimed ? { ref: 's:0.1', from: 'parent', reason } : {}),
    }));
    fc.assert(
      fc.property(specs, moves, fc.array(fc.oneof(anything, malformed, request)), (spec, happening, inputs) => {
        const life = live(spec, happening.slice(0, 20));
        for (const input of inputs) expect(() => decide(life.state, input as Input, life.now)).not.toThrow();
      }),
      RUNS,
    );
  });

  it('no period holds more restarts than the intensity allows', () => {
    let automatic = 0;
    fc.assert(
      fc.property(specs, moves, (spec, happening) => {
        const { attempts } = live(spec, happening);
        automatic += attempts.length;
        for (const at of attempts) {
          const within = attempts.filter((other) => other <= at && other >= at - (spec.periodMs ?? 0));
          expect(within.length).toBeLessThanOrEqual(spec.intensity ?? 0);
        }
      }),
      RUNS,
    );
    expect(automatic).toBeGreaterThan(100);
  });

  it('every incarnation that was started has ended once when the supervisor has, and every call was answered once', () => {
    let started = 0;
    fc.assert(
      fc.property(specs, moves, (spec, happening) => {
        const life = live(spec, happening);
        life.finish();
        expect(life.ended).toBe(true);
        expect([...life.up, ...life.asked, ...life.starting]).toEqual([]);
        started += life.starts.length;
        for (const { ref } of life.starts) expect(life.ends.get(ref), ref).toBe(1);
        for (let call = 1; call <= life.calls; call++) expect(life.replies.get(call), `call ${call}`).toBe(1);
      }),
      RUNS,
    );
    expect(started).toBeGreaterThan(1_000);
  });

  it('a static supervisor stops its children in the reverse order of their start', () => {
    let stopped = 0;
    fc.assert(
      fc.property(specs, moves, (spec, happening) => {
        if (spec.strategy === 'dynamic') return;
        const life = live(spec, happening.slice(0, 30));
        life.finish();
        const { lastStops } = life;
        stopped += lastStops.length;
        expect(lastStops).toEqual(lastStops.toSorted((a, b) => b - a));
      }),
      RUNS,
    );
    expect(stopped).toBeGreaterThan(100);
  });

  it('its state does not grow with what has happened', () => {
    fc.assert(
      fc.property(specs, moves, (spec, happening) => {
        const { state } = live(spec, happening);
        expect(state.inbox.size).toBeLessThanOrEqual(state.children.size + MAX_WAITING_CALLS + 1);
        expect(state.retries.size).toBe(state.children.values().filter(({ retry }) => retry !== null).length);
        expect(state.stamps.length).toBeLessThanOrEqual((spec.intensity ?? 0) + 1);
      }),
      RUNS,
    );
  });

  it('at rest every permanent child runs or is about to, unless a call or its own start said otherwise', () => {
    let seen = 0;
    fc.assert(
      fc.property(specs, moves, (spec, happening) => {
        const { state } = live(
          spec,
          happening.filter(([kind]) => kind < 9 || kind > 10),
        );
        if (!state.started || state.ended !== null || state.work !== null) return;
        for (const record of state.children.values()) {
          if (record.spec.restart !== 'permanent' || record.resting) continue;
          seen += 1;
          expect(record.status !== 'stopped' || state.retries.size > 0, JSON.stringify(record)).toBe(true);
        }
      }),
      RUNS,
    );
    expect(seen).toBeGreaterThan(50);
  });
});

describe('the calls that wait', () => {
  it('are limited: one more is refused as busy, and all are answered when the supervisor ends', () => {
    const life = new RandomLife({ children: [{ id: '0', start: () => ({}) }] });
    life.input({ type: 'start' });
    for (let call = 1; call <= MAX_WAITING_CALLS + 1; call++) {
      life.input({ type: 'call', call: { call, request: { type: 'count_children' } } });
    }
    expect([...life.replies.keys()]).toEqual([MAX_WAITING_CALLS + 1]);
    life.finish();
    expect(life.replies.size).toBe(MAX_WAITING_CALLS + 1);
  });

  it('are not joined by more than one stop signal, whose reason counts', () => {
    const life = new RandomLife({ children: [{ id: '0', start: () => ({}), shutdown: 'infinity' }] });
    life.input({ type: 'start' });
    life.comeUp();
    life.input({ type: 'call', call: { call: 1, request: { type: 'terminate_child', id: '0' } } });
    for (const code of ['first', 'second', 'third']) {
      life.input({ type: 'stop', from: 'parent', reason: failure(code) });
      expect(life.state.inbox.size).toBe(1);
    }
    life.finish();
    expect(life.state.ended).toEqual(failure('first'));
  });
});
