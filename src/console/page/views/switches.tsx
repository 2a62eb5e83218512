import { useId, useState } from 'react';
import type { Cluster } from '../../wire.ts';
import { post } from '../lib/api.ts';
import { exact, several } from '../lib/format.ts';
import { useLatest } from '../lib/live.ts';
import { useGet } from '../lib/use.ts';
import { Empty, FaultBox, Loading, Panel, Tag, When } from '../ui/bits.tsx';
import { useMay } from '../ui/me.ts';
import { OrderDialog } from '../ui/order.tsx';

type Switch = Cluster['switches'][number];
type Mode = 'kill' | 'pause' | 'drain';

const MODES: Record<Mode, string> = {
  pause: 'Runs of the scope begin nothing more and keep what they have; a revival lets them go on.',
  drain: 'Runs of the scope finish the step that they are in, then stand still until a revival.',
  kill: 'Runs of the scope end now. Calls under way are cancelled. A revival brings none of them back.',
};
const KINDS = ['global', 'agent', 'user', 'run', 'tool', 'model'] as const;
const HINTS: Record<(typeof KINDS)[number], string> = {
  global: '',
  agent: 'name, or name@version',
  user: 'user name',
  run: 'run id',
  tool: 'tool name',
  model: 'provider/model',
};

interface Ordered {
  scope: string;
  mode: string;
  acknowledged: boolean;
  nodes: string[];
}

export function Switches() {
  const cluster = useLatest('cluster');
  const may = useMay('operator');
  const history = useGet<Switch[]>('/api/switches');
  const [order, setOrder] = useState<{ scope: string; mode: Mode | 'revive' } | null>(null);
  if (cluster === null) return <Loading what="the switches" />;
  return (
    <div className="view">
      <h1 className="view-title">Kill switches</h1>
      <Panel title="In force" aside={<span className="dim">oldest first</span>}>
        {cluster.switches.length === 0 ? (
          <Empty title="Nothing is stopped">
            A switch holds for everything in its scope, now and later, until somebody revives it.
          </Empty>
        ) : (
          <ul className="rows">
            {cluster.switches.map((one) => (
              <li key={one.revision} className="row">
                <Tag tone={one.mode === 'kill' ? 'bad' : 'warn'}>{one.mode}</Tag>
                <span className="row-main">
                  <code className="strong">{one.scope}</code>{' '}
                  <span className="dim">
                    by {one.by}: {one.why || 'no reason given'}
                  </span>
                </span>
                <span className="num dim">{hitsOf(one)}</span>
                <When at={one.at} />
                {may && (
                  <button
                    type="button"
                    className="button small"
                    onClick={() => setOrder({ scope: one.scope, mode: 'revive' })}
                  >
                    Revive
                  </button>
                )}
              </li>
            ))}
          </ul>
        )}
      </Panel>
      {may ? <NewSwitch set={setOrder} /> : <p className="note dim">Switches are set by operators; you can look.</p>}
      <Panel title="All orders there ever were">
        {history.fault !== null && <FaultBox fault={history.fault} retry={history.reload} />}
        {history.data !== null && history.data.length === 0 && <Empty title="None so far" />}
        {history.data !== null && history.data.length > 0 && (
          <div className="scroll-x">
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">When</th>
                  <th scope="col">Order</th>
                  <th scope="col">Scope</th>
                  <th scope="col">By</th>
                  <th scope="col">Why</th>
                  <th scope="col">Has hit</th>
                </tr>
              </thead>
              <tbody>
                {history.data.toReversed().map((one) => (
                  <tr key={one.revision}>
                    <td title={exact(one.at)}>
                      <When at={one.at} />
                    </td>
                    <td>
                      <Tag tone={one.mode === 'kill' ? 'bad' : one.mode === 'revive' ? 'good' : 'warn'}>{one.mode}</Tag>
                    </td>
                    <td>
                      <code>{one.scope}</code>
                    </td>
                    <td>{one.by}</td>
                    <td className="clip">{one.why}</td>
                    <td className="num dim">{hitsOf(one)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Panel>
      {order !== null && (
        <OrderDialog
          title={order.mode === 'revive' ? `Revive ${order.scope}` : `${order.mode} ${order.scope}`}
          action={order.mode === 'revive' ? 'Revive' : `Set ${order.mode}`}
          danger={order.mode === 'kill'}
          confirm={order.scope}
          close={() => setOrder(null)}
          run={async (why, confirm) => {
            const done = await post<Ordered>('/api/switches', { ...order, why, confirm });
            history.reload();
            return <Told done={done} />;
          }}
        >
          {order.mode === 'revive'
            ? 'What is in the scope may go on. Runs that were killed stay ended.'
            : MODES[order.mode]}
        </OrderDialog>
      )}
    </div>
  );
}

function Told({ done }: { done: Ordered }) {
  return (
    <p>
      Stored: <code>{done.scope}</code> {done.mode}.{' '}
      {done.acknowledged
        ? `Every node knows of it (${done.nodes.length === 0 ? 'those that start read it first' : done.nodes.join(', ')}).`
        : 'No node answered: those that start read it first.'}
    </p>
  );
}

function hitsOf({ hits }: Switch): string {
  const parts = [
    [hits.runs, 'run'],
    [hits.calls, 'call'],
    [hits.tasks, 'task'],
  ] as const;
  const told = parts.filter(([n]) => n > 0).map(([n, what]) => several(n, what));
  return told.length === 0 ? 'nothing yet' : told.join(', ');
}

function NewSwitch({ set }: { set: (order: { scope: string; mode: Mode }) => void }) {
  const id = useId();
  const [kind, setKind] = useState<(typeof KINDS)[number]>('agent');
  const [name, setName] = useState('');
  const [mode, setMode] = useState<Mode>('pause');
  const scope = kind === 'global' ? 'global' : `${kind}:${name.trim()}`;
  const ready = kind === 'global' || name.trim() !== '';
  return (
    <Panel title="Set a switch">
      <form
        className="form"
        onSubmit={(event) => {
          event.preventDefault();
          if (ready) set({ scope, mode });
        }}
      >
        <div className="form-row">
          <label htmlFor={`${id}-kind`}>Scope</label>
          <select id={`${id}-kind`} value={kind} onChange={(event) => setKind(event.target.value as typeof kind)}>
            {KINDS.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
          {kind !== 'global' && (
            <input
              aria-label={HINTS[kind]}
              placeholder={HINTS[kind]}
              value={name}
              maxLength={200}
              spellCheck={false}
              onChange={(event) => setName(event.target.value)}
            />
          )}
        </div>
        <fieldset className="modes">
          <legend>Mode</legend>
          {(Object.keys(MODES) as Mode[]).map((one) => (
            <label key={one} className={`mode ${mode === one ? 'chosen' : ''}`}>
              <input type="radio" name={`${id}-mode`} checked={mode === one} onChange={() => setMode(one)} />
              <span>
                <strong>{one}</strong>
                <span className="dim">{MODES[one]}</span>
              </span>
            </label>
          ))}
        </fieldset>
        <button type="submit" className={`button ${mode === 'kill' ? 'danger' : 'primary'}`} disabled={!ready}>
          {`${mode} ${ready ? scope : '…'}`}
        </button>
      </form>
    </Panel>
  );
}
