/**
 * OTP's restart intensity as a pure decision: at most `intensity` restarts within `periodMs`; one more gives up.
 * A stamp counts while it is at most a period old, inclusive. The clock is the caller's, in milliseconds.
 *
 * Source: the supervisor behaviour of Erlang/OTP, where the check precedes the start; so a child that always fails is
 * started exactly `intensity` times again.
 */
export interface RestartBudget {
  intensity: number;
  periodMs: number;
}

/** The default of a run: 3 restarts in 60 s (SUP-3). */
export const RUN_BUDGET: RestartBudget = { intensity: 3, periodMs: 60_000 };

export interface RestartVerdict {
  restart: boolean;
  /** Stamps to pass in the next time. */
  stamps: number[];
}

export function askRestart(budget: RestartBudget, stamps: readonly number[], now: number): RestartVerdict {
  const recent = [...stamps.filter((stamp) => stamp >= now - budget.periodMs), now];
  return { restart: recent.length <= budget.intensity, stamps: recent };
}
