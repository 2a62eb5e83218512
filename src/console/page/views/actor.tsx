import { useState } from 'react';
import type { ActorAt, ActorView } from '../../wire.ts';
import { actorPath, useActor } from '../lib/actors.ts';
import { clock, count, exact, text } from '../lib/format.ts';
import { Chart } from '../run/chart.tsx';
import { ChartSwitch, type Detail } from '../run/chart-switch.tsx';
import { Empty, FaultBox, Link, Loading, Panel, Tag, When } from '../ui/bits.tsx';

/** What lives on a node as a chart, live: a supervisor, or a machine that a program there shows. */

export function Actor({ at }: { at: ActorAt }) {
  const view = useActor(at);
  return (
    <div className="view">
      <div className="view-line actor-line">
        <Link to="/tree" className="dim">
          Tree
        </Link>
        <h1 className="view-title">{at.kind === 'machine' ? at.path[0] : (at.path.at(-1) ?? at.node)}</h1>
        <span className="dim">
          {at.kind} of <Above at={at} />
        </span>
        {view?.state != null && (
          <Tag tone={view.state.status === 'active' ? 'good' : view.state.status === 'error' ? 'bad' : 'warn'}>
            {view.state.status}
          </Tag>
        )}
      </div>
      {view?.error != null && (
        <FaultBox
          fault={{ ...view.error, message: `${view.error.message}. It is asked again; below is what was seen last.` }}
        />
      )}
      {view === null && <Loading what="where it stands" />}
      {view !== null && <Shown view={view} />}
    </div>
  );
}

/** The node, and the supervisors that lead to it. */
function Above({ at: { node, kind, path } }: { at: ActorAt }) {
  if (kind === 'machine') return <code>{node}</code>;
  return (
    <>
      {path.length === 0 ? <code>{node}</code> : <Link to={actorPath({ node, kind, path: [] })}>{node}</Link>}
      {path.slice(0, -1).map((id, i) => (
        <span key={id}>
          {' / '}
          <Link to={actorPath({ node, kind, path: path.slice(0, i + 1) })}>{id}</Link>
        </span>
      ))}
    </>
  );
}

function Shown({ view: { state, chart, events } }: { view: ActorView }) {
  const [detail, setDetail] = useState<Detail>('full');
  if (state === null || chart === null) return null;
  const { active, via, heard, at, context } = state;
  return (
    <>
      <Panel
        title="State chart"
        className="chart-panel actor-chart"
        aside={<ChartSwitch chart={chart} active={active} detail={detail} choose={setDetail} />}
      >
        <Chart hash={chart} detail={detail} active={active} via={via} entry={heard} />
        <p className="note actor-state">
          {active.map((path) => (
            <code key={path} className="strong">
              {path}
            </code>
          ))}
          <span className="dim">
            {count(heard)} events since it is watched, the last word of it <When at={at} />
          </span>
        </p>
      </Panel>
      <div className="run-columns">
        <section className="panel tall" aria-label="What it is sent">
          <h2 className="panel-head">What it is sent</h2>
          <div className="pane">
            {events.length === 0 && <Empty title="Nothing since it is watched" />}
            <ol className="events actor-events">
              {events.toReversed().map((event) => (
                <li key={event.k}>
                  <time className="num dim" title={exact(event.at)}>
                    {clock(event.at)}
                  </time>
                  <code>{event.type}</code>
                  <span className="event-text dim" title={event.data}>
                    {event.data}
                  </span>
                </li>
              ))}
            </ol>
          </div>
        </section>
        <section className="panel tall" aria-label="What it holds">
          <h2 className="panel-head">What it holds, without secrets</h2>
          <div className="pane">
            <pre className="pre">{text(context)}</pre>
          </div>
        </section>
      </div>
    </>
  );
}
