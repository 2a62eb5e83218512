import { describe, expect, it } from 'vitest';
import { fromPromise } from 'xstate';
import type { AppError } from '../../src/core/errors.ts';
import { readChildSpec } from '../../supervisors/child-spec.ts';
import { readSupervisorSpec } from '../../supervisors/supervisor-spec.ts';

const start = (): object => ({});
const logic = fromPromise(() => Promise.resolve());

function faultOf(read: () => unknown): Pick<AppError, 'code' | 'message' | 'field'> {
  try {
    read();
  } catch (error) {
    const { code, message, field } = error as AppError;
    return { code, message, field };
  }
  throw new Error('it was accepted');
}

describe('a specification', () => {
  it('is refused with every fault of it in one message, each naming its field, what is expected and what came', () => {
    const children = [
      { start, restart: 'always', shutdown: -1 },
      { id: 'b', start, logic, backoff: { minMs: 10, maxMs: 5, jitter: 2 } },
    ];
    expect(faultOf(() => readSupervisorSpec({ children }))).toEqual({
      code: 'bad_child_spec',
      field: 'children.0.id',
      message: [
        'children.0.id: expected a text of 1 to 256 characters; it is missing',
        'children.0.restart: expected one of permanent, transient, temporary; got "always"',
        'children.0.shutdown: expected a whole number from 0 up or "infinity" or "brutal_kill"; got -1',
        'children.1.start: exactly one of "start", "logic" and "supervisor" says how the child is run; logic and start are given',
        'children.1.backoff.maxMs: expected at least minMs (10); got 5',
        'children.1.backoff.jitter: expected a number from 0 to 1; got 2',
      ].join('; '),
    });
  });

  it.each([
    [{ id: 'a', logic: {} }, 'child.logic'],
    [{ id: 'a', start: 'fn' }, 'child.start'],
    [{ id: 'a', logic, stopEvent: 'stop' }, 'child.stopEvent'],
    [{ id: 'a', logic, ready: true }, 'child.ready'],
    [{ id: 'a', supervisor: {}, type: 'worker' }, 'child.type'],
    [{ id: 'a', start, startMs: 0 }, 'child.startMs'],
    [{ id: 'a', start, backoff: {} }, 'child.backoff.minMs'],
    [[], 'child'],
    [null, 'child'],
  ])('of a child names the faulty field: %j', (input, field) => {
    expect(faultOf(() => readChildSpec(input))).toMatchObject({ code: 'bad_child_spec', field });
  });

  it.each([
    [{ strategy: 'dynamic', children: [{ id: 'a', start }] }, 'children'],
    [{ strategy: 'dynamic', partitions: 2, children: [] }, 'supervisor.strategy'],
    [{ partitions: 2, children: [] }, 'supervisor.children'],
    [{ partitions: 2_000, children: [{ id: 'a', start }] }, 'supervisor.partitions'],
    [{ partitions: 2, autoShutdown: 'any_significant', children: [{ id: 'a', start }] }, 'supervisor.autoShutdown'],
    [{ maxChildren: 3 }, 'supervisor.maxChildren'],
    [{ extraInput: { a: 1 } }, 'supervisor.extraInput'],
    [{ strategy: 'dynamic', extraInput: [1] }, 'supervisor.extraInput'],
    [{ children: {} }, 'supervisor.children'],
    [{ otpExact: 'yes' }, 'supervisor.otpExact'],
  ])('of a supervisor names the faulty field: %j', (input, field) => {
    expect(faultOf(() => readSupervisorSpec(input))).toMatchObject({ code: 'bad_supervisor_spec', field });
  });

  it('that leaves everything out has the defaults of OTP', () => {
    expect(readSupervisorSpec({}).flags).toMatchObject({
      strategy: 'one_for_one',
      intensity: 1,
      periodMs: 5_000,
      autoShutdown: 'never',
    });
    expect(readChildSpec({ id: 'a', start })).toMatchObject({ restart: 'permanent', shutdown: 5_000, type: 'worker' });
    expect(readChildSpec({ id: 'a', supervisor: {} })).toMatchObject({ shutdown: 'infinity', type: 'supervisor' });
  });
});
