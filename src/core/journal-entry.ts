import { z } from 'zod';
import { AppError, describeFaults } from './errors.ts';
import { RunEvent } from './events.ts';

/**
 * The newest journal version that this code writes and folds. A node refuses a journal that holds a newer one
 * (SUP-11): it may not know what the entry means.
 */
export const JOURNAL_VERSION = 4;

/** Entry n of a run: written once, by whoever came first. `epoch` is the index of the claim it was written under. */
export const JournalEntry = z.strictObject({
  /** Version 1 had no teams, 2 no fallbacks, 3 none of tools and time; all that they say still means the same. */
  v: z.union([z.literal(1), z.literal(2), z.literal(3), z.literal(JOURNAL_VERSION)]),
  n: z.int().min(0),
  /** -1 before the first claim. */
  epoch: z.int().min(-1),
  /** The incarnation that wrote it: tells a lost acknowledgement from another node's entry. */
  writer: z.string().max(64),
  /** Epoch milliseconds on the server's clock; never less than the entry before. */
  at: z.int().min(0),
  events: z.array(RunEvent).min(1).max(256),
});
export type JournalEntry = z.infer<typeof JournalEntry>;

export function encodeEntry(entry: JournalEntry): string {
  return JSON.stringify(entry);
}

/** The same text, made of events that were encoded before. */
export function encodeEntryOf({ v, n, epoch, writer, at }: JournalEntry, events: string[]): string {
  return `{"v":${v},"n":${n},"epoch":${epoch},"writer":${JSON.stringify(writer)},"at":${at},"events":[${events.join(',')}]}`;
}

/** Parses a stored entry. Throws AppError `journal_newer` or `journal_corrupt`. */
export function decodeEntry(text: string, run: string, n?: number): JournalEntry {
  const where = n === undefined ? `journal of ${run}` : `journal of ${run}, entry ${n}`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new AppError('journal_corrupt', `${where}: not JSON`, { cause });
  }
  const v = typeof value === 'object' && value !== null && 'v' in value ? value.v : undefined;
  if (typeof v === 'number' && v > JOURNAL_VERSION) {
    throw new AppError('journal_newer', `${where} has version ${v}; this node knows ${JOURNAL_VERSION}: upgrade it`);
  }
  const parsed = JournalEntry.safeParse(value);
  if (!parsed.success) {
    throw new AppError('journal_corrupt', `${where}: ${describeFaults(parsed.error, 'entry').message}`);
  }
  return parsed.data;
}
