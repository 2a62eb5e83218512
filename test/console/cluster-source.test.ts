import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SILENT } from '../../src/app/local.ts';
import { type ConsoleBus, clusterRuns } from '../../src/console/gateway/cluster-source.ts';
import type { RunSource } from '../../src/console/gateway/run-source.ts';
import { encodeEntry, type JournalEntry } from '../../src/core/journal-entry.ts';
import { Subjects } from '../../src/core/subjects.ts';
import type { IncomingRequest } from '../../src/ports/bus.ts';
import { endedRun } from './journals.ts';

/** Entries of a run that is watched: which of them are read, and which are known from having been heard. */

const subjects = new Subjects('proctor');
let run: string;
let written: JournalEntry[];

beforeAll(async () => {
  ({ run, journal: written } = await endedRun(6));
});

/** What is stored, and what was asked for. */
class Server {
  readonly stored = new Map<string, string>();
  reads: number[] = [];
  private hear: ((message: IncomingRequest) => void) | undefined;

  readonly bus = {
    subscribe: (_subject: string, handler: (message: IncomingRequest) => void) => {
      this.hear = handler;
      return {
        stop: () => {
          this.hear = undefined;
          return Promise.resolve();
        },
      };
    },
    last: (_stream: string, subject: string) => {
      this.reads.push(Number(subject.split('.').at(-1)));
      const data = this.stored.get(subject);
      return Promise.resolve(data === undefined ? null : { data });
    },
  } as unknown as ConsoleBus;

  /** It comes by, and is not stored by that. */
  send(n: number, text: string): void {
    this.hear?.({ subject: subjects.journal(run, n), data: text, headers: {} });
  }

  store(n: number, text: string): void {
    this.stored.set(subjects.journal(run, n), text);
  }
}

let server: Server;
let source: RunSource;
let rung: number[];
let ear: { stop(): void };

beforeEach(() => {
  server = new Server();
  source = clusterRuns(server.bus, subjects, SILENT);
  rung = [];
  ear = source.hear(run, (n) => void rung.push(n));
});

async function read(from: number, max?: number): Promise<JournalEntry[]> {
  server.reads = [];
  const found: JournalEntry[] = [];
  for await (const entry of source.entries(run, from, max)) found.push(entry);
  return found;
}

function write(entries: JournalEntry[]): void {
  for (const entry of entries) {
    server.send(entry.n, encodeEntry(entry));
    server.store(entry.n, encodeEntry(entry));
  }
}

const other = (entry: JournalEntry): JournalEntry => ({ ...entry, writer: 'another-owner', at: entry.at + 1 });

describe('entries of a run that is watched', () => {
  it('are known from having been heard, once the last of them is read', async () => {
    write(written);
    expect(await read(3, 4)).toEqual(written.slice(3, 7));
    expect(server.reads).toEqual([6]);
    expect(rung).toEqual(written.map(({ n }) => n));
  });

  it('are read up to the claim of the owner who wrote the last', async () => {
    write(written);
    const claim = written[6]?.epoch ?? Number.NaN;
    expect(claim).toBe(1);
    expect(await read(0, 7)).toEqual(written.slice(0, 7));
    expect(server.reads).toEqual([6, 0]);
  });

  it('are never those of an owner who had lost the run', async () => {
    // Both are heard, in either order; only one is stored.
    for (const entry of written.slice(3, 5)) server.send(entry.n, encodeEntry(other(entry)));
    write(written.slice(3, 7));
    server.send(5, encodeEntry(other(written[5] as JournalEntry)));
    expect(await read(3, 4)).toEqual(written.slice(3, 7));
    expect(server.reads).toEqual([6]);
  });

  it('are read when they were not heard, or not heard well', async () => {
    write(written.slice(0, 3));
    server.store(3, encodeEntry(written[3] as JournalEntry));
    server.send(4, '{"v":4,"n":4');
    server.store(4, encodeEntry(written[4] as JournalEntry));
    write(written.slice(5, 7));
    expect(await read(2, 5)).toEqual(written.slice(2, 7));
    expect(server.reads).toEqual([6, 3, 4]);
  });

  it('are those that are stored, while the last is not', async () => {
    write(written.slice(0, 5));
    server.send(5, encodeEntry(written[5] as JournalEntry));
    expect(await read(3, 3)).toEqual(written.slice(3, 5));
    write(written.slice(5));
    expect(await read(5, 2)).toEqual(written.slice(5, 7));
  });

  it('are read when they are too large to be kept, and are kept again after that', async () => {
    write(written.slice(0, 4));
    server.send(4, `${encodeEntry(written[4] as JournalEntry)}${' '.repeat(300_000)}`);
    server.store(4, encodeEntry(written[4] as JournalEntry));
    write(written.slice(5, 7));
    expect(await read(3, 4)).toEqual(written.slice(3, 7));
    expect(server.reads).toEqual([6, 3, 4]);
  });

  it('are read when nobody hears of them any more', async () => {
    write(written.slice(0, 7));
    ear.stop();
    expect(await read(3, 4)).toEqual(written.slice(3, 7));
    expect(server.reads).toEqual([3, 4, 5, 6]);
  });

  it('are read in windows where there are very many', async () => {
    write(written);
    expect(await read(0, 1_000)).toEqual(written);
    expect(server.reads.length).toBe(2 + 8 + 32);
  });
});
