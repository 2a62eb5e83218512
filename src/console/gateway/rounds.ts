/**
 * The readings of all runs, in rounds: what they ask of the server goes to it in one piece, and so do its answers. For
 * each run by itself both would be written and read by themselves, which is most of what watching many costs the server.
 */

/**
 * So long after a round began the next one may, milliseconds: tabs are told no more often anyway, and what comes
 * meanwhile is read, folded and told together.
 */
const PACE_MS = 100;
/** What belongs together gets the moment to arrive together, milliseconds. */
const GATHER_MS = 8;

export class Rounds {
  private readonly due = new Set<() => Promise<void>>();
  private timer: NodeJS.Timeout | null = null;
  /** When the last one began. */
  private began = 0;

  /** It is read in the next round, once. @param read never rejects */
  join(read: () => Promise<void>): void {
    this.due.add(read);
    this.timer ??= setTimeout(() => this.begin(), Math.max(GATHER_MS, this.began + PACE_MS - performance.now()));
  }

  private begin(): void {
    this.timer = null;
    this.began = performance.now();
    const due = [...this.due];
    this.due.clear();
    for (const read of due) void read();
  }
}
