import { setImmediate as nextTurn } from 'node:timers/promises';
import type { EntryKind, Folder } from './confined-root.ts';
import { abortReason } from './local-tool.ts';
import { MAX_DEPTH_OF_PATH } from './paths.ts';

/** Most entries that one walk looks at. */
export const MAX_VISITED = 20_000;
/** Entries of one folder until the event loop gets a turn: whoever walks may spend a while on each. */
const TURN_EVERY = 200;

export interface WalkEntry {
  /** Open until the walk goes on. */
  folder: Folder;
  name: string;
  kind: EntryKind;
  /** Path below the folder where the walk began. */
  segments: string[];
}

export interface WalkState {
  visited: number;
  /** Something was left out: too many entries, too deep, or a folder that could not be opened. */
  truncated: boolean;
}

/** Everything below a folder, each folder before its content, names in order; links are reported, never followed. */
export async function* walk(
  folder: Folder,
  options: { depth: number; signal: AbortSignal },
  state: WalkState,
  segments: readonly string[] = [],
): AsyncGenerator<WalkEntry> {
  if (options.signal.aborted) throw abortReason(options.signal);
  const { entries, truncated } = await folder.entries(MAX_VISITED - state.visited);
  state.visited += entries.length;
  state.truncated ||= truncated;
  for (const [i, { name, kind }] of entries.entries()) {
    if (i % TURN_EVERY === TURN_EVERY - 1) await nextTurn();
    const path = [...segments, name];
    yield { folder, name, kind, segments: path };
    if (kind !== 'directory' || path.length >= options.depth) continue;
    if (path.length >= MAX_DEPTH_OF_PATH) {
      state.truncated = true;
      continue;
    }
    const next = await folder.enter(name, 'path').catch(() => null);
    if (next === null) {
      state.truncated = true;
      continue;
    }
    try {
      yield* walk(next, options, state, path);
    } finally {
      await next.close();
    }
  }
}
