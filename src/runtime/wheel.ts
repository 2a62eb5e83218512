import type { Cancel, Clock } from '../ports/clock.ts';

/** Stale items that are not worth a new heap. */
const FEW = 32;

/**
 * One timer for all moments that the runs of a node wait for. Each owner has at most one moment, its nearest; setting a
 * new one replaces it. A heap with lazy deletion, so setting costs O(log n) and nothing runs per step; it is made anew
 * when most of it is stale, as each item keeps its owner in memory.
 */
export class Wheel<K> {
  private readonly clock: Clock;
  private readonly fire: (key: K) => void;
  private readonly due = new Map<K, number>();
  private readonly heap: { at: number; key: K }[] = [];
  private armed: { at: number; cancel: Cancel } | null = null;

  constructor(clock: Clock, fire: (key: K) => void) {
    this.clock = clock;
    this.fire = fire;
  }

  /** @param at epoch ms, or null for none */
  set(key: K, at: number | null): void {
    if (at === null) {
      if (this.due.delete(key)) this.compact();
      return;
    }
    if (this.due.get(key) === at) return;
    this.due.set(key, at);
    this.push({ at, key });
    this.compact();
    this.arm();
  }

  /** Items held, stale ones included. */
  get size(): number {
    return this.heap.length;
  }

  stop(): void {
    this.armed?.cancel();
    this.armed = null;
    this.due.clear();
    this.heap.length = 0;
  }

  private arm(): void {
    this.dropStale();
    const next = this.heap[0];
    if (next === undefined) return;
    if (this.armed !== null && this.armed.at <= next.at) return;
    this.armed?.cancel();
    const cancel = this.clock.after(Math.max(0, next.at - this.clock.now()), () => this.turn());
    this.armed = { at: next.at, cancel };
  }

  private turn(): void {
    this.armed = null;
    const now = this.clock.now();
    for (;;) {
      this.dropStale();
      const next = this.heap[0];
      if (next === undefined || next.at > now) break;
      this.pop();
      this.due.delete(next.key);
      this.fire(next.key);
    }
    this.arm();
  }

  private dropStale(): void {
    for (let top = this.heap[0]; top !== undefined && this.due.get(top.key) !== top.at; top = this.heap[0]) this.pop();
  }

  private compact(): void {
    if (this.heap.length <= 2 * this.due.size + FEW) return;
    this.heap.length = 0;
    for (const [key, at] of this.due) this.heap.push({ at, key });
    this.heap.sort((a, b) => a.at - b.at);
  }

  private push(item: { at: number; key: K }): void {
    const { heap } = this;
    let i = heap.length;
    heap.push(item);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if ((heap[parent] as typeof item).at <= item.at) break;
      heap[i] = heap[parent] as typeof item;
      i = parent;
    }
    heap[i] = item;
  }

  private pop(): void {
    const { heap } = this;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && right.at < (heap[child] as typeof last).at) child++;
      if ((heap[child] as typeof last).at >= last.at) break;
      heap[i] = heap[child] as typeof last;
      i = child;
    }
    heap[i] = last;
  }
}
