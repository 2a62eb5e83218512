import type { InspectionEvent, Observer } from 'xstate';
import type { ExitReason } from '../exit-reason.ts';
import type { Report } from '../reports.ts';
import type { Ref } from '../spec-types.ts';
import type { Command, Input } from '../state.ts';
import type { SupervisorTree, TreeWindow } from '../tree.ts';

/** Time as an input; milliseconds. Structurally the `Clock` port. */
export interface SupervisorClock {
  now(): number;
  /** Runs `action` once, `ms` from now; the function returned cancels it. */
  after(ms: number, action: () => void): () => void;
}

/** What all supervisors of one tree share. What the functions throw is dropped: a watcher cannot harm the tree. */
export interface TreeEnv {
  readonly clock: SupervisorClock;
  readonly onReport: (report: Report) => void;
  /** Sees what every supervisor hears and commands, in order. */
  readonly observe: (supervisor: string, event: Input | Command) => void;
  /** XState's inspection events of supervisors and of children that are actors. */
  readonly inspect: Observer<InspectionEvent> | ((event: InspectionEvent) => void) | null;
}

/** How an incarnation is heard. A word of one that does not count any more is reported and otherwise ignored. */
export interface Voice {
  /** False when nobody waits for this start any longer: then what was started has to be ended. */
  started(info?: unknown): boolean;
  ignored(): void;
  failed(reason: ExitReason, alreadyStarted?: Ref): void;
  exited(reason: ExitReason): void;
}

/** One running child. */
export interface Incarnation {
  /** Asks it to end; its voice tells when it has. */
  shutdown(): void;
  /** Ends it as far as JavaScript can, and silences it. */
  kill(): void;
  deliver(message: unknown): void;
  tree(window?: TreeWindow): SupervisorTree | null;
}
