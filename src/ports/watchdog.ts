/**
 * Names what a run does right before it is done, so that somebody outside the event loop can tell what blocks it. It is
 * on the way of every entry and every call: it costs nanoseconds.
 */
export interface Watchdog {
  /** A run begins to be worked on here. */
  enter(run: string, agent: string): WatchedRun;
  /** The last time that the loop was blocked and came free again; null when it never was. */
  readonly last: Blocked | null;
  stop(): void;
}

export interface WatchedRun {
  /** Code of ours, from beginning to end. */
  now<T>(doing: OwnWork, work: () => T): T;
  /** Code of others, such as `tool mail`: what it does behind its awaits counts as well. */
  others<T>(doing: string, work: () => Promise<T>): Promise<T>;
  /** Nothing is done for the run here any more. */
  leave(): void;
}

/** `fold`: an entry goes through the chart. `validate`: arguments are held against the schema of their tool. */
export type OwnWork = 'fold' | 'validate';

/** What blocked the event loop of a node. */
export interface Blocked {
  /** When that began, epoch milliseconds. */
  at: number;
  /** How long the loop stood, milliseconds. */
  ms: number;
  /** Whose work it was; absent when it was no run's, or nobody can tell. */
  run_id?: string;
  agent?: string;
  doing?: string;
  /** Runs of which others' code was under way, when any of them may have been it. */
  maybe?: string[];
  /** Innermost function first, as `name (file:line:column)`; absent when native code did not let anybody look. */
  stack?: string[];
}

/** Nobody watches. */
export const NO_WATCHDOG: Watchdog = {
  last: null,
  enter: () => UNWATCHED,
  stop() {},
};

const UNWATCHED: WatchedRun = {
  now: (_doing, work) => work(),
  others: (_doing, work) => work(),
  leave() {},
};
