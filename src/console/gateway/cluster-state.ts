import type { Operator } from '../../client/operator.ts';
import { toAppError } from '../../core/errors.ts';
import type { Cluster } from '../wire.ts';

/** Nodes, queues and switches, asked for only while a tab looks at them, once for all tabs. */

const EVERY_MS = 2_000;

export class ClusterState {
  private readonly operator: Pick<Operator, 'health' | 'switches'>;
  private readonly now: () => number;
  private readonly listeners = new Set<(state: Cluster) => void>();
  private timer: NodeJS.Timeout | null = null;
  private asking: Promise<void> | null = null;
  last: Cluster | null = null;

  constructor(operator: Pick<Operator, 'health' | 'switches'>, now: () => number) {
    this.operator = operator;
    this.now = now;
  }

  /** @returns what ends it */
  watch(listener: (state: Cluster) => void): () => void {
    this.listeners.add(listener);
    if (this.last !== null) listener(this.last);
    this.timer ??= setInterval(() => void this.refresh(), EVERY_MS);
    void this.refresh();
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size > 0 || this.timer === null) return;
      clearInterval(this.timer);
      this.timer = null;
    };
  }

  /** Resolves when what is known is of now. */
  refresh(): Promise<void> {
    this.asking ??= this.ask().finally(() => {
      this.asking = null;
    });
    return this.asking;
  }

  private async ask(): Promise<void> {
    this.last = await this.read();
    for (const listener of this.listeners) listener(this.last);
  }

  private async read(): Promise<Cluster> {
    const at = this.now();
    try {
      const [health, switches] = await Promise.all([this.operator.health(), collected(this.operator.switches())]);
      return { health, nodes: health.nodes, switches, error: null, at };
    } catch (thrown) {
      const { switches = [] } = this.last ?? {};
      return { health: null, nodes: [], switches, error: toAppError(thrown).message, at };
    }
  }

  stop(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.listeners.clear();
  }
}

export async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
