import { useId, useState } from 'react';
import type { ApprovalNotice, ApprovalRequest, Fault, Json, Approvals as Waiting } from '../../wire.ts';
import { faultOf } from '../lib/api.ts';
import { text } from '../lib/format.ts';
import { useLatest } from '../lib/live.ts';
import { type ApproverKey, decide, openKey, type Verdict } from '../lib/signing.ts';
import { useNow } from '../lib/use.ts';
import { Countdown, Empty, FaultBox, Link, Loading, Panel, Tag, When } from '../ui/bits.tsx';
import { useMay } from '../ui/me.ts';

const RISK = { low: 'plain', medium: 'warn', high: 'bad' };
const WORDS: Record<ApprovalNotice['state'], string> = {
  pending: 'counted: more approvers are needed',
  approved: 'approved: the call is made',
  rejected: 'denied: the model sees your reason',
  timed_out: 'too late: its time was over',
  cancelled: 'the run does not want the call any more',
};

interface Done {
  id: string;
  tool: string;
  run: string;
  words: string;
  at: number;
}

export function Approvals() {
  const waiting = useLatest('approvals');
  const may = useMay('approver');
  const [key, setKey] = useState<ApproverKey | null>(null);
  const [done, setDone] = useState<Done[]>([]);
  if (waiting === null) return <Loading what="what waits for an approval" />;
  const { requests, error, exact } = waiting;
  return (
    <div className="view">
      <h1 className="view-title">Approvals</h1>
      {error !== null && <FaultBox fault={{ code: 'no_node', message: error }} />}
      {may && exact ? (
        <Key held={key} approvers={waiting.approvers} hold={setKey} />
      ) : (
        <p className="note dim">You can look; secrets are taken out of the arguments. Approvers decide.</p>
      )}
      {requests.length === 0 && (
        <Panel title="Waiting">
          <Empty title="Nothing waits for an approval">
            Calls that need one stand here until somebody decides or their time is over. No word in time means no.
          </Empty>
        </Panel>
      )}
      {requests.map((request) => (
        <Request
          key={request.id}
          request={request}
          by={key}
          tell={(words, at) =>
            setDone((before) =>
              [{ id: request.id, tool: request.tool, run: request.run, words, at }, ...before].slice(0, 20),
            )
          }
        />
      ))}
      {done.length > 0 && (
        <Panel title="Decided here">
          <ul className="rows" role="log" aria-label="Decided here">
            {done.map((one) => (
              <li key={`${one.id}${one.at}`} className="row">
                <code className="strong">{one.tool}</code>
                <span className="row-main">{one.words}</span>
                <Link to={`/runs/${one.run}`}>its run</Link>
                <When at={one.at} />
              </li>
            ))}
          </ul>
        </Panel>
      )}
    </div>
  );
}

/** The key file is read by this page alone. */
function Key({
  held,
  approvers,
  hold,
}: {
  held: ApproverKey | null;
  approvers: Waiting['approvers'];
  hold: (key: ApproverKey | null) => void;
}) {
  const id = useId();
  const [fault, setFault] = useState<Fault | null>(null);
  const open = async (file: File | undefined) => {
    if (file === undefined) return;
    try {
      setFault(null);
      hold(await openKey(file.size > 4_096 ? '' : await file.text(), approvers));
    } catch (thrown) {
      setFault(faultOf(thrown));
    }
  };
  return (
    <Panel title="Your key">
      {held !== null ? (
        <p className="note key-line">
          You decide as <strong>{held.name}</strong> for {held.groups.join(', ')}. The key stays in this tab and is gone
          with it.
          <button type="button" className="button small" onClick={() => hold(null)}>
            Forget it
          </button>
        </p>
      ) : (
        <div className="note key-line">
          <label htmlFor={id}>
            Decisions are signed in this browser. Choose your key file (<code>proctor keys new NAME</code> makes one):
          </label>
          <input id={id} type="file" accept=".nk,text/plain" onChange={(event) => void open(event.target.files?.[0])} />
        </div>
      )}
      {fault !== null && (
        <p role="alert" className="note tone-bad">
          {fault.message}
        </p>
      )}
    </Panel>
  );
}

