import type { RunRow } from '../../wire.ts';

/** The rows of the list of runs, by their place in it: asked for in pages as they come into view, and forgotten far away. */

/** Rows that are asked for at once. */
export const PAGE = 100;
/** Rows that are kept for scrolling back. */
const KEPT = 2_000;

export class RunRows {
  private rows = new Map<number, RunRow>();
  /** First rows of the pages that are there, or on their way. */
  private asked = new Set<number>();
  /** Those of them that did not come. */
  private failed = new Set<number>();
  private view = { from: 0, to: PAGE - 1 };
  /** What the list is filtered and sorted by now. */
  private filter = '';

  at(index: number): RunRow | undefined {
    return this.rows.get(index);
  }

  /** What is there can be seen until `restart`; answers to any other filter count for nothing from now on. */
  filterBy(filter: string): void {
    this.filter = filter;
  }

  /** Forgets all rows. @returns first rows of the pages to ask for */
  restart(): number[] {
    this.rows = new Map();
    this.view = { from: 0, to: PAGE - 1 };
    return this.again();
  }

  /** What is in view is asked for once more, all else when it comes into view. @returns as `restart` */
  again(): number[] {
    this.asked = new Set();
    this.failed = new Set();
    return this.missing();
  }

  /** Pages that did not come are asked for once more, as far as they are in view. @returns as `restart` */
  retry(): number[] {
    for (const page of this.failed) this.asked.delete(page);
    this.failed = new Set();
    return this.missing();
  }

  /** Rows come into view. @returns as `restart` */
  show(from: number, to: number): number[] {
    this.view = { from, to };
    if (this.rows.size > KEPT) this.forgetFar();
    return this.missing();
  }

  private missing(): number[] {
    const missing: number[] = [];
    for (let at = pageOf(this.view.from); at <= this.view.to; at += PAGE) if (!this.asked.has(at)) missing.push(at);
    for (const at of missing) this.asked.add(at);
    return missing;
  }

  /** Rows go with their page: one that is not asked for again must be whole. */
  private forgetFar(): void {
    const isFar = (page: number) => page + PAGE <= this.view.from - PAGE || page > this.view.to + PAGE;
    for (const index of this.rows.keys()) if (isFar(pageOf(index))) this.rows.delete(index);
    for (const page of this.asked) if (isFar(page)) this.asked.delete(page);
  }

  /** @returns false for a fault of another filter than the one of now: nobody minds it */
  fail(filter: string, page: number): boolean {
    if (filter !== this.filter) return false;
    this.failed.add(page);
    return true;
  }

  /** @returns false for an answer to a filter that is not the one of now: it changes nothing */
  take(filter: string, page: number, rows: readonly RunRow[]): boolean {
    if (filter !== this.filter) return false;
    this.failed.delete(page);
    for (const [i, row] of rows.entries()) this.rows.set(page + i, row);
    return true;
  }

  /** Rows have changed. @returns whether one of them is in view */
  change(rows: readonly RunRow[]): boolean {
    const changed = new Map(rows.map((row) => [row.run, row]));
    let isSeen = false;
    for (let index = this.view.from; index <= this.view.to; index++) {
      const row = changed.get(this.rows.get(index)?.run ?? '');
      if (row === undefined) continue;
      this.rows.set(index, row);
      isSeen = true;
    }
    return isSeen;
  }
}

function pageOf(index: number): number {
  return index - (index % PAGE);
}
