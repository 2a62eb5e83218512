import type { AgentDetails, AgentSummary } from '../../wire.ts';
import { text } from '../lib/format.ts';
import { useGet } from '../lib/use.ts';
import { Empty, Facts, FaultBox, Link, Loading, Panel, Tag, When } from '../ui/bits.tsx';

export function Agents({ chosen }: { chosen: string | null }) {
  const { data, fault, reload } = useGet<AgentSummary[]>('/api/agents', 10_000);
  return (
    <div className="view">
      <h1 className="view-title">Agents</h1>
      {fault !== null && <FaultBox fault={fault} retry={reload} />}
      {data === null && fault === null && <Loading what="the agents" />}
      <div className="cards">
        {data?.map((agent) => (
          <Link
            key={agent.name}
            to={`/agents/${encodeURIComponent(agent.name)}`}
            className={`card ${agent.name === chosen ? 'chosen' : ''}`}
          >
            <span className="card-title">
              {agent.name} <span className="dim num">{agent.version}</span>
            </span>
            <span className="card-text">{agent.description || 'No description.'}</span>
            <span className="card-foot">
              <code>{agent.model}</code>
              <span className="dim num">
                {agent.nodes.reduce((sum, { active }) => sum + active, 0)} live on{' '}
                {agent.nodes.filter(({ unusable }) => unusable === undefined).length} of {agent.nodes.length} nodes
              </span>
            </span>
            {agent.nodes.some(({ unusable }) => unusable !== undefined) && (
              <Tag tone="warn">{agent.nodes.find(({ unusable }) => unusable !== undefined)?.unusable}</Tag>
            )}
          </Link>
        ))}
      </div>
      {chosen !== null && <Agent name={chosen} />}
    </div>
  );
}

function Agent({ name }: { name: string }) {
  const { data, fault } = useGet<AgentDetails>(`/api/agents/${encodeURIComponent(name)}`);
  if (fault !== null) return <FaultBox fault={fault} />;
  if (data === null) return <Loading what={name} />;
  const { definition, versions, current, at, by, source } = data;
  return (
    <Panel
      title={`${definition.name} ${definition.version}`}
      aside={<Link to={`/runs?q=${encodeURIComponent(name)}`}>Its runs</Link>}
    >
      <Facts
        of={[
          ['Model', <code key="m">{definition.model}</code>],
          ['Tools', definition.tools.length === 0 ? 'none' : definition.tools.join(', ')],
          ['Delegates to', definition.delegates_to.length === 0 ? 'nobody' : definition.delegates_to.join(', ')],
          ['Versions', versions.map((one) => (one === current ? `${one} (in force)` : one)).join(', ')],
          [
            'Stored',
            <span key="s">
              <When at={at} /> by {by}, from {source}
            </span>,
          ],
          [
            'Limits',
            `${definition.limits.steps} steps, ${definition.limits.wall_ms / 1_000} s, $${definition.limits.cost_usd}, ${definition.limits.tool_calls} calls`,
          ],
        ]}
      />
      {definition.instructions === undefined ? (
        <Empty title="No instructions" />
      ) : (
        <pre className="pre">{definition.instructions}</pre>
      )}
      <details>
        <summary>Whole definition</summary>
        <pre className="pre">{text(definition)}</pre>
      </details>
    </Panel>
  );
}
