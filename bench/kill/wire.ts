/** What the kill drill and its nodes say to each other. */

export interface KillNodeOptions {
  url: string;
  prefix: string;
  name: string;
  slots: number;
}

export const AGENTS = ['k0', 'k1', 'k2', 'k3'] as const;
export const TOOLS = ['wait_0', 'wait_1'] as const;
export const MODELS = ['bench/0', 'bench/1'] as const;

/** An effect has begun; `at` is the wall clock, epoch milliseconds with fractions. */
export interface Effect {
  run: string;
  agent: string;
  user: string;
  tool: string;
  at: number;
}

/** Where effects are told, beside everything of Proctor. */
export const EFFECTS = 'sink.effects';

/** The wall clock, finer than a millisecond. */
export function wallClock(): number {
  return performance.timeOrigin + performance.now();
}
