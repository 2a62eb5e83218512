import { useId, useState } from 'react';
import type { Fault, HumanDetails, HumanSummary } from '../../wire.ts';
import { faultOf, post } from '../lib/api.ts';
import { useGet } from '../lib/use.ts';
import { Empty, Facts, FaultBox, Link, Loading, Panel, Tag, When } from '../ui/bits.tsx';
import { useMay } from '../ui/me.ts';

const TONE = { open: 'warn', claimed: 'plain', done: 'good', unreadable: 'bad' };

/** What agents could not do, for the people who take it over. */
export function Queue({ chosen }: { chosen: string | null }) {
  const { data, fault, reload } = useGet<HumanSummary[]>('/api/queue', 3_000);
  return (
    <div className="view">
      <h1 className="view-title">Queue for people</h1>
      {fault !== null && <FaultBox fault={fault} retry={reload} />}
      {data === null && fault === null && <Loading what="the queue" />}
      {data?.length === 0 && (
        <Empty title="Nothing waits for a person">
          Tasks that agents could not do stand here, when their agent names a queue to fall back on.
        </Empty>
      )}
      {data !== null && data.length > 0 && (
        <Panel title="Waiting" aside={<span className="dim">oldest first</span>}>
          <ul className="rows">
            {data.map(({ run, agent, user, queue, at, task, standing }) => (
              <li key={run}>
                <Link to={`/queue/${run}`} className={`row ${run === chosen ? 'chosen' : ''}`}>
                  <Tag tone={TONE[standing.state]}>{standing.state}</Tag>
                  <span className="row-main">
                    {task} <span className="dim">{`${queue}: ${agent} for ${user}`}</span>
                  </span>
                  <When at={at} />
                </Link>
              </li>
            ))}
          </ul>
        </Panel>
      )}
      {chosen !== null && <Item key={chosen} run={chosen} changed={reload} />}
    </div>
  );
}

function Item({ run, changed }: { run: string; changed: () => void }) {
  const { data, fault, reload } = useGet<HumanDetails>(`/api/queue/${run}`, 3_000);
  if (data === null) return fault === null ? <Loading what="the task" /> : <FaultBox fault={fault} retry={reload} />;
  const { item, standing } = data;
  return (
    <Panel
      title={`${item.agent} for ${item.user}`}
      className="approval"
      aside={<Tag tone={TONE[standing.state]}>{standing.state}</Tag>}
    >
      <Facts
        of={[
          ['Stands', standing.by === undefined ? standing.state : `${standing.state} by ${standing.by}`],
          [
            'Asked',
            <pre key="task" className="value">
              {item.task}
            </pre>,
          ],
          [
            'Found',
            item.partial === null ? (
              'nothing'
            ) : (
              <pre key="found" className="value">
                {item.partial}
              </pre>
            ),
          ],
          ['Ended by', `${item.error.code}: ${item.error.reason}`],
          ['Tried', <Tried key="tried" item={item} />],
          [
            'Its run',
            <Link key="run" to={`/runs/${run}`}>
              {run}
            </Link>,
          ],
        ]}
      />
      <Act
        run={run}
        standing={standing}
        done={() => {
          reload();
          changed();
        }}
      />
    </Panel>
  );
}

function Tried({ item: { errors, steps } }: { item: HumanDetails['item'] }) {
  return (
    <ul className="plain">
      {errors.map(({ kind, to, error }) => (
        <li key={`${kind}${to}${error.code}`}>
          {error.code}: {error.message} <span className="dim">(then {to})</span>
        </li>
      ))}
      {steps.map((step) => (
        <li key={step.entry} className="dim">
          step {step.step}: {step.calls.map((call) => `${call.tool} ${call.status}`).join(', ') || step.action}
        </li>
      ))}
    </ul>
  );
}

function Act({ run, standing, done }: { run: string; standing: HumanDetails['standing']; done: () => void }) {
  const id = useId();
  const may = useMay('approver');
  const [answer, setAnswer] = useState('');
  const [fault, setFault] = useState<Fault | null>(null);
  const send = async (body: object) => {
    try {
      setFault(null);
      await post(`/api/queue/${run}`, body);
      done();
    } catch (thrown) {
      setFault(faultOf(thrown));
      done();
    }
  };
  if (standing.state === 'done' || standing.state === 'unreadable') return null;
  if (!may) return <p className="note dim">Approvers and operators take tasks over.</p>;
  return (
    <div className="approval-decide">
      <label htmlFor={id}>Your answer, or why it cannot be done (told to whoever asked)</label>
      <textarea id={id} rows={3} maxLength={8_192} value={answer} onChange={(event) => setAnswer(event.target.value)} />
      <div className="dialog-buttons">
        <button
          type="button"
          className="button"
          onClick={() => void send({ order: standing.state === 'open' ? 'claim' : 'release' })}
        >
          {standing.state === 'open' ? 'Claim it' : 'Give it back'}
        </button>
        <button
          type="button"
          className="button"
          disabled={answer.trim() === ''}
          onClick={() => void send({ order: 'done', outcome: 'not_solved', note: answer })}
        >
          Not to be solved
        </button>
        <button
          type="button"
          className="button primary"
          disabled={answer.trim() === ''}
          onClick={() => void send({ order: 'done', outcome: 'solved', answer })}
        >
          Solved
        </button>
      </div>
      {fault !== null && (
        <p role="alert" className="tone-bad">
          {fault.message}
        </p>
      )}
    </div>
  );
}
