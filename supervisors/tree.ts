import type { AutoShutdown, ChildType, Ref, Restart, Strategy } from './spec-types.ts';
import { type ChildRecord, type ChildStatus, type Phase, phaseOf, type SupervisorState } from './state.ts';

/** A supervisor and everything below it at one moment, as data for commands and inspectors. */

export interface SupervisorTree {
  readonly name: string;
  readonly phase: Phase;
  readonly strategy: Strategy;
  readonly autoShutdown: AutoShutdown;
  readonly intensity: number;
  readonly periodMs: number;
  /** Restarts within the last period. */
  readonly recentRestarts: number;
  /** Null without a limit. */
  readonly maxChildren: number | null;
  /** In start order. */
  readonly children: readonly TreeChild[];
  /** Children that the window left out. */
  readonly left: number;
}

/** How many children of a dynamic supervisor are looked at: it may have thousands. */
export interface TreeWindow {
  readonly most: number;
  /** Only those with a higher place; default all. */
  readonly after?: number;
  /** Those that come before all others when not all have room. */
  readonly first?: (id: string) => boolean;
}

export interface TreeChild {
  readonly id: string;
  /** Place in the start order. */
  readonly slot: number;
  /** The incarnation that is or was last up. */
  readonly ref: Ref | null;
  readonly type: ChildType;
  readonly restart: Restart;
  readonly significant: boolean;
  readonly status: ChildStatus;
  /** Starts after the first. */
  readonly restarts: number;
  /** When it last came up, epoch milliseconds. */
  readonly upAt: number | null;
  /** When the next try is due, epoch milliseconds. */
  readonly retryAt: number | null;
  /** What it supervises. */
  readonly tree: SupervisorTree | null;
}

/**
 * @param now epoch milliseconds
 * @param nested the tree below a child, by its ref
 */
export function treeOf(
  state: SupervisorState,
  now: number,
  nested: (ref: Ref) => SupervisorTree | null,
  window?: TreeWindow,
): SupervisorTree {
  const { shown, left } = seenThrough(state, window);
  const { strategy, autoShutdown, intensity, periodMs, maxChildren } = state.flags;
  return {
    name: state.name,
    phase: phaseOf(state),
    strategy,
    autoShutdown,
    intensity,
    periodMs,
    recentRestarts: state.stamps.filter((stamp) => stamp >= now - periodMs).length,
    maxChildren,
    left,
    children: shown.map((record): TreeChild => {
      const { slot } = record;
      const { id, type, restart, significant } = record.spec;
      const { ref, status, restarts, upAt } = record;
      const retryAt = record.retry === null ? null : (state.retries.get(record.retry)?.at ?? null);
      const tree = ref === null ? null : nested(ref);
      return { id, slot, ref, type, restart, significant, status, restarts, upAt, retryAt, tree };
    }),
  };
}

function seenThrough(state: SupervisorState, window?: TreeWindow): { shown: readonly ChildRecord[]; left: number } {
  const all = state.children.values();
  if (window === undefined || state.flags.strategy !== 'dynamic') return { shown: all, left: 0 };
  const { most, after = -1, first = () => false } = window;
  const below = all.filter(({ slot }) => slot > after);
  if (below.length <= most) return { shown: below, left: 0 };
  const before = below.filter(({ spec }) => first(spec.id)).slice(0, most);
  const chosen = new Set(before.map(({ slot }) => slot));
  for (const { slot } of below) {
    if (chosen.size >= most) break;
    chosen.add(slot);
  }
  return { shown: below.filter(({ slot }) => chosen.has(slot)), left: below.length - chosen.size };
}

/** The tree as lines of text, one a supervisor or child. */
export function treeLines(tree: SupervisorTree): string[] {
  return [`${tree.name}  ${supervisorText(tree)}`, ...childLines(tree, '')];
}

function childLines(tree: SupervisorTree, indent: string): string[] {
  return tree.children.flatMap((child, index) => {
    const last = index === tree.children.length - 1;
    const again = child.restarts === 0 ? '' : `, restarted ${child.restarts}x`;
    const what = child.tree === null ? '' : `  ${supervisorText(child.tree)}`;
    const line = `${indent}${last ? '└── ' : '├── '}${child.id}  ${child.restart}, ${child.status}${again}${what}`;
    return [line, ...(child.tree === null ? [] : childLines(child.tree, `${indent}${last ? '    ' : '│   '}`))];
  });
}

function supervisorText({ strategy, phase, recentRestarts, intensity, periodMs }: SupervisorTree): string {
  return `${strategy} (${phase}; ${recentRestarts} of ${intensity} restarts in ${periodMs / 1_000} s)`;
}