function Request({
  request,
  by,
  tell,
}: {
  request: ApprovalRequest;
  by: ApproverKey | null;
  tell: (words: string, at: number) => void;
}) {
  const id = useId();
  const now = useNow();
  const [args, setArgs] = useState<string | null>(null);
  const [why, setWhy] = useState('');
  const [busy, setBusy] = useState(false);
  const [fault, setFault] = useState<Fault | null>(null);
  const inGroup = by?.groups.some((group) => request.groups.includes(group)) ?? false;
  const send = async (verdict: 'approve' | 'deny') => {
    if (by === null) return;
    setBusy(true);
    setFault(null);
    try {
      const said: Verdict =
        verdict === 'deny' ? { verdict, why } : { verdict, why, ...(args === null ? {} : { args: argsIn(args) }) };
      const notice = await decide(by, request, said, now);
      tell(WORDS[notice.state], notice.at);
    } catch (thrown) {
      setFault(faultOf(thrown));
    } finally {
      setBusy(false);
    }
  };
  const { escalation, given, needed } = request;
  return (
    <Panel
      title={`${request.tool} for ${request.agent}`}
      className="approval"
      aside={
        <>
          <Tag tone={RISK[request.risk]}>{request.risk} risk</Tag>
          {request.action !== undefined && (
            <Tag tone={request.action === 'read' ? 'plain' : 'warn'}>{request.action}</Tag>
          )}
          <span>
            its time is over <Countdown at={request.deadline} />
          </span>
        </>
      }
    >
      <dl className="facts approval-facts">
        <Fact name="Why it needs an approval">
          <ul>
            {request.reasons.map((reason) => (
              <li key={reason.rule}>
                {reason.text} <span className="dim">({reason.rule})</span>
              </li>
            ))}
          </ul>
        </Fact>
        <Fact name="Asked by">
          <Link to={`/runs/${request.run}`} className="mono">
            {request.run}
          </Link>{' '}
          <span className="dim">
            for {request.user}, <When at={request.created_at} />
          </span>
        </Fact>
        <Fact name="Who decides">
          {needed === 1 ? 'one' : `${needed} different ones`} of {request.groups.join(', ')}
          {given.length > 0 && `; approved so far by ${given.map(({ approver }) => approver).join(', ')}`}
          {escalation !== undefined && !escalation.done && (
            <>
              ; {escalation.group} are asked as well <Countdown at={escalation.at} />
            </>
          )}
        </Fact>
        <Fact name="Its task">
          <span className="clip-lines">{request.task}</span>
        </Fact>
        {request.steps.length > 0 && (
          <Fact name="Its last steps">
            <ol>
              {request.steps.map((step) => (
                <li key={step.entry} value={step.step}>
                  {step.calls.length === 0
                    ? step.action
                    : step.calls.map((call) => `${call.tool}: ${call.status}, ${call.preview}`).join('; ')}
                </li>
              ))}
            </ol>
          </Fact>
        )}
      </dl>
      <div className="approval-args">
        {args === null ? (
          <pre className="value">{text(request.args as Json)}</pre>
        ) : (
          <>
            <label htmlFor={`${id}-args`}>Arguments to approve instead (checked against the tool's schema)</label>
            <textarea
              id={`${id}-args`}
              className="mono"
              rows={Math.min(16, args.split('\n').length + 1)}
              spellCheck={false}
              value={args}
              onChange={(event) => setArgs(event.target.value)}
            />
          </>
        )}
      </div>
      {by !== null && !inGroup && (
        <p className="note dim">
          {by.name} is in none of these groups: {request.groups.join(', ')}.
        </p>
      )}
      {by !== null && inGroup && (
        <div className="approval-decide">
          <label htmlFor={`${id}-why`}>Why (kept in the journal; to deny, the model sees it)</label>
          <input id={`${id}-why`} maxLength={1_024} value={why} onChange={(event) => setWhy(event.target.value)} />
          <div className="dialog-buttons">
            <button
              type="button"
              className="button"
              disabled={busy}
              onClick={() => setArgs(args === null ? text(request.args as Json) : null)}
            >
              {args === null ? 'Edit arguments' : 'Leave them as they were'}
            </button>
            <button
              type="button"
              className="button danger"
              disabled={busy || why.trim() === '' || args !== null}
              onClick={() => void send('deny')}
            >
              Deny
            </button>
            <button type="button" className="button primary" disabled={busy} onClick={() => void send('approve')}>
              {busy ? 'Working…' : args === null ? 'Approve' : 'Approve with these arguments'}
            </button>
          </div>
        </div>
      )}
      {fault !== null && (
        <p role="alert" className="note tone-bad">
          {fault.message}
        </p>
      )}
    </Panel>
  );
}

function Fact({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function argsIn(written: string): Record<string, Json> {
  let value: unknown;
  try {
    value = JSON.parse(written);
  } catch (thrown) {
    throw new Error(`The arguments are no JSON: ${thrown instanceof Error ? thrown.message : ''}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error('The arguments are an object with the names that the tool knows.');
  }
  return value as Record<string, Json>;
}
