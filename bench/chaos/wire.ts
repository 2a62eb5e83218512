/** What the processes of the drill tell each other. */

export type CableMode = 'open' | 'cut' | 'hole';

/** What is broken on purpose, to see that the drill notices. */
export type Breakage = 'none' | 'keys' | 'ack';

export interface ChaosNodeOptions {
  dir: string;
  leaseMs: number;
  /** How long a node that cannot read the kill switches goes on, milliseconds. */
  staleMs: number;
  sinkPort: number;
  replicas: number;
  breakage: Breakage;
}

export interface ChaosWorkerOptions {
  url: string;
  sinkPort: number;
}
