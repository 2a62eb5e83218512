import type { JournalEntry } from '../../core/journal-entry.ts';

/** Where journals come from: a cluster, or a file. */
export interface RunSource {
  /**
   * The entries from one on that are there now, in order; at most `max`. Throws AppError `journal_newer`,
   * `journal_corrupt`.
   */
  entries(run: string, from: number, max?: number): AsyncIterable<JournalEntry>;
  /** Rings with the number of an entry that is sent to be written: it may not be there yet, or be refused. */
  hear(run: string, ring: (n: number) => void): { stop(): void };
}
