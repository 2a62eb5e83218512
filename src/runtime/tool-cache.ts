import { LRUCache } from 'lru-cache';
import { canonicalText } from '../core/canonical.ts';
import type { CacheFigures } from '../core/cluster-wire.ts';
import type { PlannedCall } from '../core/events.ts';
import { byteLength, type Json } from '../core/json.ts';

/**
 * Results of tools that say how long they may answer equal calls (TOOL-10), by tool, version, arguments and user. Kept by
 * this node, in memory; what lies beside a journal, and errors, never come here.
 */

const MAX_BYTES = 32 * 1024 * 1024;
/** Tools that are counted, and those that are told of. */
const MAX_TOOLS = 1_000;
const MOST_TOLD = 100;

/** A call of a tool whose results are cached. */
export interface CachedCall {
  tool: string;
  version: string;
  user: string;
  args: Record<string, Json>;
  rule: NonNullable<PlannedCall['cache']>;
}

interface CachedResult {
  result: Json;
  /** When it came, epoch milliseconds. */
  at: number;
}

export class ToolCache {
  private readonly results = new LRUCache<string, CachedResult>({ maxSize: MAX_BYTES });
  private readonly counts = new LRUCache<string, CacheFigures>({ max: MAX_TOOLS });

  keep(call: CachedCall, found: CachedResult): void {
    const key = keyOf(call);
    this.results.set(key, found, { size: byteLength(key) + byteLength(JSON.stringify(found.result)) });
  }

  /** Null: there is none, or it is too old. */
  find(call: CachedCall, now: number): CachedResult | null {
    const counts = this.counts.get(call.tool) ?? { hits: 0, misses: 0 };
    this.counts.set(call.tool, counts);
    const found = this.results.get(keyOf(call));
    if (found === undefined || now - found.at > call.rule.ms) {
      counts.misses++;
      return null;
    }
    counts.hits++;
    return found;
  }

  /** By tool: those that were looked for most. */
  figures(): Record<string, CacheFigures> {
    const asked = ({ hits, misses }: CacheFigures) => hits + misses;
    const most = [...this.counts.entries()].sort(([, a], [, b]) => asked(b) - asked(a)).slice(0, MOST_TOLD);
    return Object.fromEntries(most.map(([tool, counts]) => [tool, { ...counts }]));
  }
}

function keyOf({ tool, version, user, args, rule }: CachedCall): string {
  return canonicalText([tool, version, rule.shared === true ? null : user, args]);
}
