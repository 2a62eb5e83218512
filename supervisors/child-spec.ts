import type { AnyActorLogic, EventObject } from 'xstate';
import { AppError } from '../src/core/errors.ts';
import { type Backoff, readBackoff } from './backoff.ts';
import { Fields, MAX_ID } from './fields.ts';
import type { ChildContext, ChildType, Restart, Shutdown, StartAnswer } from './spec-types.ts';

/**
 * Child specifications. `readChildSpec` fills in OTP's defaults and names every fault of the input at once; unknown
 * keys are ignored, as in OTP.
 */

/** How a child is run; the decision core only hands it on. */
export type ChildRun =
  | {
      readonly kind: 'actor';
      readonly logic: AnyActorLogic;
      readonly ready: ((snapshot: unknown) => boolean) | null;
      readonly stopEvent: EventObject | null;
    }
  | { readonly kind: 'resource'; readonly start: (context: ChildContext) => StartAnswer | Promise<StartAnswer> }
  | { readonly kind: 'supervisor'; readonly supervisor: unknown };

export interface ChildSpec {
  readonly id: string;
  /** Null in the record of a temporary child: it is never started again, so nothing of its start is kept. */
  readonly run: ChildRun | null;
  readonly input: unknown;
  readonly restart: Restart;
  readonly shutdown: Shutdown;
  readonly type: ChildType;
  readonly significant: boolean;
  readonly startMs: number | 'infinity';
  readonly backoff: Backoff | null;
}

/**
 * @param where how messages name the spec, such as `children.2`
 * @throws AppError `bad_child_spec` with all faults; `field` is the first
 */
export function readChildSpec(input: unknown, where = 'child'): ChildSpec {
  const fields = new Fields(input, where);
  const id = fields.text('id', MAX_ID);
  const run = readRun(fields);
  const type = fields.oneOf('type', ['worker', 'supervisor'], run?.kind === 'supervisor' ? 'supervisor' : 'worker');
  if (run?.kind === 'supervisor' && type === 'worker') fields.fault('type', 'a supervisor is of type "supervisor"');
  const supervisor = type === 'supervisor';
  const spec: ChildSpec = {
    id,
    run,
    input: fields.any('input'),
    restart: fields.oneOf('restart', ['permanent', 'transient', 'temporary'], 'permanent'),
    shutdown: fields.count('shutdown', { least: 0, or: ['infinity', 'brutal_kill'] }, supervisor ? 'infinity' : 5_000),
    type,
    significant: fields.flag('significant', false),
    startMs: fields.count('startMs', { least: 1, or: ['infinity'] }, supervisor ? 'infinity' : 30_000),
    backoff: readBackoff(fields),
  };
  if (spec.significant && spec.restart === 'permanent') {
    fields.fault('significant', 'a permanent child cannot be significant: it never ends for good');
  }
  fields.check('bad_child_spec');
  return spec;
}

function readRun(fields: Fields): ChildRun | null {
  const given = ['logic', 'start', 'supervisor'].filter((name) => fields.any(name) !== undefined);
  if (given.length !== 1) {
    const found = given.length === 0 ? 'none is given' : `${given.join(' and ')} are given`;
    fields.fault('start', `exactly one of "start", "logic" and "supervisor" says how the child is run; ${found}`);
    return null;
  }
  if (given[0] === 'supervisor') return { kind: 'supervisor', supervisor: fields.any('supervisor') };
  if (given[0] === 'start') {
    const start = fields.callable<(context: ChildContext) => StartAnswer | Promise<StartAnswer>>('start');
    return start === null ? null : { kind: 'resource', start };
  }
  const logic = fields.any('logic') as AnyActorLogic | null;
  if (typeof logic !== 'object' || logic === null || typeof logic.transition !== 'function') {
    fields.fault('logic', 'expected XState actor logic (a machine, or what fromPromise, fromCallback … return)');
    return null;
  }
  const stopEvent = fields.any('stopEvent') as EventObject | undefined;
  if (stopEvent !== undefined && typeof (stopEvent as EventObject | null)?.type !== 'string') {
    fields.fault('stopEvent', 'expected an event: an object with a "type"');
  }
  const ready = fields.any('ready') === undefined ? null : fields.callable<(snapshot: unknown) => boolean>('ready');
  return { kind: 'actor', logic, ready, stopEvent: stopEvent ?? null };
}

/** All of them, or the error that names every fault of every spec. */
export function readChildSpecs(inputs: readonly unknown[], where = 'children'): ChildSpec[] {
  const specs: ChildSpec[] = [];
  const faults: AppError[] = [];
  for (const [index, input] of inputs.entries()) {
    try {
      specs.push(readChildSpec(input, `${where}.${index}`));
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      faults.push(error);
    }
  }
  const [first] = faults;
  if (first === undefined) return specs;
  const message = faults.map((fault) => fault.message).join('; ');
  throw new AppError('bad_child_spec', message, first.field === undefined ? {} : { field: first.field });
}
