import type { ChildSpec } from './child-spec.ts';
import type { ExitReason } from './exit-reason.ts';
import type { ChildType, Ref, Restart, Shutdown } from './spec-types.ts';

/**
 * What a supervisor tells about its work, as data: OTP's supervisor reports and progress reports, and three of our own
 * (`gave_up`, `zombie`, `dropped`). A report of a decision comes before the commands it causes.
 */

export type ErrorContext =
  /** A child ended and that was not in order: it is restarted, or it was temporary and ended abnormally. */
  | 'child_terminated'
  /** A start failed, at the supervisor's own start or in a restart. */
  | 'start_error'
  /** A child did not end as it was asked to. */
  | 'shutdown_error'
  /** The supervisor ends because its restart intensity is exceeded. */
  | 'shutdown'
  /** A child with a limit of its own (`backoff.maxRestarts`) stays down. */
  | 'gave_up'
  /** A killed incarnation, or one whose start was given up, still said something. It was ignored. */
  | 'zombie'
  /** A message to a child that is not running was dropped. */
  | 'dropped';

/** The child that a report is about. */
export interface Offender {
  readonly ref: Ref | null;
  readonly id: string;
  readonly type: ChildType;
  /** How it is started; null once nothing of a temporary child's start is kept. */
  readonly start: 'actor' | 'resource' | 'supervisor' | null;
  readonly restart: Restart;
  readonly shutdown: Shutdown;
  readonly significant: boolean;
}

export interface ErrorReport {
  readonly context: ErrorContext;
  readonly supervisor: string;
  readonly reason: ExitReason;
  readonly offender: Offender;
  /** Epoch milliseconds. */
  readonly at: number;
}

/** A child has started. */
export interface ProgressReport {
  readonly context: 'progress';
  readonly supervisor: string;
  readonly started: Offender;
  readonly at: number;
}

export type Report = ErrorReport | ProgressReport;

export function offenderOf(spec: ChildSpec, ref: Ref | null): Offender {
  const { id, type, restart, shutdown, significant } = spec;
  return { ref, id, type, start: spec.run?.kind ?? null, restart, shutdown, significant };
}
