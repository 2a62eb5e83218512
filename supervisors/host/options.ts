import type { InspectionEvent, Observer } from 'xstate';
import type { Report } from '../reports.ts';
import type { Command, Input } from '../state.ts';
import type { SupervisorClock, TreeEnv } from './incarnation.ts';

export interface SupervisorOptions {
  readonly clock: SupervisorClock;
  /** First part of all refs below; default `root`. Unique among the trees of a process. */
  readonly name?: string;
  /** Seed of the chance in backoff delays, a whole number; another one for each process. Default 0. */
  readonly seed?: number;
  readonly onReport?: (report: Report) => void;
  /** Sees what every supervisor of the tree hears and commands, in order. */
  readonly observe?: (supervisor: string, event: Input | Command) => void;
  /** XState's inspection events of the supervisors and of children that are actors. */
  readonly inspect?: Observer<InspectionEvent> | ((event: InspectionEvent) => void);
}

export function envOf(options: SupervisorOptions): TreeEnv {
  return {
    clock: options.clock,
    onReport: harmless(options.onReport),
    observe: harmless(options.observe),
    inspect: options.inspect ?? null,
  };
}

/** The same, but what it throws is dropped: a watcher that fails must not end what it watches. */
export function harmless<A extends unknown[]>(watch: ((...given: A) => void) | undefined): (...given: A) => void {
  if (watch === undefined) return () => undefined;
  return (...given) => {
    try {
      watch(...given);
    } catch {
      return;
    }
  };
}
