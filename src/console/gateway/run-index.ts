import type { StatusEvent } from '../../core/status.ts';
import type { RunPage, RunQuery, RunRow, RunSort } from '../wire.ts';
import { COMPARE, type IndexedRun, RunOrder } from './run-order.ts';

/** Where all runs stand, by the last status of each: what lists and counts are made of. */

/** Of an order that nobody asks for: with more changes than this part of all runs it is forgotten. */
const MOST_WAITING = 1 / 4;
const FEWEST_WAITING = 1_000;

export class RunIndex {
  private readonly rows = new Map<string, Indexed>();
  private readonly listeners = new Set<(now: RunRow, before: RunRow | null) => void>();
  private readonly orders = new Map<RunSort, RunOrder<Indexed>>();
  private readonly totals = new Map<string, number>();
  /** Those that wait for a person. */
  private readonly asking = new Set<Indexed>();
  /** Raised by every change. */
  version = 0;

  get size(): number {
    return this.rows.size;
  }

  /** How many are in each state. */
  get counts(): Record<string, number> {
    return Object.fromEntries(this.totals);
  }

  /** How many wait for a person. */
  get needs(): number {
    return this.asking.size;
  }

  get(run: string): RunRow | null {
    return this.rows.get(run)?.row ?? null;
  }

  onChange(listener: (now: RunRow, before: RunRow | null) => void): void {
    this.listeners.add(listener);
  }

  /** One that comes late, from a node that had lost the run, changes nothing. */
  push(status: StatusEvent): void {
    const before = this.rows.get(status.run);
    if (before !== undefined && (status.at < before.row.at || (before.over && !isOver(status.state)))) return;
    const now = new Indexed(rowOf(status, before?.row ?? null));
    if (before !== undefined) {
      before.gone = true;
      this.asking.delete(before);
      this.count(before.top, -1);
    }
    if (now.row.requires !== null) this.asking.add(now);
    this.count(now.top, 1);
    this.rows.set(status.run, now);
    for (const [sort, order] of this.orders) {
      order.change(before, now);
      if (order.waiting > Math.max(FEWEST_WAITING, this.size * MOST_WAITING)) this.orders.delete(sort);
    }
    this.version++;
    for (const listener of this.listeners) listener(now.row, before?.row ?? null);
  }

  private count(top: string, by: 1 | -1): void {
    const total = (this.totals.get(top) ?? 0) + by;
    if (total === 0) this.totals.delete(top);
    else this.totals.set(top, total);
  }

  query({ text, states, needs, sort, offset, limit }: RunQuery): RunPage {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const matches = ({ words: own }: Indexed) => words.every((word) => own.includes(word));
    const isWanted = ({ top, row }: Indexed) =>
      (states.length === 0 || states.includes(top)) && (!needs || row.requires !== null);
    // Few wait for a person: without a text nothing but them is looked at.
    const matching: readonly Indexed[] =
      words.length > 0
        ? this.ordered(sort).filter(matches)
        : needs
          ? [...this.asking].sort(COMPARE[sort])
          : this.ordered(sort);
    const found = states.length === 0 && !needs ? matching : matching.filter(isWanted);
    return {
      total: found.length,
      ...(words.length === 0 ? { counts: this.counts, needs: this.needs } : countsOf(matching)),
      rows: found.slice(offset, offset + limit).map(({ row }) => row),
    };
  }

  private ordered(sort: RunSort): readonly Indexed[] {
    let order = this.orders.get(sort);
    if (order === undefined) {
      order = new RunOrder(sort, this.rows.values());
      this.orders.set(sort, order);
    }
    return order.runs();
  }
}

class Indexed implements IndexedRun {
  readonly row: RunRow;
  readonly top: string;
  readonly over: boolean;
  gone = false;
  private text: string | null = null;

  constructor(row: RunRow) {
    this.row = row;
    this.top = topOf(row.state);
    this.over = isOver(row.state);
  }

  /** What is searched, in small letters: made when somebody searches. */
  get words(): string {
    const { run, agent, user, state, code, node } = this.row;
    this.text ??= [run, agent, user, state, code ?? '', node ?? ''].join('\n').toLowerCase();
    return this.text;
  }
}

function countsOf(runs: readonly Indexed[]): Pick<RunPage, 'counts' | 'needs'> {
  const counts: Record<string, number> = {};
  let needs = 0;
  for (const { top, row } of runs) {
    counts[top] = (counts[top] ?? 0) + 1;
    if (row.requires !== null) needs++;
  }
  return { counts, needs };
}

export function topOf(state: string): string {
  const dot = state.indexOf('.');
  const top = dot < 0 ? state : state.slice(0, dot);
  return top === 'rejected' ? 'failed' : top;
}

export function isOver(state: string): boolean {
  const top = topOf(state);
  return top === 'completed' || top === 'failed';
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
    accepted_at: status.accepted_at ?? before?.accepted_at ?? status.at,
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
