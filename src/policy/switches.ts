import type { SwitchEntry, SwitchMode } from '../core/switch-wire.ts';

/**
 * What the switches say, as a pure function of the orders read so far: which one is over a run, a tool or a model, and
 * what a run that stands somewhere has to do about it. Kill beats pause beats drain.
 *
 * A kill is for good: a run that was accepted before it stays in its reach after the revival, whoever comes to it
 * however late. So nobody has to be told in time.
 */

/** The order that is over something. */
export interface SwitchVerdict extends SwitchEntry {
  mode: SwitchMode;
}

interface ScopeState {
  now: SwitchEntry;
  lastKill: SwitchVerdict | null;
}

const STRENGTH: Record<SwitchMode, number> = { drain: 1, pause: 2, kill: 3 };

export class SwitchTable {
  private readonly states = new Map<string, ScopeState>();

  /** Orders are applied in the sequence in which they were stored. */
  apply(order: SwitchEntry): void {
    const lastKill =
      isActive(order) && order.mode === 'kill' ? order : (this.states.get(order.scope)?.lastKill ?? null);
    this.states.set(order.scope, { now: order, lastKill });
  }

  /** The last order about a scope. */
  get(scope: string): SwitchEntry | null {
    return this.states.get(scope)?.now ?? null;
  }

  /** What is in force, oldest first. */
  inForce(): SwitchVerdict[] {
    return [...this.states.values()]
      .map(({ now }) => now)
      .filter(isActive)
      .sort((a, b) => a.revision - b.revision);
  }

  /**
   * The strongest order over any of the scopes; of equals, that of the first.
   * @param acceptedAt when what is asked about came into being, epoch milliseconds; absent for what has no beginning
   */
  over(scopes: readonly string[], acceptedAt = Number.POSITIVE_INFINITY): SwitchVerdict | null {
    if (this.states.size === 0) return null;
    let found: SwitchVerdict | null = null;
    for (const scope of scopes) {
      const state = this.states.get(scope);
      if (state === undefined) continue;
      const { now, lastKill } = state;
      const verdict = lastKill !== null && acceptedAt <= lastKill.at ? lastKill : isActive(now) ? now : null;
      if (verdict !== null && (found === null || STRENGTH[verdict.mode] > STRENGTH[found.mode])) found = verdict;
    }
    return found;
  }
}

function isActive(order: SwitchEntry): order is SwitchVerdict {
  return order.mode !== 'revive';
}

/** Where a run stands, as far as switches are concerned. */
export interface Standing {
  /** It stands still, or will when its step has ended. */
  hold: 'none' | 'draining' | 'pausing' | 'paused';
  /** The scope of the switch that paused it; null when an operator paused this run alone, or nobody did. */
  pausedBy: string | null;
}

/**
 * What has to happen to the run, as an event; null when nothing has to. A run that a switch paused goes on when none is
 * over it any more; one that an operator paused by itself waits for that operator.
 */
export function switchEvent(
  verdict: SwitchVerdict | null,
  { hold, pausedBy }: Standing,
  last: (scope: string) => SwitchEntry | null,
): { type: SwitchMode | 'resume'; by: string; why: string; scope: string } | null {
  if (verdict === null) {
    if (pausedBy === null) return null;
    const revival = last(pausedBy);
    return { type: 'resume', by: revival?.by ?? 'unknown', why: revival?.why ?? '', scope: pausedBy };
  }
  const { mode, by, why, scope } = verdict;
  if (mode === 'kill') return { type: 'kill', by, why, scope };
  if (hold === 'paused' || hold === 'pausing') return null;
  if (mode === 'drain' && hold === 'draining') return null;
  return { type: mode, by, why, scope };
}
