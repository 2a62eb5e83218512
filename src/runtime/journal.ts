import { LRUCache } from 'lru-cache';
import { AppError } from '../core/errors.ts';
import { periodOfRun } from '../core/ids.ts';
import { decodeEntry, encodeEntry, type JournalEntry } from '../core/journal-entry.ts';
import { MAX_SNAPSHOT_BYTES, type RunSnapshot } from '../core/run-state.ts';
import { journalStream, snapshotStream } from '../core/streams.ts';
import type { Subjects } from '../core/subjects.ts';
import type { Bus } from '../ports/bus.ts';
import type { Log } from '../ports/telemetry.ts';
import { parseSnapshot, RunFold, type RunMachine } from './fold.ts';

/**
 * The journals, over the bus: entry n of a run is a write-once subject, so whoever writes it first wins. Reading asks
 * for exact subjects in growing windows until a hole; a cache keeps what was read lately (what is written lately is kept by the owner, as long as it lives).
 */

const CACHE_BYTES = 8 * 1024 * 1024;
const WINDOWS = [2, 8, 32];

export type Appended = 'stored' | 'fenced';

export class Journal {
  private readonly bus: Bus;
  private readonly subjects: Subjects;
  private readonly log: Log;
  private readonly machine: RunMachine | undefined;
  private readonly cache = new LRUCache<string, JournalEntry>({ maxSize: CACHE_BYTES });
  private readonly periods = new Map<string, Promise<void>>();

  constructor(bus: Bus, subjects: Subjects, log: Log, machine?: RunMachine) {
    this.bus = bus;
    this.subjects = subjects;
    this.log = log;
    this.machine = machine;
  }

  /** Creates the streams of a period when they are not there; once a process. */
  ensurePeriod(period: string): Promise<void> {
    let ready = this.periods.get(period);
    if (ready === undefined) {
      ready = Promise.all([
        this.bus.ensureStream(journalStream(this.subjects, period)),
        this.bus.ensureStream(snapshotStream(this.subjects, period)),
      ]).then(() => {});
      this.periods.set(period, ready);
      ready.catch(() => this.periods.delete(period));
    }
    return ready;
  }

  /**
   * Writes entry n. A refusal is read back from the leader: our own bytes mean that only the acknowledgement was lost;
   * another's mean that somebody else owns the run now.
   */
  async append(run: string, entry: JournalEntry, text = encodeEntry(entry), signal?: AbortSignal): Promise<Appended> {
    try {
      await this.bus.publish(this.subjects.journal(run, entry.n), text, signal === undefined ? {} : { signal });
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'taken') throw error;
      const stored = await this.authoritative(run, entry.n);
      if (stored !== text) return 'fenced';
    }
    // Whoever takes the run here next needs it at once.
    if (entry.n === 0) this.cache.set(`${run}.0`, entry, { size: text.length });
    return 'stored';
  }

  /** What the leader holds as entry n; null when nothing is written there. */
  async authoritative(run: string, n: number): Promise<string | null> {
    const stream = journalStream(this.subjects, periodOfRun(run)).name;
    const stored = await this.bus.last(stream, this.subjects.journal(run, n), { authoritative: true });
    return stored?.data ?? null;
  }

  /** Whether the run was ever accepted. Only the leader's word is believed when that loses something: a replica may lag. */
  async exists(run: string): Promise<boolean> {
    return (await this.authoritative(run, 0)) !== null;
  }

  /** Entry n, from the cache or the stream; null when it is not written. Throws `journal_newer`, `journal_corrupt`. */
  async entry(run: string, n: number): Promise<JournalEntry | null> {
    const cached = this.cache.get(`${run}.${n}`);
    if (cached !== undefined) return cached;
    const stream = journalStream(this.subjects, periodOfRun(run)).name;
    const stored = await this.bus.last(stream, this.subjects.journal(run, n));
    if (stored === null) return null;
    const entry = decodeEntry(stored.data, run, n);
    this.cache.set(`${run}.${n}`, entry, { size: stored.data.length });
    return entry;
  }

  /** Like `entry`, for one that must be there. */
  async mustHave(run: string, n: number): Promise<JournalEntry> {
    const entry = (await this.entry(run, n)) ?? (await this.entry(run, n));
    if (entry === null)
      throw new AppError('journal_gap', `entry ${n} of run ${run} cannot be read`, { retryable: true });
    return entry;
  }

  /** The entries from n on, in order, until the first that is not written; at most `max`. */
  async *entries(run: string, from = 0, max = Number.POSITIVE_INFINITY): AsyncGenerator<JournalEntry> {
    let given = 0;
    for (let next = from, round = 0; given < max; round++) {
      const width = Math.min(WINDOWS[Math.min(round, WINDOWS.length - 1)] ?? 32, max - given);
      const window = await Promise.all(Array.from({ length: width }, (_, i) => this.entry(run, next + i)));
      for (const entry of window) {
        if (entry === null) return;
        yield entry;
        given++;
      }
      next += width;
    }
  }

  /** The run as its journal tells it: the newest usable snapshot and the entries after it. Null without entry 0. */
  async load(run: string): Promise<RunFold | null> {
    const fold = new RunFold((await this.snapshot(run)) ?? undefined, this.machine);
    for await (const entry of this.entries(run, fold.protocol.n + 1)) fold.fold(entry);
    return fold.protocol.n < 0 ? null : fold;
  }

  /**
   * The run as entry 0 alone tells it, for one that nobody is expected to have taken: whoever acts on it finds out by
   * its claim, which is refused when there is more.
   */
  async loadNew(run: string): Promise<RunFold | null> {
    const entry = await this.entry(run, 0);
    if (entry === null) return null;
    const fold = new RunFold(undefined, this.machine);
    fold.fold(entry);
    return fold;
  }

  private async snapshot(run: string): Promise<RunSnapshot | null> {
    const stream = snapshotStream(this.subjects, periodOfRun(run)).name;
    const stored = await this.bus.last(stream, this.subjects.snapshot(run));
    if (stored === null) return null;
    const snapshot = parseSnapshot(stored.data);
    if (snapshot === null)
      this.log.warn('snapshot.unusable', { run_id: run, consequence: 'the journal is folded from its start' });
    return snapshot;
  }

  /** Stores a snapshot. One that is too large is a fault of ours: it is reported and not stored. */
  async saveSnapshot(run: string, snapshot: RunSnapshot, signal?: AbortSignal): Promise<void> {
    const text = JSON.stringify(snapshot);
    if (text.length > MAX_SNAPSHOT_BYTES) {
      this.log.error('snapshot.too_large', { run_id: run, bytes: text.length, limit: MAX_SNAPSHOT_BYTES });
      return;
    }
    await this.bus.publish(this.subjects.snapshot(run), text, signal === undefined ? {} : { signal });
  }
}
