import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { toAppError } from '../core/errors.ts';
import { streamsOf } from '../core/streams.ts';
import type { Subjects } from '../core/subjects.ts';
import { USUAL_RUNS, usualCost } from '../policy/anomalies.ts';
import type { Bus } from '../ports/bus.ts';
import type { Log } from '../ports/telemetry.ts';

/**
 * What the last completed runs of each agent cost (SUP-5), as this node knows it: the newest results that were there when
 * it started, and those that it has stored since.
 */

const MAX_AGENTS = 1_000;
/** Of the results that are there at the start: most of them, and most bytes. */
const MOST_RESULTS = 1_000;
const MOST_BYTES = 32 * 1024 * 1024;

/** What a result has to say here. */
const Ended = z.object({ run: z.string(), agent: z.string(), status: z.string(), cost_usd: z.number() });

interface Known {
  runs: { run: string; cost: number }[];
  /** Null: not worked out since the last run. */
  usual: { cost: number | null } | null;
}

export class CostHistory {
  private readonly agents = new LRUCache<string, Known>({ max: MAX_AGENTS });

  /** A run has ended; one that is told twice counts once. */
  note({ run, agent, status, cost_usd }: z.infer<typeof Ended>): void {
    if (status !== 'completed') return;
    const { runs } = this.agents.get(agent) ?? { runs: [] };
    if (runs.some((one) => one.run === run)) return;
    this.agents.set(agent, { runs: [...runs.slice(1 - USUAL_RUNS), { run, cost: cost_usd }], usual: null });
  }

  /** What runs of the agent cost in the middle; null while nobody can say. */
  usual(agent: string): number | null {
    const known = this.agents.get(agent);
    if (known === undefined) return null;
    known.usual ??= { cost: usualCost(known.runs.map(({ cost }) => cost)) };
    return known.usual.cost;
  }

  /** Reads what is there. Never throws: without it the node knows what it has stored itself. */
  async read(
    { bus, subjects, log }: { bus: Bus; subjects: Subjects; log: Log },
    isWanted: () => boolean,
  ): Promise<void> {
    const { name, subjects: covered } = streamsOf(subjects).results;
    const [all = ''] = covered;
    try {
      const newest = await bus.last(name, all);
      if (newest === null) return;
      const fromSequence = Math.max(1, newest.seq - MOST_RESULTS + 1);
      let bytes = 0;
      for await (const { data } of bus.scan(name, all, { fromSequence })) {
        bytes += data.length;
        if (!isWanted() || bytes > MOST_BYTES) return;
        const ended = Ended.safeParse(parsed(data));
        if (ended.success) this.note(ended.data);
      }
    } catch (thrown) {
      const { code, message } = toAppError(thrown);
      if (code === 'closed') return;
      const consequence = 'COST_OUTLIER is told once the node has seen enough runs itself';
      log.warn('costs.not_read', { code, message, consequence });
    }
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
