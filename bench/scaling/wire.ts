/** What the drill of several nodes and its nodes say to each other. */

export interface ScalingNodeOptions {
  url: string;
  prefix: string;
  name: string;
  slots: number;
}

export const AGENT = 'waiter';
export const TOOL = 'wait';
/** How long each call waits, milliseconds. */
export const WAIT_MS = 50;
/** Calls of a run, each after the one before. */
export const STEPS = 10;
