import type { z } from 'zod';
import { AgentRecord, BUILT_IN_AGENT } from '../core/agent.ts';
import { closest } from '../core/closest.ts';
import type { AgentInfo, AgentOnNode, ApiBody } from '../core/door-wire.ts';
import { AppError } from '../core/errors.ts';
import { streamsOf } from '../core/streams.ts';
import type { NodeDeps } from './deps.ts';
import { nodeReports } from './node-reports.ts';

/** What nodes answer about agents. Who runs them is asked of all nodes at the moment: nothing of it is stored. */

/** Bytes of JSON in one page. */
const PAGE_BYTES = 700 * 1024;

export async function listAgents(deps: NodeDeps, query: ApiBody<'agents'>) {
  await deps.agents.refresh();
  const said = await nodeReports(deps);
  const agents: AgentInfo[] = [];
  let bytes = 0;
  for (const { definition, ...origin } of deps.agents.all()) {
    const { name, version, model, description, tools, delegates_to } = definition;
    if (name <= query.after) continue;
    const nodes: AgentOnNode[] = said.flatMap(({ node, slots, agents: known }) => {
      const word = Object.hasOwn(known, name) ? known[name] : undefined;
      if (word === undefined) return [];
      const { active, unusable } = word;
      return [{ node, slots, active, ...(unusable === undefined ? {} : { unusable }) }];
    });
    const info = { name, version, model, description, tools, delegates_to, ...origin, nodes };
    bytes += JSON.stringify(info).length;
    if (agents.length > 0 && (agents.length >= query.limit || bytes > PAGE_BYTES)) {
      return { agents, next: agents.at(-1)?.name ?? null };
    }
    agents.push(info);
  }
  return { agents, next: null };
}

export async function agentDetails(deps: NodeDeps, { name, version }: ApiBody<'agent'>) {
  const { bus, subjects, agents } = deps;
  await agents.refresh();
  const current = agents.get(name)?.version;
  if (current === undefined) throw unknownAgent(deps, name, 'name');
  const wanted = version ?? current;
  const stream = streamsOf(subjects).agents.name;
  const stored = await bus.last(stream, subjects.agentVersion(name, wanted), { authoritative: true });
  const versions: string[] = [];
  for await (const { subject } of bus.scan(stream, subjects.agentLog(name))) {
    const address = subjects.parseAgent(subject);
    if (address?.kind === 'def') versions.push(address.id);
  }
  const record = stored === null ? null : read(AgentRecord, stored.data);
  if (stored === null || record === null) {
    const text = `agent ${name} has no version ${wanted}; stored are: ${versions.slice(-20).join(', ')}`;
    throw new AppError('unknown_version', text, { field: 'version' });
  }
  const { definition, by, source } = record;
  return { definition, by, source, at: stored.at, current, versions };
}

export async function putAgent(deps: NodeDeps, { definition, by, source }: ApiBody<'agent_put'>) {
  const { name, version } = definition;
  if (name === BUILT_IN_AGENT) {
    throw new AppError('name_taken', `agent "${name}" comes with Proctor: choose another name`, { field: 'name' });
  }
  const stored = await deps.agents.put(definition, by, source);
  deps.log.info('agent.put', { agent: name, version, by, source, stored });
  const why = deps.agents.unusable(definition);
  return { ok: true, name, version, stored, ...(why === null ? {} : { unusable: why.message }) };
}

/** Names up to five that are there, those first that look most like the one that is not. */
export function unknownAgent(deps: NodeDeps, name: string, field: string): AppError {
  const known = deps.agents.names();
  const near = closest(name, known, 5);
  const which = known.length > near.length ? `the closest of ${known.length} are` : 'defined are';
  const text = `agent: no agent named "${name.slice(0, 80)}" is defined; ${which}: ${near.join(', ') || 'none'}`;
  return new AppError('unknown_agent', text, { field });
}

function read<S extends z.ZodType>(schema: S, data: string): z.output<S> | null {
  try {
    const result = schema.safeParse(JSON.parse(data));
    return result.success ? result.data : null;
  } catch {
    return null;
  }
}
