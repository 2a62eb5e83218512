import type { JournalEntry } from '../core/journal-entry.ts';
import type { TimePart } from '../ports/telemetry.ts';

/**
 * Where the time between two entries of a run went, told by where the run stood and what the later entry says: the work
 * that it brings took so long, and the rest is what it cost us to do it.
 */
export function timeSpent(path: string, elapsed: number, entry: JournalEntry): [TimePart, number][] {
  const [state = ''] = path.split('.');
  if (state === 'waiting' || path === 'idle.held') return [['waiting', elapsed]];
  if (state === 'idle') return [['queued', elapsed]];
  // The owner before this one let go of it, or died.
  if (entry.events.some((event) => event.type === 'claimed')) return [['recovery', elapsed]];
  const worked = Math.min(elapsed, longest(entry));
  return [
    [partOf(path), worked],
    ['overhead', elapsed - worked],
  ];
}

/** Milliseconds of the longest work that the entry tells of. */
function longest(entry: JournalEntry): number {
  return Math.max(0, ...entry.events.map((event) => ('ms' in event ? event.ms : 0)));
}

function partOf(path: string): TimePart {
  if (path === 'thinking.planning') return 'planning';
  return path.startsWith('thinking') ? 'model' : 'tools';
}
