import type { AnyActorLogic, EventObject } from 'xstate';
import type { ExitOutput, ExitReason } from './exit-reason.ts';

/** What is written to describe a supervisor and its children; every field left out has OTP's default. */

export type Restart = 'permanent' | 'transient' | 'temporary';
export type Strategy = 'one_for_one' | 'one_for_all' | 'rest_for_one' | 'dynamic';
export type AutoShutdown = 'never' | 'any_significant' | 'all_significant';
export type ChildType = 'worker' | 'supervisor';
/** Milliseconds that a child gets to end after it was asked; `brutal_kill` does not ask, `infinity` never kills. */
export type Shutdown = number | 'infinity' | 'brutal_kill';

/** One incarnation of a child: unique within a tree, never used again. */
export type Ref = string;

export interface BackoffInput {
  /** Delay before the first restart, milliseconds. */
  minMs: number;
  /** Longest delay, jitter included, milliseconds. */
  maxMs: number;
  /** Part of the delay, 0 to 1, that chance adds; default 0. */
  jitter?: number;
  /** A child that has been up that long begins again at `minMs`; default the middle of `minMs` and `maxMs`. */
  resetAfterMs?: number;
  /** Failures in a row after which the child stays down; default no limit but the supervisor's intensity. */
  maxRestarts?: number;
}

/** What the start function of a resource is given. */
export interface ChildContext {
  readonly ref: Ref;
  readonly input: unknown;
  /** Aborted when the incarnation is killed or its start is given up: from then on nobody listens to it. */
  readonly signal: AbortSignal;
  /** Says that the resource has ended by itself. The first word counts. */
  exit(reason: ExitReason): void;
}

/** What a started resource is stopped by. */
export interface ResourceHandle {
  /** Returned to whoever asked for the start; not kept. */
  readonly info?: unknown;
  /** Ends it; resolves when it has ended. A rejection is the reason it ended with. Without it, the signal is aborted. */
  stop?(): void | Promise<void>;
  /** Takes a message sent to the child by its id. */
  receive?(message: unknown): void;
}

export type StartAnswer = ResourceHandle | ExitOutput | { readonly alreadyStarted: Ref };

interface CommonFields {
  /** Unique among the children of a static supervisor; a dynamic one only shows it. */
  id: string;
  /** Default `permanent`. */
  restart?: Restart;
  /** Default 5000, for supervisors `infinity`. */
  shutdown?: Shutdown;
  /** Whether its end may end the supervisor (`autoShutdown`); default false. */
  significant?: boolean;
  /** Longest start, milliseconds; default 30,000, for supervisors `infinity`. */
  startMs?: number | 'infinity';
  /** Delay between restarts; default none, as in OTP. */
  backoff?: BackoffInput;
  input?: unknown;
}

/** A child that is an XState actor. It is up once it is active and `ready` holds. */
export interface ActorChild extends CommonFields {
  logic: AnyActorLogic;
  ready?: (snapshot: unknown) => boolean;
  /** Asks the actor to end by reaching its final state. Without it the actor is stopped at once, as OTP stops a process that does not trap exits. */
  stopEvent?: EventObject;
  type?: ChildType;
}

/** A child that is anything with a start and a stop: a connection, a consumer, a server. */
export interface ResourceChild extends CommonFields {
  start: (context: ChildContext) => StartAnswer | Promise<StartAnswer>;
  type?: ChildType;
}

/** A child that is a supervisor; a function is asked anew at each start. */
export interface SupervisorChild extends CommonFields {
  supervisor: SupervisorInput | SupervisorInit;
  type?: 'supervisor';
}

export type ChildInput = ActorChild | ResourceChild | SupervisorChild;

export type SupervisorInit = () => SupervisorInput | ExitOutput;

export interface SupervisorInput {
  /** Default `one_for_one`. */
  strategy?: Strategy;
  /** Restarts allowed within the period, by all children together; default 1. */
  intensity?: number;
  /** Default 5000 milliseconds. */
  periodMs?: number;
  /** Default `never`. */
  autoShutdown?: AutoShutdown;
  /** In start order. */
  children?: readonly ChildInput[];
  /** Dynamic only: most children at once; default `infinity`. */
  maxChildren?: number | 'infinity';
  /** Dynamic only: fields laid under the input of every child, at its start and at each restart. */
  extraInput?: Readonly<Record<string, unknown>>;
  /** That many children from the one in `children`, with ids `0` to `n - 1` and their index as `partition` in the input. */
  partitions?: number;
  /** A group restart also starts children that were stopped by request or had ended; default true, as in OTP. */
  reviveStopped?: boolean;
  /** End with OTP's clean `shutdown` when the intensity is exceeded; default false: with the abnormal `escalated`. */
  otpExact?: boolean;
  /**
   * Whether it is an XState actor, default true. Without one it decides the same, for a fifth of the cost: for supervisors
   * that come and go by the thousand. In a tree that is inspected all are actors.
   */
  actor?: boolean;
}
