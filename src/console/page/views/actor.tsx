import { useState } from 'react';
import type { ChartDetail } from '../../chart.ts';
import type { ActorAt, ActorView } from '../../wire.ts';
import { actorPath, useActor } from '../lib/actors.ts';
import { clock, count, exact, text } from '../lib/format.ts';
import { Chart } from '../run/chart.tsx';
import { ChartSwitch } from '../run/chart-switch.tsx';
import { Empty, FaultBox, Link, Loading, Panel, Tag, When } from '../ui/bits.tsx';

/** What lives on a node as a chart, live: a supervisor, or a machine that a program there shows. */

export function Actor({ at }: { at: ActorAt }) {
  const view = useActor(at);
  return (
    <div className="view">
      <div className="view-line actor-line">
        <Way at={at} />
        <h1 className="view-title">{nameOf(at)}</h1>
        <span className="dim">{at.kind}</span>
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

function nameOf({ node, path }: ActorAt): string {
  return path.at(-1) ?? node;
}

/** What leads to it: the tree, the node, the supervisors above it. */
function Way({ at: { node, path } }: { at: ActorAt }) {
  const above = path.map((_, i) => path.slice(0, i)).map((ids) => ({ node, kind: 'supervisor' as const, path: ids }));
  return (
    <>
      <Link to="/tree" className="dim">
        Tree
      </Link>
      {above.map((one) => (
        <Link key={actorPath(one)} to={actorPath(one)} className="dim">
          {nameOf(one)}
        </Link>
      ))}
    </>
  );
}

function Shown({ view: { state, chart, events } }: { view: ActorView }) {
  const [detail, setDetail] = useState<ChartDetail>('full');
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
            events since it is watched: <span className="num">{count(heard)}</span>, the last word of it{' '}
            <When at={at} />
          </span>
        </p>
      </Panel>
      <div className="run-columns">
        <Panel title="What it is sent" className="tall">
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: so that keys scroll it */}
          <div className="pane" tabIndex={0}>
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
        </Panel>
        <Panel title="What it holds, without secrets" className="tall">
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: so that keys scroll it */}
          <div className="pane" tabIndex={0}>
            <pre className="pre">{text(context)}</pre>
          </div>
        </Panel>
      </div>
    </>
  );
}
