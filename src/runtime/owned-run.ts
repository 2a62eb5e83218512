import type { RunEvent, RunEventOf } from '../core/events.ts';
import type { Delivery } from '../ports/bus.ts';
import type { NodeDeps } from './deps.ts';
import type { RunFold } from './fold.ts';
import type { RunTelemetry } from './run-telemetry.ts';
import type { StepLog } from './step-log.ts';
import type { EntryReader } from './steps.ts';

/** A run that this node owns, as those see it who park or end it. */
export interface OwnedRun {
  readonly deps: NodeDeps;
  readonly run: string;
  readonly fold: RunFold;
  readonly accepted: RunEventOf<'accepted'>;
  readonly steps: StepLog;
  readonly read: EntryReader;
  readonly delivery: Delivery;
  readonly telemetry: RunTelemetry | null;
  /** Writes and folds one last entry; false when the owner was fenced. */
  writeClosing(events: RunEvent[]): Promise<boolean>;
}
