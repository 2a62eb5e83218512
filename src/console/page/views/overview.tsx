import type { Cluster, Overview as Figures, RunRow } from '../../wire.ts';
import { asked, count, several, usd } from '../lib/format.ts';
import { useLatest } from '../lib/live.ts';
import { Empty, Link, Loading, Panel, Tag, When } from '../ui/bits.tsx';
import { StateMark, StateName } from '../ui/mark.tsx';
import { Spark } from '../ui/spark.tsx';

const STATES = ['idle', 'thinking', 'executing', 'waiting', 'completed', 'failed'];

export function Overview() {
  const figures = useLatest('overview');
  const cluster = useLatest('cluster');
  if (figures === null) return <Loading what="the runs" />;
  return (
    <div className="view">
      <h1 className="view-title">Overview</h1>
      <States figures={figures} />
      <div className="grid">
        <div className="stack">
          <Attention rows={figures.attention} needs={figures.needs} />
          <Recent rows={figures.recent} />
        </div>
        <div className="stack">
          <Health cluster={cluster} />
          <Throughput figures={figures} />
          <ByAgent figures={figures} />
        </div>
      </div>
    </div>
  );
}

function States({ figures }: { figures: Figures }) {
  return (
    <ul className="counts" aria-label="Runs by state">
      {STATES.map((state) => (
        <li key={state}>
          <Link to={`/runs?state=${state}`} className={`count st-${state}`}>
            <span className="count-n num">{count(figures.counts[state] ?? 0)}</span>
            <span className="count-name">
              <StateMark state={state} /> {state}
            </span>
          </Link>
        </li>
      ))}
      <li>
        <Link to="/runs?needs=1" className={`count ${figures.needs > 0 ? 'needs' : ''}`}>
          <span className="count-n num">{count(figures.needs)}</span>
          <span className="count-name">need a person</span>
        </Link>
      </li>
    </ul>
  );
}

function shownOf(shown: number, all: number): string | undefined {
  return all > shown ? `${shown} of ${count(all)}` : undefined;
}

