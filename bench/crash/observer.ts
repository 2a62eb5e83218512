import { connect, type NatsConnection } from '@nats-io/transport-node';
import { periodOf } from '../../src/core/ids.ts';
import { decodeEntry, type JournalEntry } from '../../src/core/journal-entry.ts';
import { RunResult } from '../../src/core/result.ts';
import { journalStream, streamsOf } from '../../src/core/streams.ts';
import type { Subjects } from '../../src/core/subjects.ts';
import type { Bus, StoredMessage } from '../../src/ports/bus.ts';

/** How often the streams are read on from where the last reading ended, milliseconds. */
const SWEEP_MS = 5_000;

/**
 * Reads what the streams hold while the drill goes on and remembers it: an entry seen once must be there, unchanged,
 * at the end. It listens to know where to look; what it remembers it has read from the stream. Scans cost the server
 * more the more a stream holds, so they only fill in what was missed.
 */
export class Observer {
  readonly runs = new Map<string, Map<number, JournalEntry>>();
  readonly results = new Map<string, RunResult>();
  private readonly seen = new Map<string, string>();
  private readonly next = new Map<string, number>();
  private readonly periods = new Set<string>();
  private readonly bus: Bus;
  private readonly subjects: Subjects;
  private readonly nc: NatsConnection;
  private heard = new Set<string>();
  private swept = 0;

  private constructor(nc: NatsConnection, bus: Bus, subjects: Subjects) {
    this.nc = nc;
    this.bus = bus;
    this.subjects = subjects;
  }

  static async open(url: string, bus: Bus, subjects: Subjects): Promise<Observer> {
    const nc = await connect({ servers: url, noAsyncTraces: true, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
    const observer = new Observer(nc, bus, subjects);
    for (const door of ['jrn', 'res']) {
      nc.subscribe(`${subjects.prefix}.${door}.>`, {
        callback: (_, message) => void observer.heard.add(message.subject),
      });
    }
    await nc.flush();
    return observer;
  }

  close(): Promise<void> {
    return this.nc.close();
  }

  get entriesSeen(): number {
    return this.seen.size;
  }

  /** Reads what was written since the last time. */
  async look(): Promise<void> {
    this.periods.add(periodOf(Date.now()));
    if (performance.now() - this.swept > SWEEP_MS) {
      await this.sweep();
      this.swept = performance.now();
    }
    const subjects = [...this.heard];
    this.heard.clear();
    const results = streamsOf(this.subjects).results.name;
    await Promise.all(
      subjects.map(async (subject) => {
        const period = subject.split('.')[2] ?? '';
        const isJournal = subject.startsWith(`${this.subjects.prefix}.jrn.`);
        const stream = isJournal ? journalStream(this.subjects, period).name : results;
        const message = await this.bus.last(stream, subject).catch(() => null);
        if (message !== null) this.remember(message);
      }),
    );
  }

  /** Reads on to the end of each stream. */
  private async sweep(): Promise<void> {
    const { subjects } = this;
    for (const period of this.periods) {
      const stream = journalStream(subjects, period);
      for await (const message of this.from(stream.name, `${subjects.prefix}.jrn.${period}.>`)) this.remember(message);
    }
    const results = streamsOf(subjects).results.name;
    for await (const message of this.from(results, `${subjects.prefix}.res.>`)) this.remember(message);
  }

  private async *from(stream: string, filter: string): AsyncGenerator<StoredMessage> {
    for await (const message of this.bus.scan(stream, filter, { fromSequence: this.next.get(stream) ?? 1 })) {
      this.next.set(stream, message.seq + 1);
      yield message;
    }
  }

  private remember(message: StoredMessage): void {
    if (message.subject.startsWith(`${this.subjects.prefix}.res.`)) {
      const result = RunResult.parse(JSON.parse(message.data));
      this.results.set(result.run, result);
      return;
    }
    this.seen.set(message.subject, message.data);
    const [run = '', n = ''] = message.subject.split('.').slice(-2);
    const entries = this.runs.get(run) ?? new Map<number, JournalEntry>();
    this.runs.set(run, entries);
    entries.set(Number(n), decodeEntry(message.data, run));
  }

  /** Reads everything from the start; names each entry that is gone or changed, and each hole in a journal. */
  async lost(): Promise<string[]> {
    const before = new Map(this.seen);
    this.next.clear();
    this.seen.clear();
    this.runs.clear();
    await this.sweep();
    const lost: string[] = [];
    for (const [subject, data] of before) {
      if (this.seen.get(subject) !== data)
        lost.push(`${subject} ${this.seen.has(subject) ? 'was changed' : 'is gone'}`);
    }
    for (const [run, entries] of this.runs) {
      for (let n = 0; n < entries.size; n++) if (!entries.has(n)) lost.push(`${run} has no entry ${n}`);
    }
    return lost;
  }

  /** The entries of a run in order. */
  entries(run: string): JournalEntry[] {
    return [...(this.runs.get(run)?.values() ?? [])].sort((a, b) => a.n - b.n);
  }
}
