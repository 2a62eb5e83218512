import type { RunFold } from './fold.ts';

/**
 * Runs that died with their nodes until one more death ends them, `crash_limit`: a node makes one such try at a time.
 * Whoever kills a node takes all with it that it just began; on its last try it is the only one that can, so that the
 * others are not ended for having been beside it.
 */
export class LastTries {
  /** Claims without progress that a run has before its last try. */
  private readonly before: number;
  private readonly owners: ReadonlyMap<string, { fold: RunFold }>;
  /** The one whose claim is being written. */
  private claiming: RunFold | null = null;

  constructor(limit: number, owners: ReadonlyMap<string, { fold: RunFold }>) {
    this.before = limit - 1;
    this.owners = owners;
  }

  /** False when the run has to wait, as another one is at its last try here. `claimed` follows when it is true. */
  begin(fold: RunFold): boolean {
    if (!this.isLast(fold.protocol.claims)) return true;
    if (this.claiming !== null) return false;
    for (const { fold: other } of this.owners.values()) if (this.isLast(other.protocol.claims - 1)) return false;
    this.claiming = fold;
    return true;
  }

  /** The claim is written, or it failed. */
  claimed(fold: RunFold): void {
    if (this.claiming === fold) this.claiming = null;
  }

  private isLast(claims: number): boolean {
    return this.before > 0 && claims === this.before;
  }
}
