import { decodeEntry, type JournalEntry } from '../../core/journal-entry.ts';

/**
 * Entries of one run as they were heard on their way to the journal. Hearing one does not say that it was stored: it may
 * have been refused. But an owner sends an entry only when the one before it is stored, so once its entry n is known to be
 * there, all that it sent before n, back to its claim, are there as well, and need not be read.
 */

/** Beyond this many characters nothing is kept: what is missing is read. */
const MAX_CHARS = 256 * 1024;

/** The incarnation of an owner: the claim it writes under, and its name. */
export type Writer = Pick<JournalEntry, 'epoch' | 'writer'>;

export class HeardEntries {
  private readonly run: string;
  /** By their number. Whoever lost the run may have sent another one. */
  private readonly texts = new Map<number, string[]>();
  private chars = 0;

  constructor(run: string) {
    this.run = run;
  }

  add(n: number, text: string): void {
    this.chars += text.length;
    if (this.chars > MAX_CHARS) this.clear();
    else this.texts.set(n, [...(this.texts.get(n) ?? []), text]);
  }

  /** Entry n as this owner sent it; null when that was not heard, or its claim is newer. */
  sentBy({ epoch, writer }: Writer, n: number): JournalEntry | null {
    if (n < epoch) return null;
    for (const text of this.texts.get(n) ?? []) {
      const entry = this.decoded(text, n);
      if (entry?.epoch === epoch && entry.writer === writer) return entry;
    }
    return null;
  }

  private decoded(text: string, n: number): JournalEntry | null {
    try {
      return decodeEntry(text, this.run, n);
    } catch {
      // What is wrong with it is told when it is read.
      return null;
    }
  }

  /** Nobody asks for those up to n again. */
  forget(n: number): void {
    for (const [at, texts] of this.texts) {
      if (at > n) continue;
      this.texts.delete(at);
      for (const text of texts) this.chars -= text.length;
    }
  }

  private clear(): void {
    this.texts.clear();
    this.chars = 0;
  }
}
