import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { SILENT } from '../../src/app/local.ts';
import { Follows } from '../../src/console/gateway/follows.ts';
import type { RunSource } from '../../src/console/gateway/run-source.ts';
import { AppError } from '../../src/core/errors.ts';
import type { JournalEntry } from '../../src/core/journal-entry.ts';
import { endedRun } from './journals.ts';

/** Following runs, over a journal that a node wrote and whose entries the test lets appear. */

let journal: JournalEntry[];

beforeAll(async () => {
  ({ journal } = await endedRun(6));
});

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

/** Every run has the same journal, of which so much is stored. */
class Source implements RunSource {
  stored = 3;
  /** What was asked for: the first entry, and how many; no number: all that there are. */
  readonly asked: { from: number; max: number | undefined }[] = [];
  /** The entry that cannot be read. */
  broken = Number.POSITIVE_INFINITY;
  private readonly ears = new Set<(n: number) => void>();

  async *entries(_run: string, from: number, max?: number): AsyncGenerator<JournalEntry> {
    this.asked.push({ from, max });
    for (const entry of journal.slice(from, Math.min(this.stored, from + (max ?? this.stored)))) {
      if (entry.n === this.broken) throw new AppError('unavailable', 'the server is away');
      yield entry;
    }
  }

  hear(_run: string, ring: (n: number) => void): { stop(): void } {
    this.ears.add(ring);
    return { stop: () => void this.ears.delete(ring) };
  }

  get listening(): number {
    return this.ears.size;
  }

  ring(n: number): void {
    for (const ear of this.ears) ear(n);
  }

  /** The next so many are stored, and heard of. */
  write(count: number): void {
    for (let i = 0; i < count; i++) this.ring(this.stored++);
  }
}

const runId = (i: number) => `20260101-abcdefgh-${i}`;

/** A run that is listened to, and the entries that came since. */
async function listen(follows: Follows, i: number): Promise<{ heard: number[]; stop(): void }> {
  const follow = await follows.get(runId(i));
  const heard: number[] = [];
  const listener = ({ frames }: { frames: { n: number }[] }) => void heard.push(...frames.map(({ n }) => n));
  follow.listeners.add(listener);
  return { heard, stop: () => void follow.listeners.delete(listener) };
}

describe('a run that is watched', () => {
  it('is followed also when very many are opened at once', async () => {
    const source = new Source();
    const follows = new Follows(source, SILENT);
    const all = await Promise.all(Array.from({ length: 60 }, (_, i) => listen(follows, i)));
    await pass(1);
    source.write(1);
    await pass(100);
    expect(all.filter(({ heard }) => heard.length !== 1)).toEqual([]);
    follows.stop();
  });

  it('has each entry read once, those together that come together, and no other asked for', async () => {
    const source = new Source();
    const follows = new Follows(source, SILENT);
    const { heard } = await listen(follows, 0);
    await pass(100);
    source.asked.length = 0;
    source.write(1);
    await pass(20);
    source.write(2);
    source.write(1);
    await pass(100);
    expect(heard).toEqual([3, 4, 5, 6]);
    expect(source.asked).toEqual([
      { from: 3, max: 1 },
      { from: 4, max: 3 },
    ]);
    follows.stop();
  });

  it('is asked for an entry again that is heard of before it is stored', async () => {
    const source = new Source();
    const follows = new Follows(source, SILENT);
    const { heard } = await listen(follows, 0);
    source.ring(3);
    await pass(100);
    expect(heard).toEqual([]);
    source.stored++;
    await pass(400);
    expect(heard).toEqual([3]);
    follows.stop();
  });

  it('is told up to where a reading broke off, and from there once it can be read', async () => {
    const source = new Source();
    const follows = new Follows(source, SILENT);
    const { heard } = await listen(follows, 0);
    source.broken = 5;
    source.write(4);
    await pass(100);
    expect(heard).toEqual([3, 4]);
    source.broken = Number.POSITIVE_INFINITY;
    await pass(1_000);
    expect(heard).toEqual([3, 4, 5, 6]);
    follows.stop();
  });

  it('is left alone after a while when an entry that was heard of is never stored, and goes on with the next', async () => {
    const source = new Source();
    const follows = new Follows(source, SILENT);
    const { heard } = await listen(follows, 0);
    source.ring(3);
    await pass(60_000);
    source.asked.length = 0;
    await pass(60_000);
    // Only looked at every now and then.
    expect(source.asked.filter(({ max }) => max !== undefined)).toEqual([]);
    expect(source.asked.length).toBeGreaterThan(5);
    source.write(1);
    await pass(100);
    expect(heard).toEqual([3]);
    follows.stop();
  });
});

describe('a run that nobody watches any more', () => {
  it('is not read, and is of now for whoever comes back', async () => {
    const source = new Source();
    const follows = new Follows(source, SILENT);
    const { stop } = await listen(follows, 0);
    await pass(1);
    stop();
    source.asked.length = 0;
    source.write(2);
    await pass(60_000);
    expect(source.asked).toEqual([]);
    const { view } = await follows.get(runId(0));
    expect(view.next).toBe(5);
    expect(source.asked).toEqual([{ from: 3, max: undefined }]);
    follows.stop();
  });

  it('is forgotten when very many others were opened since', async () => {
    const source = new Source();
    const follows = new Follows(source, SILENT);
    for (let i = 0; i < 60; i++) {
      const { stop } = await listen(follows, i);
      await pass(1);
      stop();
    }
    source.asked.length = 0;
    await follows.get(runId(0));
    await follows.get(runId(59));
    expect(source.asked.map(({ from }) => from)).toEqual([0, 3]);
    follows.stop();
  });

  it('is forgotten after a while also when nobody asks for another', async () => {
    const source = new Source();
    const follows = new Follows(source, SILENT);
    const all = await Promise.all(Array.from({ length: 60 }, (_, i) => listen(follows, i)));
    await pass(1);
    expect(source.listening).toBe(60);
    for (const { stop } of all) stop();
    await pass(10_000);
    expect(source.listening).toBe(24);
    follows.stop();
    expect(source.listening).toBe(0);
  });

  it('is kept however many others are watched', async () => {
    const source = new Source();
    const follows = new Follows(source, SILENT);
    for (let i = 0; i < 40; i++) await listen(follows, i);
    for (const i of [50, 51]) {
      await follows.get(runId(i));
      await pass(1);
    }
    source.asked.length = 0;
    await follows.get(runId(50));
    expect(source.asked.map(({ from }) => from)).toEqual([3]);
    follows.stop();
  });
});