function Attention({ rows, needs }: { rows: RunRow[]; needs: number }) {
  return (
    <Panel title="Waiting for a person" aside={shownOf(rows.length, needs)}>
      {rows.length === 0 ? (
        <Empty title="Nobody is waited for">
          Runs that need an approval, an answer or a word on a call stand here, the oldest first.
        </Empty>
      ) : (
        <ul className="rows">
          {rows.map((row) => (
            <li key={row.run}>
              <Link to={`/runs/${row.run}`} className="row">
                <StateName state={row.state} />
                <span className="row-main">{asked(row)}</span>
                <span className="dim">{row.agent}</span>
                <When at={row.since} ago={false} />
              </Link>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Health({ cluster }: { cluster: Cluster | null }) {
  if (cluster === null) {
    return (
      <Panel title="Cluster">
        <Loading what="nodes and switches" />
      </Panel>
    );
  }
  const { health, nodes, switches, error } = cluster;
  const waiting = health?.queues.reduce((sum, queue) => sum + queue.waiting, 0) ?? 0;
  const oldest = Math.min(...(health?.queues ?? []).map(({ oldest_at }) => oldest_at ?? Number.POSITIVE_INFINITY));
  return (
    <Panel title="Cluster">
      {error !== null && (
        <p role="alert" className="note tone-bad">
          {error}
        </p>
      )}
      <ul className="checks">
        <Check good={nodes.length > 0} to="/nodes" name="Nodes">
          {nodes.length === 0
            ? 'none answers'
            : `${nodes.length} up, ${several(
                nodes.reduce((sum, node) => sum + node.active_runs, 0),
                'run',
              )} in work`}
        </Check>
        <Check good={waiting < 100} to="/nodes" name="Queue">
          {waiting === 0 ? 'empty' : `${count(waiting)} wait`}
          {Number.isFinite(oldest) && (
            <>
              , oldest <When at={oldest} ago={false} />
            </>
          )}
        </Check>
        <Check good={switches.length === 0} to="/switches" name="Kill switches">
          {switches.length === 0
            ? 'none in force'
            : `${switches.length} in force: ${switches
                .slice(0, 2)
                .map(({ scope }) => scope)
                .join(', ')}`}
        </Check>
        <Check good={(health?.dead_letters ?? 0) === 0} to="/dead-letters" name="Dead letters">
          {health?.dead_letters ?? 0}
        </Check>
        <Check good={(health?.stale.length ?? 0) === 0} to="/nodes" name="Runs without an owner">
          {health?.stale.length ?? 0}
        </Check>
      </ul>
    </Panel>
  );
}

function Check({ good, name, to, children }: { good: boolean; name: string; to: string; children: React.ReactNode }) {
  return (
    <li>
      <Link to={to} className="check">
        <span className={`check-mark ${good ? 'tone-good' : 'tone-warn'}`} aria-hidden="true">
          {good ? '✓' : '!'}
        </span>
        <span className="check-name">
          {name}
          <span className="sr">{good ? ', fine' : ', look here'}</span>
        </span>
        <span className="check-value num">{children}</span>
      </Link>
    </li>
  );
}

function Throughput({ figures }: { figures: Figures }) {
  const last = figures.series.slice(-6);
  const sum = (of: (point: Figures['series'][number]) => number) => last.reduce((total, point) => total + of(point), 0);
  return (
    <Panel title="Last 10 minutes" aside={<span className="dim">figures of the last minute</span>}>
      <div className="sparks">
        <Meter name="Runs ended" value={`${count(sum(({ ended }) => ended))}/min`}>
          <Spark points={figures.series} of={({ ended }) => ended} part={({ failed }) => failed} label="Runs ended" />
        </Meter>
        <Meter name="Steps" value={`${count(sum(({ steps }) => steps))}/min`}>
          <Spark points={figures.series} of={({ steps }) => steps} label="Steps" />
        </Meter>
        <Meter
          name="Cost"
          value={`${usd(sum(({ cost_usd }) => cost_usd))}/min`}
          more={`${usd(figures.cost_usd)} for all runs`}
        >
          <Spark points={figures.series} of={({ cost_usd }) => cost_usd} label="Cost in USD" />
        </Meter>
      </div>
    </Panel>
  );
}

function Meter({
  name,
  value,
  more,
  children,
}: {
  name: string;
  value: string;
  more?: string;
  children: React.ReactNode;
}) {
  return (
    <div className="meter">
      <div className="meter-head">
        <span>{name}</span>
        <span className="num strong">{value}</span>
      </div>
      {children}
      {more !== undefined && <span className="dim num">{more}</span>}
    </div>
  );
}

function ByAgent({ figures }: { figures: Figures }) {
  return (
    <Panel title="Agents" aside={shownOf(figures.byAgent.length, figures.agents)}>
      {figures.byAgent.length === 0 ? (
        <Empty title="No run yet">Publish a task, and its agent appears here.</Empty>
      ) : (
        <div className="scroll-x">
          <table className="table">
            <thead>
              <tr>
                <th scope="col">Agent</th>
                <th scope="col" className="right">
                  Live
                </th>
                <th scope="col" className="right">
                  Ended
                </th>
                <th scope="col" className="right">
                  Failed
                </th>
                <th scope="col" className="right">
                  Cost
                </th>
              </tr>
            </thead>
            <tbody>
              {figures.byAgent.map(({ agent, live, ended, failed, cost_usd }) => (
                <tr key={agent}>
                  <td className="clip">
                    <Link to={`/runs?q=${encodeURIComponent(agent)}`}>{agent}</Link>
                  </td>
                  <td className="right num">{count(live)}</td>
                  <td className="right num">{count(ended)}</td>
                  <td className="right num">
                    {failed === 0 ? (
                      '0'
                    ) : (
                      <Tag tone="bad">{`${count(failed)} · ${Math.round((100 * failed) / Math.max(1, ended))} %`}</Tag>
                    )}
                  </td>
                  <td className="right num">{usd(cost_usd)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

function Recent({ rows }: { rows: RunRow[] }) {
  return (
    <Panel title="Newest runs" aside={<Link to="/runs">All runs</Link>}>
      {rows.length === 0 ? (
        <Empty title="No run yet">
          Hand one in: <code>proctor submit examples/tasks/first.json</code>
        </Empty>
      ) : (
        <ul className="rows">
          {rows.map((row) => (
            <li key={row.run}>
              <Link to={`/runs/${row.run}`} className="row">
                <StateName state={row.state} />
                <span className="row-main mono">{row.run}</span>
                <span className="dim">{row.agent}</span>
                <When at={row.at} ago={false} />
              </Link>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}
