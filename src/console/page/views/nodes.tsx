import { useState } from 'react';
import type { Cluster } from '../../wire.ts';
import { post } from '../lib/api.ts';
import { count } from '../lib/format.ts';
import { useLatest } from '../lib/live.ts';
import { Empty, FaultBox, Link, Loading, Panel, Tag, When } from '../ui/bits.tsx';
import { useMay } from '../ui/me.ts';
import { OrderDialog } from '../ui/order.tsx';

type NodeReport = Cluster['nodes'][number];
type Order = 'cordon' | 'drain' | 'uncordon';

const TELL: Record<Order, string> = {
  cordon: 'The node takes no more runs and keeps those that it has.',
  drain: 'The node hands its runs over to other nodes and takes no more.',
  uncordon: 'The node takes runs again.',
};

export function Nodes() {
  const cluster = useLatest('cluster');
  const [order, setOrder] = useState<{ node: string; order: Order } | null>(null);
  if (cluster === null) return <Loading what="the nodes" />;
  const { nodes, health, error } = cluster;
  return (
    <div className="view">
      <h1 className="view-title">Nodes</h1>
      {error !== null && <FaultBox fault={{ code: 'no_node', message: error }} />}
      {nodes.map((node) => (
        <NodePanel
          key={`${node.node}.${node.instance}`}
          node={node}
          give={(one) => setOrder({ node: node.node, order: one })}
        />
      ))}
      {health !== null && (
        <div className="grid">
          <Panel title="Queues" aside={<span className="dim">what no node has taken yet</span>}>
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">Queue</th>
                  <th scope="col" className="right">
                    Waiting
                  </th>
                  <th scope="col" className="right">
                    Oldest
                  </th>
                </tr>
              </thead>
              <tbody>
                {health.queues.map(({ name, waiting, oldest_at }) => (
                  <tr key={name}>
                    <td>{name}</td>
                    <td className="right num">{count(waiting)}</td>
                    <td className="right">{oldest_at === null ? '–' : <When at={oldest_at} ago={false} />}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Panel>
          <Panel
            title="Runs without an owner"
            aside={<span className="dim">their lease has passed three times over</span>}
          >
            {health.stale.length === 0 ? (
              <Empty title="None">Every live run has an owner, a wake-up or somebody who decides.</Empty>
            ) : (
              <ul className="rows">
                {health.stale.map(({ run, agent, state, node, since }) => (
                  <li key={run}>
                    <Link to={`/runs/${run}`} className="row">
                      <span className="row-main mono">{run}</span>
                      <span className="dim">{`${agent}, ${state}, last on ${node}`}</span>
                      <When at={since} ago={false} />
                    </Link>
                  </li>
                ))}
              </ul>
            )}
          </Panel>
        </div>
      )}
      {order !== null && (
        <OrderDialog
          title={`${order.order} ${order.node}`}
          action={order.order}
          close={() => setOrder(null)}
          run={async (why) => {
            await post('/api/nodes/order', { ...order, why });
            return <p>Done: the node knows.</p>;
          }}
        >
          {TELL[order.order]}
        </OrderDialog>
      )}
    </div>
  );
}

function NodePanel({ node, give }: { node: NodeReport; give: (order: Order) => void }) {
  const may = useMay('operator');
  const agents = Object.entries(node.agents);
  const tone = node.state === 'ready' ? 'good' : 'warn';
  return (
    <Panel
      title={node.node}
      aside={
        may && (
          <>
            {node.state === 'ready' ? (
              <button type="button" className="button small" onClick={() => give('cordon')}>
                Cordon
              </button>
            ) : (
              <button type="button" className="button small" onClick={() => give('uncordon')}>
                Uncordon
              </button>
            )}
            <button type="button" className="button small" onClick={() => give('drain')}>
              Drain
            </button>
          </>
        )
      }
    >
      <div className="node-line">
        <Tag tone={tone}>{node.state}</Tag>
        <span>
          <span className="num strong">{node.active_runs}</span> {node.active_runs === 1 ? 'run' : 'runs'} in work
        </span>
        <span>{node.slots} slots an agent</span>
        <span className="dim">{node.host}</span>
        <span className="dim">version {node.version}</span>
        <span className="dim">
          up for <When at={node.started_at} ago={false} />
        </span>
      </div>
      {node.order !== undefined && (
        <p className="note tone-warn">{`${node.order.order} by ${node.order.by}: ${node.order.why || 'no reason given'}`}</p>
      )}
      <ul className="tree">
        {agents.map(([name, { active, unusable }]) => (
          <li key={name}>
            <Link to={`/agents/${encodeURIComponent(name)}`}>{name}</Link>
            <Load active={active} slots={node.slots} />
            {unusable !== undefined && <span className="tone-bad">{unusable}</span>}
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Load({ active, slots }: { active: number; slots: number }) {
  const shown = Math.min(slots, 24);
  return (
    <span className="load">
      <span className="load-cells" aria-hidden="true">
        {Array.from({ length: shown }, (_, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the cells are alike and never move
          <i key={index} className={index < (active / slots) * shown ? 'on' : ''} />
        ))}
      </span>
      <span className="num">
        {active} of {slots}
      </span>
    </span>
  );
}
