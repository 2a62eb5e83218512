import { type ReactNode, useState } from 'react';
import type { RunHead } from '../../wire.ts';
import { post } from '../lib/api.ts';
import { count, span, usd } from '../lib/format.ts';
import { useNow } from '../lib/use.ts';
import { CopyId, Link, Tag, When } from '../ui/bits.tsx';
import { useMay } from '../ui/me.ts';
import { OrderDialog } from '../ui/order.tsx';

type Order = 'cancel' | 'pause' | 'resume' | 'kill' | 'retry' | 'continue' | 'release' | 'fail';

const ORDERS: Record<Order, { name: string; tells: string; danger?: boolean }> = {
  pause: { name: 'Pause', tells: 'Calls under way are not cut off; the run begins nothing more until it is resumed.' },
  resume: { name: 'Resume', tells: 'The run goes on where it was held.' },
  cancel: {
    name: 'Cancel',
    tells: 'The run ends as cancelled, in good order: its result carries what was found so far.',
    danger: true,
  },
  kill: {
    name: 'Kill',
    tells:
      'A switch over this run and all that it delegated: nothing new begins anywhere, calls under way are aborted.',
    danger: true,
  },
  retry: { name: 'Retry', tells: 'The task is handed in once more, from its start, as a new run.' },
  continue: { name: 'Continue', tells: 'A new run goes on where this one ended, with its limits anew.' },
  release: {
    name: 'Read again',
    tells: 'The entry that could not be folded is folded again, by the code that runs now.',
  },
  fail: { name: 'Give it up', tells: 'The held run ends as failed.', danger: true },
};

export function RunHeader({ head }: { head: RunHead }) {
  const may = useMay('operator');
  const [order, setOrder] = useState<Order | null>(null);
  const now = useNow();
  const { totals, limits } = head;
  const took = (head.ended_at ?? now) - head.accepted_at;
  return (
    <header className="run-head">
      <div className="run-title">
        <Link to="/runs" className="dim">
          Runs
        </Link>
        <span className="dim" aria-hidden="true">
          /
        </span>
        <h1>
          <CopyId id={head.run} short={false} />
        </h1>
        {head.end !== null && (
          <Tag tone={head.end.code === 'completed' ? 'good' : 'bad'}>{head.end.code.replaceAll('_', ' ')}</Tag>
        )}
        {head.reading && <Tag>reading its journal, {count(head.n)} entries so far</Tag>}
        {may && (
          <div className="run-orders">
            {offered(head).map((one) => (
              <button
                key={one}
                type="button"
                className={`button small ${ORDERS[one].danger === true ? 'warn' : ''}`}
                onClick={() => setOrder(one)}
              >
                {ORDERS[one].name}
              </button>
            ))}
          </div>
        )}
      </div>
      <dl className="run-facts">
        <Fact name="Agent">
          <Link to={`/agents/${encodeURIComponent(head.agent)}`}>{head.agent}</Link>{' '}
          <span className="dim num">{head.agent_version}</span>
        </Fact>
        <Fact name="User">{head.user}</Fact>
        <Fact name="Node">{head.node ?? <span className="dim">none</span>}</Fact>
        <Fact name="Steps">
          <Used used={totals.steps} of={limits.steps} />
        </Fact>
        <Fact name="Calls">
          <Used used={totals.tool_calls} of={limits.tool_calls} />
        </Fact>
        <Fact name="Tokens">
          <Used used={totals.input_tokens + totals.output_tokens} of={limits.tokens} />
        </Fact>
        <Fact name="Cost">
          <Used used={totals.cost_usd} of={limits.cost_usd} show={usd} />
        </Fact>
        <Fact name="Time">
          <span className="num">{span(took)}</span>
          <span className="dim num">
            {' '}
            model {span(totals.think_ms)}, tools {span(totals.tool_ms)}
          </span>
        </Fact>
        {head.progress !== null && head.ended_at === null && (
          <Fact name="Progress">
            <Used used={head.progress} of={100} show={(n) => `${Math.round(n)} %`} />
          </Fact>
        )}
        <Fact name="Accepted">
          <When at={head.accepted_at} />
        </Fact>
        {head.parent !== null && (
          <Fact name="Delegated by">
            <Link to={`/runs/${head.parent}`} className="mono">
              {head.parent}
            </Link>
          </Fact>
        )}
        {head.children.length > 0 && (
          <Fact name="Delegated to">
            {head.children.slice(-4).map(({ run, agent }) => (
              <Link key={run} to={`/runs/${run}`} className="child-link">
                {agent}
              </Link>
            ))}
          </Fact>
        )}
        {head.continues !== null && (
          <Fact name="Continues">
            <Link to={`/runs/${head.continues}`} className="mono">
              {head.continues}
            </Link>
          </Fact>
        )}
      </dl>
      {order !== null && (
        <OrderDialog
          title={`${ORDERS[order].name} this run`}
          action={ORDERS[order].name}
          danger={ORDERS[order].danger ?? false}
          {...(order === 'kill' ? { confirm: `run:${head.run}` } : {})}
          close={() => setOrder(null)}
          run={async (why) => told(order, await post(`/api/runs/${head.run}/order`, { order, why }))}
        >
          {ORDERS[order].tells}
        </OrderDialog>
      )}
    </header>
  );
}

function offered(head: RunHead): Order[] {
  if (head.quarantine !== null) return ['release', 'fail'];
  if (head.ended_at !== null) return ['continue', 'retry'];
  return [head.state === 'waiting.paused' ? 'resume' : 'pause', 'cancel', 'kill'];
}

function told(order: Order, answer: { run?: string; acknowledged?: boolean; nodes?: string[] }): ReactNode {
  const { run } = answer;
  if ((order === 'retry' || order === 'continue') && run !== undefined) {
    return (
      <p>
        It goes on as <Link to={`/runs/${run}`}>{run}</Link>.
      </p>
    );
  }
  if (order === 'kill') {
    return (
      <p>
        {answer.acknowledged === true
          ? `Every node knows: ${answer.nodes?.join(', ')}.`
          : 'Stored; no node has answered yet.'}
      </p>
    );
  }
  return <p>Stored: the run obeys as soon as a node has read it.</p>;
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** What is used of a limit: the figure, and a bar that says how near it is. */
function Used({ used, of, show = count }: { used: number; of: number; show?: (n: number) => string }) {
  const part = of === 0 ? 0 : Math.min(1, used / of);
  return (
    <span className="used" title={`${show(used)} of ${show(of)}`}>
      <span className="num">{show(used)}</span>
      <span className="dim num"> of {show(of)}</span>
      <meter
        className={part > 0.9 ? 'near' : ''}
        min={0}
        max={1}
        value={part}
        aria-label={`${Math.round(part * 100)} percent used`}
      />
    </span>
  );
}
