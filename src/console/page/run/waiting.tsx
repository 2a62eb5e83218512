import { useId, useState } from 'react';
import type { Fault, RunHead, Why, Working } from '../../wire.ts';
import { faultOf, post } from '../lib/api.ts';
import { text } from '../lib/format.ts';
import { useGet, useNow } from '../lib/use.ts';
import { Countdown, When } from '../ui/bits.tsx';
import { StateName } from '../ui/mark.tsx';
import { useMay } from '../ui/me.ts';
import { whyNow, whyPath } from './why-path.ts';

/** So often a node is asked what a run waits for that does not move, milliseconds: it may have been left by all. */
const WHY_MS = 30_000;

/** Where the run stands: what it waits for, since when, until when, and who can unblock it. */
export function Standing({ head, file }: { head: RunHead; file: boolean }) {
  const over = head.ended_at !== null;
  const now = useNow();
  const why = useGet<Why>(file ? null : whyPath(head, now), WHY_MS);
  const line = whyNow(head, why.data, why.fault);
  return (
    <section className={`standing st-${head.state.split('.')[0]}`} aria-label="Where it stands">
      <div className="standing-state">
        <StateName state={head.state} />
        <span className="dim">
          {over ? (
            <When at={head.since} />
          ) : (
            <>
              for <When at={head.since} ago={false} />
            </>
          )}
        </span>
      </div>
      <div className="standing-text">
        {head.end !== null && (
          <pre className="value answer">
            {head.end.code === 'completed'
              ? text(head.answer)
              : (head.end.error ?? (head.end.detail || 'It ended without an answer.'))}
          </pre>
        )}
        {!over && head.asks.length === 0 && line !== null && line.waiting_for !== null && (
          <p>
            Waits for {line.waiting_for}. <span className="dim">Unblocked by {line.who}.</span>
            {line.orphaned && <strong className="tone-bad"> Nobody will move it: an operator must.</strong>}
          </p>
        )}
        {head.quarantine !== null && <p className="tone-bad">{head.quarantine}</p>}
      </div>
      {head.working.length > 0 && <UnderWay working={head.working} />}
      {head.moments.length > 0 && (
        <ul className="moments">
          {head.moments.map(({ kind, text: what, at }) => (
            <li key={`${kind}${at}`}>
              {what} <Countdown at={at} />
            </li>
          ))}
        </ul>
      )}
      {head.asks.map((ask) => (
        <Resolve key={ask.c} run={head.run} ask={ask} />
      ))}
    </section>
  );
}

const PHASES: Record<Working['phase'], string> = {
  planning: 'makes a plan',
  deciding: 'decides on the next step',
  reviewing: 'judges the draft',
  calling: 'is called',
  delegating: 'is given a task',
};

/** The calls of models and tools that its node makes now: since when, until when at most, which try. */
function UnderWay({ working }: { working: Working[] }) {
  const now = useNow();
  return (
    <ul className="working" aria-label="Under way">
      {working.map(({ id, what, phase, c, since, until, attempt }) => (
        <li key={id} data-effect={id}>
          <code className="strong">{what}</code>{' '}
          <span className="dim">
            {PHASES[phase]}
            {c !== null && ` (${c})`}
          </span>
          {attempt > 1 && <span className="tone-warn"> try {attempt}</span>}
          <span className="dim">
            {since > now ? (
              <>
                {' '}
                again <Countdown at={since} />
              </>
            ) : (
              <>
                {' '}
                for <When at={since} ago={false} />, given up <Countdown at={until} />
              </>
            )}
          </span>
        </li>
      ))}
    </ul>
  );
}

/** A person's word on a call that waits for one. */
function Resolve({ run, ask }: { run: string; ask: RunHead['asks'][number] }) {
  const id = useId();
  const may = useMay('approver');
  const [result, setResult] = useState('');
  const [why, setWhy] = useState('');
  const [fault, setFault] = useState<Fault | null>(null);
  const [sent, setSent] = useState(false);
  const send = async (verdict: 'done' | 'repeat' | 'fail') => {
    try {
      setFault(null);
      const answer = verdict === 'done' && result !== '' ? { result } : {};
      await post(`/api/runs/${run}/resolve`, {
        c: ask.c,
        why: why || (ask.unknown ? '' : 'answered'),
        verdict,
        ...answer,
      });
      setSent(true);
    } catch (thrown) {
      setFault(faultOf(thrown));
    }
  };
  if (sent) return <p role="status">Sent: the run goes on when a node has read it.</p>;
  return (
    <form className="resolve" onSubmit={(event) => event.preventDefault()}>
      <p className="strong">
        {ask.unknown ? `Did ${ask.tool} take effect? Nobody knows: look at what it works on.` : ask.question}
      </p>
      {!may && <p className="dim">An approver or operator can answer here.</p>}
      {may && (
        <>
          <label htmlFor={`${id}-result`}>{ask.unknown ? 'Its result, if it was done' : 'Answer'}</label>
          <textarea id={`${id}-result`} rows={2} value={result} onChange={(event) => setResult(event.target.value)} />
          <label htmlFor={`${id}-why`}>Why</label>
          <input id={`${id}-why`} value={why} onChange={(event) => setWhy(event.target.value)} />
          {fault !== null && (
            <p role="alert" className="tone-bad">
              {fault.message}
            </p>
          )}
          <div className="dialog-buttons">
            {ask.unknown && (
              <button type="button" className="button" onClick={() => send('repeat')}>
                It was not: do it again
              </button>
            )}
            <button type="button" className="button" onClick={() => send('fail')}>
              {ask.unknown ? 'Count it failed' : 'Refuse'}
            </button>
            <button type="button" className="button primary" onClick={() => send('done')}>
              {ask.unknown ? 'It was done' : 'Answer'}
            </button>
          </div>
        </>
      )}
    </form>
  );
}
