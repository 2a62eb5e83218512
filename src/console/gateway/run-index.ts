import type { StatusEvent } from '../../core/status.ts';
import type { RunPage, RunQuery, RunRow } from '../wire.ts';

/** Where all runs stand, by the last status of each: what lists and counts are made of. */

export class RunIndex {
  private readonly rows = new Map<string, RunRow>();
  private readonly listeners = new Set<(now: RunRow, before: RunRow | null) => void>();
  private order: { key: string; version: number; rows: RunRow[] } | null = null;
  /** Raised by every change. */
  version = 0;

  get size(): number {
    return this.rows.size;
  }

  all(): IterableIterator<RunRow> {
    return this.rows.values();
  }

  get(run: string): RunRow | null {
    return this.rows.get(run) ?? null;
  }

  onChange(listener: (now: RunRow, before: RunRow | null) => void): void {
    this.listeners.add(listener);
  }

  /** One that comes late, from a node that had lost the run, changes nothing. */
  push(status: StatusEvent): void {
    const before = this.rows.get(status.run) ?? null;
    if (before !== null && (status.at < before.at || (isOver(before.state) && !isOver(status.state)))) return;
    const now = rowOf(status, before);
    // At the end of the map stands what changed last.
    this.rows.delete(status.run);
    this.rows.set(status.run, now);
    this.version++;
    for (const listener of this.listeners) listener(now, before);
  }

  query({ text, states, needs, sort, offset, limit }: RunQuery): RunPage {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const counts: Record<string, number> = {};
    let asking = 0;
    const found: RunRow[] = [];
    for (const row of this.sorted(sort)) {
      if (!words.every((word) => matches(row, word))) continue;
      const state = topOf(row.state);
      counts[state] = (counts[state] ?? 0) + 1;
      if (row.requires !== null) asking++;
      if ((states.length === 0 || states.includes(state)) && (!needs || row.requires !== null)) found.push(row);
    }
    return { total: found.length, counts, needs: asking, rows: found.slice(offset, offset + limit) };
  }

  /** Sorted anew only when something changed since. */
  private sorted(sort: RunQuery['sort']): RunRow[] {
    if (this.order?.key === sort && this.order.version === this.version) return this.order.rows;
    const rows = [...this.rows.values()];
    if (sort === 'newest') rows.sort((a, b) => (a.run < b.run ? 1 : -1));
    // What has ended does not age.
    else if (sort === 'age')
      rows.sort((a, b) => Number(isOver(a.state)) - Number(isOver(b.state)) || a.since - b.since);
    else if (sort === 'cost') rows.sort((a, b) => b.cost_usd - a.cost_usd);
    else rows.sort((a, b) => b.step - a.step);
    this.order = { key: sort, version: this.version, rows };
    return rows;
  }
}

export function topOf(state: string): string {
  const dot = state.indexOf('.');
  const top = dot < 0 ? state : state.slice(0, dot);
  return top === 'rejected' ? 'failed' : top;
}

export function isOver(state: string): boolean {
  return ['completed', 'failed'].includes(topOf(state));
}

function matches({ run, agent, user, state, code, node }: RunRow, word: string): boolean {
  return [run, agent, user, state, code ?? '', node ?? ''].some((part) => part.toLowerCase().includes(word));
}

function rowOf(status: StatusEvent, before: RunRow | null): RunRow {
  const { budget, requires, error } = status;
  return {
    run: status.run,
    agent: status.agent,
    user: status.user,
    state: status.state,
    since: before?.state === status.state ? before.since : status.at,
    at: status.at,
    step: status.step,
    progress: status.progress,
    cost_usd: budget?.cost_usd ?? before?.cost_usd ?? 0,
    tokens: budget?.tokens ?? before?.tokens ?? 0,
    node: status.node ?? null,
    deadline_at: budget?.deadline_at ?? null,
    requires: requires === undefined ? null : { kind: requires.kind, text: requires.text },
    code: status.code ?? null,
    error: error?.message ?? null,
  };
}
