import type { JournalEntry } from '../../src/core/journal-entry.ts';
import type { Done } from './faults.ts';

/** The time from the death of a node to the next claim of each run that it owned, as the journals tell it. */
export interface Failovers {
  /** Of nodes that died while nothing else was wrong, milliseconds. */
  calm: number[];
  /** Of those that died in a storm. */
  storm: number[];
}

/** A time in which one node owned a run. */
interface Ownership {
  node: string;
  from: number;
  to: number;
  /** When somebody else claimed the run; null when nobody did. */
  next: number | null;
}

export function failovers(runs: Iterable<JournalEntry[]>, faults: Done[], leaseMs: number): Failovers {
  const deaths = new Map(faults.flatMap((done) => (done.fault === 'nodeKill' ? [[done.node, done]] : [])));
  const found: Failovers = { calm: [], storm: [] };
  for (const entries of runs) {
    for (const { node, from, to, next } of ownerships(entries)) {
      const death = deaths.get(node);
      if (death === undefined || next === null || death.from < from || death.from >= to) continue;
      const disturbed = faults.some(
        (other) =>
          other !== death &&
          other.fault !== 'workerKill' &&
          other.to > death.from - leaseMs &&
          other.from < death.from + leaseMs + 2_000,
      );
      found[disturbed ? 'storm' : 'calm'].push(next - death.from);
    }
  }
  return found;
}

export function ownerships(entries: JournalEntry[]): Ownership[] {
  const found: Ownership[] = [];
  let last: Ownership | null = null;
  for (const { at, events } of entries) {
    for (const event of events) {
      if (event.type === 'claimed') {
        if (last?.next === null && last.to === Number.POSITIVE_INFINITY) {
          last.to = at;
          last.next = at;
        }
        last = { node: event.node, from: at, to: Number.POSITIVE_INFINITY, next: null };
        found.push(last);
      } else if (last !== null && (event.type === 'parked' || event.type === 'handed_over')) last.to = at;
    }
  }
  return found;
}
