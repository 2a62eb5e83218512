import { useState } from 'react';
import type { ActorAt, NodeWithTree, TreeChild, TreeMachine, TreeSupervisor } from '../../wire.ts';
import { actorPath } from '../lib/actors.ts';
import { count, span } from '../lib/format.ts';
import { useGet } from '../lib/use.ts';
import { Countdown, Empty, FaultBox, Link, Loading, Panel, Tag, When } from '../ui/bits.tsx';

/** The supervision tree of every node: who restarts whom, how often that has happened, and what somebody died of last. */

const RUNS = [10, 50, 200] as const;

export function Tree() {
  const [runs, setRuns] = useState<number>(RUNS[0]);
  const { data, fault, reload } = useGet<NodeWithTree[]>(`/api/trees?runs=${runs}`, 2_000);
  return (
    <div className="view">
      <div className="view-line">
        <h1 className="view-title">Supervision tree</h1>
        <label className="dim">
          Runs shown of each agent{' '}
          <select value={runs} onChange={(event) => setRuns(Number(event.target.value))}>
            {RUNS.map((n) => (
              <option key={n}>{n}</option>
            ))}
          </select>
        </label>
      </div>
      {fault !== null && <FaultBox fault={fault} retry={reload} />}
      {data === null && fault === null && <Loading what="the trees" />}
      {data?.length === 0 && <Empty title="No node answers">Start one: proctor supervisor</Empty>}
      {data?.map(({ report, tree, why }) => (
        <Panel
          key={`${report.node}.${report.instance}`}
          title={report.node}
          aside={<Tag tone={report.state === 'ready' ? 'good' : 'warn'}>{report.state}</Tag>}
        >
          {tree === null ? (
            <p className="note tone-warn">{`It tells no tree: ${why ?? 'nobody knows why'}`}</p>
          ) : (
            <div className="sup sup-row">
              <ChartLink at={{ node: report.node, kind: 'supervisor', path: [] }} />
              <Strategy of={tree.tree} />
              <Children of={tree.tree} at={{ node: report.node, kind: 'supervisor', path: [] }} />
              <Machines node={report.node} machines={tree.machines ?? []} />
            </div>
          )}
        </Panel>
      ))}
    </div>
  );
}

function Strategy({ of }: { of: TreeSupervisor }) {
  const near = of.intensity > 0 && of.recent_restarts >= of.intensity;
  return (
    <span className="dim sup-strategy">
      {of.strategy}{' '}
      <span
        className={of.recent_restarts === 0 ? 'num' : `num ${near ? 'tone-bad' : 'tone-warn'}`}
        title={`restarts within the last ${span(of.period_ms)}; one more than ${of.intensity} ends this supervisor`}
      >
        {of.recent_restarts}/{of.intensity} restarts
      </span>
      {of.phase !== 'running' && <span className="tone-warn"> {of.phase}</span>}
    </span>
  );
}

/** Machines that programs in the node's process show. */
function Machines({ node, machines }: { node: string; machines: TreeMachine[] }) {
  if (machines.length === 0) return null;
  return (
    <>
      <h3 className="sup-title">Machines of its program</h3>
      <ul className="sup-list">
        {machines.map(({ name, status, state }) => (
          <li key={name}>
            <Link to={actorPath({ node, kind: 'machine', path: [name] })}>{name}</Link>{' '}
            {status !== 'active' && <Tag tone={status === 'error' ? 'bad' : 'warn'}>{status}</Tag>}{' '}
            <span className="dim">{state}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

function ChartLink({ at }: { at: ActorAt }) {
  const what = at.path.at(-1) ?? at.node;
  return (
    <Link to={actorPath(at)} className="sup-chart" label={`Chart of ${what}`}>
      chart
    </Link>
  );
}

function Children({ of, at }: { of: TreeSupervisor; at: ActorAt }) {
  if (of.children.length === 0 && of.ended.length === 0) return <p className="dim sup-none">no children now</p>;
  return (
    <ul className="sup-list">
      {of.children.map((child) => (
        <Child key={child.id} child={child} above={at} />
      ))}
      {of.left > 0 && <li className="dim">{count(of.left)} more</li>}
      {of.ended.map((one) => (
        <li key={`${one.id}${one.at}`} className="sup-ended">
          {isRun(one.id) ? <Link to={`/runs/${one.id}`}>{one.id}</Link> : <code>{one.id}</code>}{' '}
          <Tag tone="bad">ended</Tag> <span className="tone-bad">{one.code}</span>{' '}
          <span className="dim clip">{one.message}</span> <When at={one.at} />
        </li>
      ))}
    </ul>
  );
}

function Child({ child, above }: { child: TreeChild; above: ActorAt }) {
  const at = { ...above, path: [...above.path, child.id] };
  const { supervisor, run, last_error, retry_at } = child;
  const line = (
    <span className="sup-line">
      <code className="strong">{child.id}</code>
      {child.status !== 'running' && <Tag tone="warn">{child.status}</Tag>}
      {supervisor !== undefined && <Strategy of={supervisor} />}
      {run !== undefined && (
        <span className="dim">
          {run.state}, step {run.steps}
          {run.effects.map((effect) => (
            <span key={effect.id}>
              {' '}
              · {effect.uses ?? effect.id}
              {effect.since !== null && (
                <>
                  {' '}
                  for <When at={effect.since} ago={false} />
                </>
              )}
            </span>
          ))}
          {run.left > 0 && ` and ${run.left} more effects`}
        </span>
      )}
      {child.restarts > 0 && <span className="tone-warn num">restarted {child.restarts}×</span>}
      {retry_at !== null && (
        <span className="tone-warn">
          again <Countdown at={retry_at} />
        </span>
      )}
      {last_error !== undefined && (
        <span className="tone-bad" title={last_error.message}>
          {last_error.code} <When at={last_error.at} />
        </span>
      )}
      {child.up_at !== null && (
        <span className="dim sup-up">
          up <When at={child.up_at} ago={false} />
        </span>
      )}
    </span>
  );
  if (supervisor === undefined) return <li>{line}</li>;
  return (
    <li className="sup-row">
      <ChartLink at={at} />
      {/* Runs are folded: there may be many. */}
      <details open={above.path.length < 2 && child.restart !== 'temporary'}>
        <summary>{line}</summary>
        {isRun(child.id) && <Link to={`/runs/${child.id}`}>Open this run</Link>}
        <Children of={supervisor} at={at} />
      </details>
    </li>
  );
}

/** Runs are named by their ids. */
function isRun(id: string): boolean {
  return /^\d{8}-/.test(id);
}
