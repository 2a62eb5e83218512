import { useEffect, useRef } from 'react';
import type { RunView } from '../../wire.ts';
import { clock, span, text, usd } from '../lib/format.ts';
import { Empty, Link, Tag } from '../ui/bits.tsx';

/** The steps: what was thought, done and seen, what it cost, and what was odd. */

type Step = RunView['steps'][number];

const TONES: Record<string, string> = {
  ok: 'good',
  error: 'bad',
  refused: 'bad',
  unknown: 'bad',
  unavailable: 'bad',
  open: 'plain',
};
const WORDS: Record<string, string> = { open: 'under way', ok: 'ok' };

export function Timeline({ steps, at, choose }: { steps: Step[]; at: number; choose: (entry: number) => void }) {
  const current = steps.findLast(({ entry }) => entry <= at)?.step ?? 0;
  const list = useRef<HTMLOListElement>(null);
  useEffect(() => {
    const item = list.current?.querySelector<HTMLElement>(`[data-step="${current}"]`);
    const pane = list.current?.parentElement;
    if (item === null || item === undefined || pane === null || pane === undefined) return;
    const above = item.offsetTop - pane.scrollTop;
    // Only when it is out of sight: nothing jumps under whoever reads.
    if (above < 0 || above > pane.clientHeight - 60) pane.scrollTop = item.offsetTop - pane.clientHeight / 2;
  }, [current]);
  if (steps.length === 0) return <Empty title="No step yet">The first begins with the model's first decision.</Empty>;
  return (
    <ol className="steps" ref={list}>
      {steps.map((step) => (
        <StepItem key={step.step} step={step} now={step.step === current} future={step.entry > at} choose={choose} />
      ))}
    </ol>
  );
}

function StepItem({
  step,
  now,
  future,
  choose,
}: {
  step: Step;
  now: boolean;
  future: boolean;
  choose: (entry: number) => void;
}) {
  const { observation, cost, action } = step;
  return (
    <li className={`step ${now ? 'now' : ''} ${future ? 'future' : ''}`} data-step={step.step}>
      <button
        type="button"
        className="step-head"
        onClick={() => choose(step.entry)}
        title={`Show the run at entry ${step.entry}`}
      >
        <span className="step-n num">{step.step}</span>
        <span className="step-action">
          {action.type.replaceAll('_', ' ')}
          {action.tool !== null && <code>{action.tool}</code>}
        </span>
        <Tag tone={TONES[observation.status]}>{WORDS[observation.status] ?? observation.status}</Tag>
        <span className="step-figures num dim">
          {span(step.think_ms + observation.duration_ms)}
          {cost.estimated_cost > 0 && ` · ${usd(cost.estimated_cost)}`}
        </span>
        <time className="num dim">{clock(Date.parse(step.timestamp))}</time>
      </button>
      {step.thought !== null && <p className="thought">{step.thought}</p>}
      {step.calls.length === 0 && action.args !== null && action.type !== 'plan' && (
        <pre className="value">{text(action.args)}</pre>
      )}
      {step.calls.map((call) => (
        <div key={call.c} className="call">
          <code className="call-head">
            {call.tool}
            <span className="dim">({short(call.args ?? action.args)})</span>
          </code>
          {call.observation.preview !== '' && (
            <pre className={`value tone-${TONES[call.observation.status] ?? 'plain'}`}>{call.observation.preview}</pre>
          )}
          {call.attempts > 1 && <Tag tone="warn">{`${call.attempts} attempts`}</Tag>}
          {call.child_run !== undefined && <Link to={`/runs/${call.child_run}`}>the run that it delegated to</Link>}
        </div>
      ))}
      {step.warnings.map((warning) => (
        <p key={warning} className="warning">
          {warning}
        </p>
      ))}
      {step.error !== null && <p className="warning bad">{step.error.message}</p>}
    </li>
  );
}

function short(args: unknown): string {
  if (args === null || args === undefined) return '';
  const json = JSON.stringify(args);
  const inner = json.startsWith('{') ? json.slice(1, -1) : json;
  return inner.length > 160 ? `${inner.slice(0, 159)}…` : inner;
}
