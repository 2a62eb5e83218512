import type { JournalEntry } from '../../core/journal-entry.ts';

/** Where journals come from: a cluster, or a file. */
export interface RunSource {
  /** The entries from n on that are there now, in order. Throws AppError `journal_newer`, `journal_corrupt`. */
  entries(run: string, from: number): AsyncIterable<JournalEntry>;
  /** Rings when an entry of the run is written, or may have been. */
  hear(run: string, ring: () => void): { stop(): void };
}
