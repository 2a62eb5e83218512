/** What the benchmark of live runs and its nodes say to each other. */

export interface PacedNodeOptions {
  url: string;
  prefix: string;
  name: string;
  /** Runs that it has in work at once. */
  slots: number;
  /** How long a step of a run takes on average, milliseconds. */
  stepMs: number;
  seed: number;
}

export const AGENT = 'paced';
