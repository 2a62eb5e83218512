import type { ExitReason } from './exit-reason.ts';
import type { ChildInput, ChildType, Ref, Restart, Shutdown, SupervisorInput } from './spec-types.ts';

/** The calls of OTP's supervisor module, and their answers. */

export type Request =
  | { readonly type: 'start_child'; readonly spec: ChildInput }
  /** A child of a static supervisor by `id`, of a dynamic one by `ref`. */
  | { readonly type: 'terminate_child'; readonly id: string }
  | { readonly type: 'terminate_ref'; readonly ref: Ref }
  | { readonly type: 'restart_child'; readonly id: string }
  | { readonly type: 'delete_child'; readonly id: string }
  | { readonly type: 'which_children' }
  | { readonly type: 'which_child'; readonly id: string }
  | { readonly type: 'count_children' }
  | { readonly type: 'get_childspec'; readonly id: string }
  /** New flags and specs for what runs: nothing is started, stopped or deleted. */
  | { readonly type: 'reload'; readonly spec: SupervisorInput }
  /** Partition supervisors: how many partitions are in use from now on. */
  | { readonly type: 'resize'; readonly size: number }
  /** Partition supervisors: the child that a key belongs to. */
  | { readonly type: 'which_partition'; readonly key: string | number };

export interface Call {
  /** Names the call in the reply. */
  readonly call: number;
  readonly request: Request;
}

export type CallError =
  | 'already_started'
  | 'already_present'
  | 'not_found'
  | 'running'
  | 'restarting'
  | 'max_children'
  /** This kind of supervisor does not know the call. */
  | 'unsupported'
  /** The spec is faulty; `reason` names every fault. */
  | 'bad_spec'
  | 'bad_request'
  | 'start_failed'
  | 'no_partitions'
  /** More calls wait than the supervisor keeps. */
  | 'busy'
  /** The supervisor is ending or has ended. */
  | 'stopping';

/** A running child is shown by its ref. */
export type ChildState = { readonly ref: Ref } | 'restarting' | 'stopped';

export interface ListedChild {
  readonly id: string;
  readonly child: ChildState;
  readonly type: ChildType;
}

export interface Counts {
  readonly specs: number;
  readonly active: number;
  readonly supervisors: number;
  readonly workers: number;
}

export interface SpecView {
  readonly id: string;
  readonly restart: Restart;
  readonly shutdown: Shutdown;
  readonly type: ChildType;
  readonly significant: boolean;
  readonly startMs: number | 'infinity';
}

export type Reply =
  | {
      readonly ok: true;
      /** `start_child`, `restart_child`: the new incarnation; null when it did not want to run. */
      readonly ref?: Ref | null;
      readonly info?: unknown;
      readonly child?: ChildState;
      /** Last started first, as OTP lists them. */
      readonly children?: readonly ListedChild[];
      readonly counts?: Counts;
      readonly spec?: SpecView;
      /** `resize`: the size before. */
      readonly size?: number;
      readonly partition?: number;
    }
  | { readonly ok: false; readonly error: CallError; readonly ref?: Ref; readonly reason?: ExitReason };
