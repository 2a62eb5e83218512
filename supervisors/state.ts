import type { ChildRun, ChildSpec } from './child-spec.ts';
import type { ExitReason } from './exit-reason.ts';
import type { Call, Reply } from './requests.ts';
import { Slots } from './slots.ts';
import type { Ref } from './spec-types.ts';
import type { SupervisorFlags, SupervisorSpec } from './supervisor-spec.ts';

/** The state of one supervisor, its inputs and its commands. All of it is immutable data, and all times are absolute. */

/** Calls that wait while the supervisor is busy; more are refused, so that the state stays bounded. */
export const MAX_WAITING_CALLS = 1_000;

export type Phase = 'idle' | 'starting' | 'running' | 'restarting' | 'stopping' | 'ended';

/** `restarting`: a start failed, or a backoff runs; another try is due. `stopped`: the spec is kept, nothing runs. */
export type ChildStatus = 'starting' | 'running' | 'stopping' | 'restarting' | 'stopped';

export interface ChildRecord {
  /** Place in the start order; a restart keeps it. */
  readonly slot: number;
  readonly spec: ChildSpec;
  readonly status: ChildStatus;
  /** Number of the last incarnation. */
  readonly incarnation: number;
  /** Of the last incarnation that was up; null before the first. The one being started stands in the work. */
  readonly ref: Ref | null;
  /** Its end, heard while the supervisor was busy and not dealt with yet. */
  readonly exit: ExitReason | null;
  /** Key in `retries` while it is restarting. */
  readonly retry: number | null;
  /** Failures in a row, for the backoff. */
  readonly failures: number;
  /** Starts after the first. */
  readonly restarts: number;
  /** When it last came up, epoch milliseconds. */
  readonly upAt: number | null;
  /** It is down because it was asked to or ended by itself, not because of a restart in progress. */
  readonly resting: boolean;
}

export interface Retry {
  readonly key: number;
  readonly slot: number;
  /** Epoch milliseconds. */
  readonly at: number;
}

/** What the supervisor does step by step; one thing at a time, everything else waits in the inbox. */
export type Purpose =
  | { readonly type: 'init' }
  | { readonly type: 'restart' }
  | { readonly type: 'start_child'; readonly call: number }
  | { readonly type: 'restart_child'; readonly call: number }
  | { readonly type: 'terminate_child'; readonly call: number }
  | { readonly type: 'resize'; readonly call: number; readonly before: number }
  | { readonly type: 'init_failed'; readonly reason: ExitReason }
  | { readonly type: 'end'; readonly reason: ExitReason };

export type Step =
  | { readonly do: 'start'; readonly slot: number }
  /** All of them at once. */
  | { readonly do: 'stop'; readonly slots: readonly number[] };

export type Waiting =
  | { readonly for: 'start'; readonly slot: number; readonly ref: Ref; readonly deadline: number | null }
  | { readonly for: 'stops'; readonly left: number; readonly deadlines: readonly Deadline[] };

export interface Deadline {
  readonly at: number;
  readonly slots: readonly number[];
}

export interface Work {
  readonly purpose: Purpose;
  readonly steps: readonly Step[];
  /** Index of the next step. */
  readonly next: number;
  readonly waiting: Waiting | null;
}

/** What came while the supervisor was busy; an exit stands in the child's record, here is its turn. */
export type Queued =
  | { readonly type: 'exited'; readonly key: number; readonly slot: number; readonly ref: Ref }
  | { readonly type: 'stop'; readonly key: number; readonly reason: ExitReason }
  | { readonly type: 'call'; readonly key: number; readonly call: Call };

export interface SupervisorState {
  readonly name: string;
  /** Whose stop signals are obeyed. */
  readonly parent: string;
  readonly flags: SupervisorFlags;
  readonly children: Slots<ChildRecord>;
  readonly nextSlot: number;
  /** Times of the restarts that count at present. */
  readonly stamps: readonly number[];
  readonly retries: Slots<Retry>;
  readonly inbox: Slots<Queued>;
  /** Keys of retries and of the inbox. */
  readonly nextKey: number;
  readonly waitingCalls: number;
  readonly stopAsked: boolean;
  readonly work: Work | null;
  readonly started: boolean;
  readonly ended: ExitReason | null;
  /** Partitions that are in use; null for a supervisor that is not partitioned. */
  readonly size: number | null;
  readonly seed: number;
}

