import type { ToolInfo, ToolWorker } from '../core/cluster-wire.ts';
import { toAppError } from '../core/errors.ts';
import type { ToolDefinition } from '../core/tool.ts';
import { parseToolStats } from '../core/tool-stats.ts';
import type { Bus } from '../ports/bus.ts';
import type { NodeDeps } from './deps.ts';

/** The tools that are there now: those of this node, and those that workers announce when they are asked. */

/** How long workers have for their word, milliseconds. */
const WORKERS_MS = 500;
/** How long what they said is believed by those who ask for models, milliseconds. */
const BELIEVED_MS = 5_000;

export interface LiveTool {
  definition: ToolDefinition;
  from: ToolInfo['from'];
  workers: ToolWorker[];
}

/** @param subject whom to ask: all workers, or those of one tool */
export async function liveTools({ bus, tools }: NodeDeps, subject: string): Promise<LiveTool[]> {
  const [own, replies] = await Promise.all([tools.list?.() ?? [], bus.gather(subject, '', { timeoutMs: WORKERS_MS })]);
  const found = new Map<string, LiveTool>();
  for (const definition of own) found.set(definition.name, { definition, from: 'node', workers: [] });
  for (const { data } of replies) {
    const stats = parseToolStats(data);
    if (stats === null) continue;
    const known = found.get(stats.definition.name);
    // A node's own tool comes before one of that name at a worker.
    if (known?.from === 'node') continue;
    if (known === undefined) {
      found.set(stats.definition.name, { definition: stats.definition, from: 'worker', workers: [stats.worker] });
    } else known.workers.push(stats.worker);
  }
  return [...found.values()].sort((a, b) => (a.definition.name < b.definition.name ? -1 : 1));
}

const asked = new WeakMap<Bus, { until: number; tools: Promise<ToolDefinition[]> }>();

/** Their definitions, by name; asked for once in a few seconds, however many models want to know. */
export function offeredTools(deps: NodeDeps): Promise<ToolDefinition[]> {
  const now = deps.clock.now();
  const known = asked.get(deps.bus);
  if (known !== undefined && now < known.until) return known.tools;
  const tools = liveTools(deps, '$SRV.STATS').then(
    (live) => live.map((tool) => tool.definition),
    (thrown: unknown) => {
      asked.delete(deps.bus);
      deps.log.warn('tools.not_listed', { message: toAppError(thrown).message, consequence: 'models see fewer tools' });
      return deps.tools.list?.() ?? [];
    },
  );
  asked.set(deps.bus, { until: now + BELIEVED_MS, tools });
  return tools;
}
