import { LRUCache } from 'lru-cache';
import { canonicalText } from '../core/canonical.ts';
import type { RunEventOf } from '../core/events.ts';
import type { Json } from '../core/json.ts';

/**
 * The last answers of agents that may fall back on them (DEG-2), by agent, version, user and task: nobody is shown the
 * answer to another's question. Kept by this node, in memory.
 */

const MAX_BYTES = 16 * 1024 * 1024;

export interface CachedAnswer {
  answer: Json;
  run: string;
  /** When it was given, epoch milliseconds. */
  at: number;
}

export class AnswerCache {
  private readonly answers = new LRUCache<string, CachedAnswer>({ maxSize: MAX_BYTES });
  /** How often an answer was looked for, since the node started. */
  readonly figures = { hits: 0, misses: 0 };

  keep(accepted: RunEventOf<'accepted'>, answer: CachedAnswer): void {
    if (accepted.agent.fallback?.cached === undefined) return;
    const key = keyOf(accepted);
    this.answers.set(key, answer, { size: key.length + JSON.stringify(answer.answer).length });
  }

  /** Null: the agent may not, there is none, or it is too old. */
  find(accepted: RunEventOf<'accepted'>, now: number): CachedAnswer | null {
    const rule = accepted.agent.fallback?.cached;
    if (rule === undefined) return null;
    const found = this.answers.get(keyOf(accepted));
    if (found === undefined || now - found.at > rule.max_age_ms) {
      this.figures.misses++;
      return null;
    }
    this.figures.hits++;
    return found;
  }
}

function keyOf({ agent, user, task }: RunEventOf<'accepted'>): string {
  const { input, context, plan } = task;
  return canonicalText([
    agent.name,
    agent.version,
    user,
    input,
    (context ?? null) as Json,
    (plan ?? null) as unknown as Json,
  ]);
}