export type Input =
  /** Starts the children. */
  | { readonly type: 'start' }
  | { readonly type: 'started'; readonly ref: Ref; readonly info?: unknown }
  /** The child does not want to run. */
  | { readonly type: 'ignored'; readonly ref: Ref }
  | { readonly type: 'start_failed'; readonly ref: Ref; readonly reason: ExitReason; readonly alreadyStarted?: Ref }
  | { readonly type: 'exited'; readonly ref: Ref; readonly reason: ExitReason }
  /** An incarnation that was killed or whose start was given up still said something. */
  | { readonly type: 'spoke'; readonly ref: Ref; readonly spec: ChildSpec; readonly what: string }
  /** Time has passed: `dueAt` has been reached. */
  | { readonly type: 'tick' }
  /** A stop signal; only the parent's is obeyed. */
  | { readonly type: 'stop'; readonly from: string; readonly reason: ExitReason }
  /** The supervisor is killed outright. */
  | { readonly type: 'kill' }
  /** A message to the child with that id. */
  | { readonly type: 'message'; readonly id: string; readonly message: unknown }
  | { readonly type: 'call'; readonly call: Call };

export type Command =
  | {
      readonly type: 'start';
      readonly ref: Ref;
      readonly id: string;
      readonly run: ChildRun;
      readonly input: unknown;
      readonly spec: ChildSpec;
    }
  /** Ask it to end. */
  | { readonly type: 'shutdown'; readonly ref: Ref }
  /** Fence it: its end counts from now, whatever it does. Answer with `exited`, reason `killed`. */
  | { readonly type: 'kill'; readonly ref: Ref }
  | { readonly type: 'deliver'; readonly ref: Ref; readonly message: unknown }
  | { readonly type: 'reply'; readonly call: number; readonly reply: Reply }
  /** All initial children are up. */
  | { readonly type: 'up' }
  | { readonly type: 'init_failed'; readonly reason: ExitReason }
  | { readonly type: 'ended'; readonly reason: ExitReason };

/**
 * @param name unique in the process, and new for every incarnation: it stands in the refs of the children
 * @param seed of the chance in backoff delays
 */
export function initialState(spec: SupervisorSpec, name: string, parent: string, seed = 0): SupervisorState {
  let children = Slots.empty<ChildRecord>();
  for (const [slot, child] of spec.children.entries()) children = children.set(slot, newRecord(slot, child));
  return {
    name,
    parent,
    flags: spec.flags,
    children,
    nextSlot: spec.children.length,
    stamps: [],
    retries: Slots.empty(),
    inbox: Slots.empty(),
    nextKey: 0,
    waitingCalls: 0,
    stopAsked: false,
    work: null,
    started: false,
    ended: null,
    size: spec.flags.partitions,
    seed,
  };
}

export function newRecord(slot: number, spec: ChildSpec): ChildRecord {
  return {
    slot,
    spec,
    status: 'stopped',
    incarnation: 0,
    ref: null,
    exit: null,
    retry: null,
    failures: 0,
    restarts: 0,
    upAt: null,
    resting: false,
  };
}

export function phaseOf(state: SupervisorState): Phase {
  if (state.ended !== null) return 'ended';
  const purpose = state.work?.purpose.type;
  if (purpose === 'end' || purpose === 'init_failed') return 'stopping';
  if (purpose === 'init') return 'starting';
  if (!state.started) return 'idle';
  return purpose === 'restart' || state.retries.size > 0 ? 'restarting' : 'running';
}

/** When the supervisor wants the next `tick`, epoch milliseconds; null when only an event can change anything. */
export function dueAt(state: SupervisorState): number | null {
  const { work } = state;
  if (work === null) return least(state.retries.values().map((retry) => retry.at));
  if (work.waiting === null) return null;
  return work.waiting.for === 'start'
    ? work.waiting.deadline
    : least(work.waiting.deadlines.map((deadline) => deadline.at));
}

function least(times: readonly number[]): number | null {
  return times.reduce<number | null>((first, at) => (first === null || at < first ? at : first), null);
}

/** The record that a ref belongs to, if that is its present incarnation. */
export function recordOf(state: SupervisorState, ref: Ref): ChildRecord | undefined {
  if (typeof ref !== 'string' || !ref.startsWith(`${state.name}:`)) return undefined;
  const record = state.children.get(Number(ref.slice(state.name.length + 1).split('.', 1)[0]));
  return record?.ref === ref ? record : undefined;
}

export function refOf(state: SupervisorState, slot: number, incarnation: number): Ref {
  return `${state.name}:${slot}.${incarnation}`;
}

/** Static supervisors only: a dynamic one may have several children of one id. */
export function recordById(state: SupervisorState, id: string): ChildRecord | undefined {
  return state.children.values().find((record) => record.spec.id === id);
}
