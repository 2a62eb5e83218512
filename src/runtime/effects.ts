import type { Want } from '../../machines/agent-run/wanted.ts';
import type { Usage } from '../core/decision.ts';
import type { AppError } from '../core/errors.ts';
import type { RunEvent, RunEventOf } from '../core/events.ts';
import type { LoopState } from '../core/loops.ts';
import type { RunContext } from '../core/run-state.ts';
import type { Log } from '../ports/telemetry.ts';
import type { WatchedRun } from '../ports/watchdog.ts';
import type { NodeDeps } from './deps.ts';
import type { Effort } from './effort.ts';
import type { RunTelemetry } from './run-telemetry.ts';
import type { EntryReader } from './steps.ts';

/** Money and tokens that are held for a model call. */
export interface Hold {
  /**
   * What was used is charged; null: nobody knows, so the estimate is.
   * @param told whether what is journalled next says the same
   */
  settle(usage: Usage | null, told: boolean): Promise<void>;
}

/** What an effect may use of the run that wants it. */
export interface EffectScope {
  deps: NodeDeps;
  accepted: RunEventOf<'accepted'>;
  context: RunContext;
  /** Index of the claim that it is wanted under. */
  epoch: number;
  /** What its steps so far say of loops. */
  loops: LoopState;
  read: EntryReader;
  /** Journals events; false when the run does not take them any more. */
  write(events: RunEvent[]): Promise<boolean>;
  effort: Effort;
  /**
   * Holds what the next model call may cost. Null: it costs nothing; a limit: there is no room for it. Throws AppError
   * `ledger_unavailable`, or `unknown_price`.
   */
  hold(think: string, maxOutputTokens: number): Promise<Hold | RunEventOf<'limit'> | null>;
  /** Whether an owner before this one may have sent the call: what it did is open, whatever comes of it here. */
  inherited(c: string): boolean;
  /** Asked right before an effect is sent; `uses`: scope of its tool or model. */
  permit(uses: string | null): Permit;
  log: Log;
  telemetry: RunTelemetry | null;
  watched: WatchedRun;
}

/** `wait`: not now; it is begun anew when it may. `off`: the tool or model is switched off. */
export type Permit = 'go' | 'wait' | { off: AppError };

export type WantOf<K extends Want['kind']> = Extract<Want, { kind: K }>;

/** How long after the end of a call what was reserved for it may be settled, milliseconds. */
export const SETTLE_MS = 600_000;

/** Time that one model or tool call may take: the step limit, and never more than the run has left (RUN-5). */
export function stepTime(scope: EffectScope): number {
  const { context, deps } = scope;
  const left = context.deadline_at === null ? context.limits.wall_ms : context.deadline_at - deps.clock.now();
  return Math.max(1, Math.min(context.limits.step_ms, left));
}
