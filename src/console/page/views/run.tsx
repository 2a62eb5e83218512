import { useContext, useState } from 'react';
import type { ChartDetail } from '../../chart.ts';
import { text } from '../lib/format.ts';
import { setQuery } from '../lib/router.ts';
import { Chart } from '../run/chart.tsx';
import { ChartSwitch } from '../run/chart-switch.tsx';
import { Context } from '../run/context.tsx';
import { Events } from '../run/events.tsx';
import { RunHeader } from '../run/header.tsx';
import { type RunModel, useRun } from '../run/model.ts';
import { Raw } from '../run/raw.tsx';
import { Scrubber } from '../run/scrubber.tsx';
import { Sequence } from '../run/sequence.tsx';
import { Timeline } from '../run/timeline.tsx';
import { Standing } from '../run/waiting.tsx';
import { FaultBox, Loading, Panel, TabList } from '../ui/bits.tsx';
import { MeContext } from '../ui/me.ts';

export function RunPage({ run: id, query }: { run: string; query: URLSearchParams }) {
  const { run, fault, older } = useRun(id);
  if (run === null) {
    return <div className="view">{fault === null ? <Loading what={`run ${id}`} /> : <FaultBox fault={fault} />}</div>;
  }
  return (
    <div className="view">
      {fault !== null && <FaultBox fault={fault} />}
      <Shown run={run} at={entryIn(query, run)} older={older} query={query} />
    </div>
  );
}

/** The entry that the address names; null for the newest. */
function entryIn(query: URLSearchParams, { frames }: RunModel): number | null {
  const n = Number(query.get('n') ?? Number.NaN);
  return frames.some((frame) => frame.n === n) ? n : null;
}

function Shown({
  run,
  at,
  older,
  query,
}: {
  run: RunModel;
  at: number | null;
  older: () => void;
  query: URLSearchParams;
}) {
  const { head, frames, steps } = run;
  const file = useContext(MeContext)?.file !== null;
  const [detail, setDetail] = useState<ChartDetail>('outline');
  const last = frames.at(-1);
  const frame = at === null ? last : (frames.find(({ n }) => n === at) ?? last);
  const choose = (n: number | null) => setQuery({ n: n === null ? null : String(n) });
  const n = frame?.n ?? 0;
  const left = query.get('left') ?? 'steps';
  const right = query.get('right') ?? 'context';
  return (
    <>
      <RunHeader head={head} />
      <Standing head={head} file={file} />
      <Panel
        title="State chart"
        className="chart-panel"
        aside={
          <ChartSwitch chart={head.chart} active={[frame?.state ?? head.state]} detail={detail} choose={setDetail}>
            <a href={`/api/runs/${head.run}/file`} download>
              Run as file
            </a>
          </ChartSwitch>
        }
      >
        <Chart
          hash={head.chart}
          detail={detail}
          active={[frame?.state ?? head.state]}
          via={frame?.via ?? []}
          entry={n}
        />
        <Scrubber
          frames={frames}
          missing={frames[0]?.n ?? 0}
          at={at}
          running={head.ended_at === null}
          choose={choose}
          older={older}
        />
      </Panel>
      <div className="run-columns">
        <section className="panel tall" aria-label="What happened">
          <TabList
            label="What happened"
            chosen={left}
            choose={(one) => setQuery({ left: one === 'steps' ? null : one })}
            tabs={[
              {
                id: 'steps',
                title: (
                  <>
                    Steps <span className="num dim">{steps.length}</span>
                  </>
                ),
              },
              { id: 'sequence', title: 'Sequence' },
              { id: 'events', title: 'Events' },
            ]}
          />
          <div className="pane" role="tabpanel" id="panel-left" aria-labelledby={`tab-${left}`}>
            {left === 'steps' && <Timeline steps={steps} at={n} choose={choose} />}
            {left === 'sequence' && <Sequence frames={frames} at={n} choose={choose} />}
            {left === 'events' && <Events frames={frames} at={n} choose={choose} />}
          </div>
        </section>
        <section className="panel tall" aria-label="What it holds">
          <TabList
            label="What it holds"
            chosen={right}
            choose={(one) => setQuery({ right: one === 'context' ? null : one })}
            tabs={[
              { id: 'context', title: 'Context' },
              {
                id: 'entry',
                title: (
                  <>
                    Entry <span className="num dim">{n}</span>
                  </>
                ),
              },
              { id: 'task', title: 'Task' },
            ]}
          />
          <div className="pane" role="tabpanel" id="panel-right" aria-labelledby={`tab-${right}`}>
            {right === 'context' && <Context run={head.run} n={n} />}
            {right === 'entry' && <Raw run={head.run} n={n} />}
            {right === 'task' && <pre className="pre">{text(head.task)}</pre>}
          </div>
        </section>
      </div>
    </>
  );
}
