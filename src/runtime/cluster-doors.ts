import type {
  CacheFigures,
  Health,
  NodeReport,
  QueueInfo,
  StaleRun,
  ToolDetails,
  ToolInfo,
  WaitingForPeople,
} from '../core/cluster-wire.ts';
import { AppError, clip } from '../core/errors.ts';
import { type Lane, parseLaneQueue } from '../core/run-queues.ts';
import { readStatus } from '../core/status.ts';
import { streamsOf } from '../core/streams.ts';
import { listDeadLetters } from './dead-letter-doors.ts';
import type { NodeDeps } from './deps.ts';
import { liveTools } from './live-tools.ts';
import { nodeReports } from './node-reports.ts';
import { waitingRuns } from './run-taking.ts';

/** What nodes answer about the cluster. All of it is asked of whoever is there now: nothing is stored. */

/** Activations that are looked at for lost owners, oldest first. */
const HEAD = 50;
/** Statuses that are looked at for runs that wait for a person. */
const MOST_STATUSES = 50_000;

export async function health(deps: NodeDeps): Promise<Health> {
  const [nodes, dead] = await Promise.all([nodeReports(deps), listDeadLetters(deps, { limit: 500, after: 0 })]);
  const [queues, stale, people] = await Promise.all([
    backlogs(deps, nodes),
    staleRuns(deps, nodes),
    waitingForPeople(deps),
  ]);
  return { now: deps.clock.now(), nodes, queues, dead_letters: dead.letters.length, stale, people };
}

async function backlogs(deps: NodeDeps, nodes: NodeReport[]): Promise<QueueInfo[]> {
  const { bus, subjects } = deps;
  const { tasks, inbox } = streamsOf(subjects);
  const agents = [...new Set(nodes.flatMap((node) => Object.keys(node.agents)))].toSorted((a, b) => (a < b ? -1 : 1));
  const lanes = await lanesOf(deps);
  const specs = [
    { name: 'tasks', stream: tasks.name, queue: 'intake', filter: `${subjects.prefix}.tasks.>` },
    { name: 'inbox', stream: inbox.name, queue: 'inbox', filter: `${subjects.prefix}.in.>` },
  ];
  const doors = specs.map(async ({ name, stream, queue, filter }) => {
    const { messages, oldestAt } = await bus.backlog({ stream, name: queue, filter, ackWaitMs: 0 });
    return { name, waiting: messages, oldest_at: oldestAt };
  });
  const runs = agents.map(async (agent) => {
    const own = lanes.filter((lane) => lane.agent === agent);
    const { messages, oldestAt } = await waitingRuns(deps, own);
    return { name: `agent:${agent}`, waiting: messages, oldest_at: oldestAt };
  });
  return Promise.all([...doors, ...runs]);
}

async function lanesOf({ bus, subjects }: NodeDeps): Promise<Lane[]> {
  const names = await bus.queues(streamsOf(subjects).queue.name);
  return names.flatMap((name) => parseLaneQueue(name) ?? []);
}

/** Activations outlive the node that held them: one that stands long under a node that is gone is trouble. */
async function staleRuns({ bus, subjects, clock }: NodeDeps, nodes: NodeReport[]): Promise<StaleRun[]> {
  const { queue, events } = streamsOf(subjects);
  const present = new Set(nodes.map(({ node }) => node));
  const patience = 3 * Math.max(0, ...nodes.map((node) => node.lease_ms));
  const old: string[] = [];
  for await (const message of bus.scan(queue.name, `${subjects.prefix}.queue.>`)) {
    if (old.length >= HEAD || clock.now() - message.at < patience) break;
    old.push(message.subject.split('.').at(-1) ?? '');
  }
  const found = await Promise.all(
    old.map(async (run): Promise<StaleRun[]> => {
      const told = await bus.last(events.name, subjects.anyEvent(run));
      const status = told === null ? null : readStatus(told.data);
      if (status?.node === undefined || status.phase === 'complete' || present.has(status.node)) return [];
      if (clock.now() - status.at < patience) return [];
      return [{ run, agent: status.agent, state: status.state, node: status.node, since: status.at }];
    }),
  );
  return found.flat();
}

/** What is parked for a person costs no node anything, and nobody hears of it who does not ask. */
async function waitingForPeople({ bus, subjects }: NodeDeps): Promise<WaitingForPeople> {
  let [count, seen] = [0, 0];
  let oldest: number | null = null;
  for await (const { data } of bus.scan(streamsOf(subjects).events.name, `${subjects.prefix}.evt.>`)) {
    if (++seen > MOST_STATUSES) return { count, oldest_at: oldest, complete: false };
    // Most runs have ended: only what can be one is parsed.
    if (!data.includes('"requires"')) continue;
    const status = readStatus(data);
    if (status?.requires === undefined) continue;
    count++;
    oldest = Math.min(oldest ?? status.at, status.at);
  }
  return { count, oldest_at: oldest, complete: true };
}

/** Every tool that can be called now, by name. */
export async function listTools(deps: NodeDeps): Promise<{ tools: ToolInfo[] }> {
  const [live, nodes] = await Promise.all([liveTools(deps, '$SRV.STATS'), nodeReports(deps)]);
  const tools = live.map(({ definition, from, workers }): ToolInfo => {
    const { name, version, effect, risk, idempotent, requires_approval, timeout_ms } = definition;
    const calls = workers.reduce((sum, worker) => sum + worker.calls, 0);
    const ms = workers.reduce((sum, worker) => sum + worker.calls * worker.average_ms, 0);
    return {
      ...{ name, version, effect, risk, idempotent, requires_approval, timeout_ms },
      description: clip(definition.description, 200),
      from,
      workers: workers.length,
      calls,
      errors: workers.reduce((sum, worker) => sum + worker.errors, 0),
      average_ms: calls === 0 ? null : ms / calls,
      cache: definition.cache_ms === undefined ? null : cacheOf(name, nodes),
    };
  });
  return { tools };
}

/** Of all nodes that are there. */
function cacheOf(tool: string, nodes: NodeReport[]): CacheFigures {
  const all = nodes.flatMap(({ caches }) => caches?.tools[tool] ?? []);
  const sum = (of: (one: CacheFigures) => number) => all.reduce((total, one) => total + of(one), 0);
  return { hits: sum(({ hits }) => hits), misses: sum(({ misses }) => misses) };
}

export async function toolDetails(deps: NodeDeps, name: string): Promise<ToolDetails> {
  const live = (await liveTools(deps, `$SRV.STATS.tool_${name}`)).find((tool) => tool.definition.name === name);
  if (live === undefined) {
    const text = `no tool "${name}" is offered: check its name, and that its worker runs`;
    throw new AppError('unknown_tool', text, { field: 'name' });
  }
  return { definition: live.definition, workers: live.workers };
}
