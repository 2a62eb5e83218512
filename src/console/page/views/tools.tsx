import { useState } from 'react';
import type { BreakerInfo, ToolDetails, ToolInfo } from '../../wire.ts';
import { post } from '../lib/api.ts';
import { count, several, span, text } from '../lib/format.ts';
import { useGet } from '../lib/use.ts';
import { Countdown, Empty, FaultBox, Link, Loading, Panel, Tag } from '../ui/bits.tsx';
import { useMay } from '../ui/me.ts';
import { OrderDialog } from '../ui/order.tsx';

const RISK = { low: 'plain', medium: 'warn', high: 'bad' };
const EFFECT = { read: 'plain', write: 'warn', destructive: 'bad' };

function Breakers() {
  const { data, reload } = useGet<BreakerInfo[]>('/api/breakers', 5_000);
  const may = useMay('operator');
  const [reset, setReset] = useState<string | null>(null);
  if (data === null || data.length === 0) return null;
  return (
    <Panel title="Circuit breakers" aside={<span className="dim">those that have seen failures</span>}>
      <ul className="rows">
        {data.map(({ target, state, failures, until }) => (
          <li key={target} className="row">
            <Tag tone={state === 'closed' ? 'plain' : state === 'open' ? 'bad' : 'warn'}>{state.replace('_', ' ')}</Tag>
            <code className="row-main strong">{target}</code>
            {state === 'open' ? (
              <span>
                tried again <Countdown at={until} />
              </span>
            ) : (
              <span className="dim">{count(failures)} failures in a row</span>
            )}
            {may && state !== 'closed' && (
              <button type="button" className="button small" onClick={() => setReset(target)}>
                Close it
              </button>
            )}
          </li>
        ))}
      </ul>
      {reset !== null && (
        <OrderDialog
          title={`Close the breaker of ${reset}`}
          action="Close it"
          close={() => setReset(null)}
          run={async (why) => {
            await post('/api/breakers/reset', { target: reset, why });
            reload();
            return <p>Done: calls go through again.</p>;
          }}
        >
          Calls are sent to it again at once, on all nodes.
        </OrderDialog>
      )}
    </Panel>
  );
}

export function Tools({ chosen }: { chosen: string | null }) {
  const { data, fault, reload } = useGet<ToolInfo[]>('/api/tools', 5_000);
  return (
    <div className="view">
      <h1 className="view-title">Tools and workers</h1>
      {fault !== null && <FaultBox fault={fault} retry={reload} />}
      {data === null && fault === null && <Loading what="the tools" />}
      <Breakers />
      {data?.length === 0 && <Empty title="No tool can be called now">Start a worker: proctor worker FILE</Empty>}
      {data !== null && data.length > 0 && (
        <Panel title="Can be called now">
          <div className="scroll-x">
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">Tool</th>
                  <th scope="col">Effect</th>
                  <th scope="col">Risk</th>
                  <th scope="col">Repeatable</th>
                  <th scope="col">From</th>
                  <th scope="col" className="right">
                    Calls
                  </th>
                  <th scope="col" className="right">
                    Errors
                  </th>
                  <th scope="col" className="right">
                    Average
                  </th>
                </tr>
              </thead>
              <tbody>
                {data.map((tool) => (
                  <tr key={tool.name} className={tool.name === chosen ? 'chosen' : ''}>
                    <td>
                      <Link to={`/tools/${encodeURIComponent(tool.name)}`} className="mono">
                        {tool.name}
                      </Link>
                      <span className="cell-note">{tool.description}</span>
                    </td>
                    <td>
                      <Tag tone={EFFECT[tool.effect]}>{tool.effect}</Tag>
                    </td>
                    <td>
                      <Tag tone={RISK[tool.risk]}>{tool.risk}</Tag>
                      {tool.requires_approval && <Tag tone="warn">approval</Tag>}
                    </td>
                    <td>{tool.idempotent ? 'yes' : 'no'}</td>
                    <td>{tool.from === 'node' ? 'the nodes' : several(tool.workers, 'worker')}</td>
                    <td className="right num">{tool.from === 'node' ? '–' : count(tool.calls)}</td>
                    <td className="right num">
                      {tool.errors === 0 ? '–' : <span className="tone-bad">{count(tool.errors)}</span>}
                    </td>
                    <td className="right num">{tool.average_ms === null ? '–' : span(tool.average_ms)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </Panel>
      )}
      {chosen !== null && <Tool name={chosen} />}
    </div>
  );
}

function Tool({ name }: { name: string }) {
  const { data, fault } = useGet<ToolDetails>(`/api/tools/${encodeURIComponent(name)}`, 5_000);
  if (fault !== null) return <FaultBox fault={fault} />;
  if (data === null) return <Loading what={name} />;
  return (
    <Panel title={`${name} ${data.definition.version}`}>
      <p className="note">{data.definition.description}</p>
      {data.workers.length > 0 && (
        <div className="scroll-x">
          <table className="table">
            <thead>
              <tr>
                <th scope="col">Worker</th>
                <th scope="col">Version</th>
                <th scope="col" className="right">
                  Calls
                </th>
                <th scope="col" className="right">
                  Errors
                </th>
                <th scope="col">Last error</th>
              </tr>
            </thead>
            <tbody>
              {data.workers.map((worker) => (
                <tr key={worker.id}>
                  <td className="mono">{worker.id}</td>
                  <td>{worker.version}</td>
                  <td className="right num">{count(worker.calls)}</td>
                  <td className="right num">{count(worker.errors)}</td>
                  <td className="tone-bad">{worker.last_error}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <details>
        <summary>Parameters (JSON Schema)</summary>
        <pre className="pre">{text(data.definition.parameters)}</pre>
      </details>
    </Panel>
  );
}
