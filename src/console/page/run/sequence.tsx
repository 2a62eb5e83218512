import type { Frame } from '../../wire.ts';
import { exact, shortId } from '../lib/format.ts';
import { Empty } from '../ui/bits.tsx';

/** Who said what to whom: the run, its model, tools, people, the runs that it delegated to. */

const LANE = 150;
const LINE = 34;
const MAX = 150;
const FIXED = ['submitter', 'operator', 'node', 'run', 'model'];

interface Message {
  n: number;
  at: number;
  from: string;
  to: string;
  text: string;
  tone: string;
}

export function Sequence({ frames, at, choose }: { frames: Frame[]; at: number; choose: (n: number) => void }) {
  const all = frames.flatMap(({ n, at: when, events }) =>
    events.flatMap(({ from, to, text, tone, type }): Message[] =>
      from === to ? [] : [{ n, at: when, from, to, text: short(type, text), tone }],
    ),
  );
  if (all.length === 0) return <Empty title="Nobody spoke yet" />;
  const messages = all.slice(-MAX);
  const seen = [...new Set(messages.flatMap(({ from, to }) => [from, to]))];
  const lanes = [...FIXED.filter((one) => seen.includes(one)), ...seen.filter((one) => !FIXED.includes(one))];
  const x = (who: string) => 66 + lanes.indexOf(who) * LANE;
  const height = 56 + messages.length * LINE;
  return (
    <section className="sequence" aria-label={`${messages.length} messages between ${lanes.join(', ')}`}>
      {all.length > MAX && <p className="note dim">{`The last ${MAX} of ${all.length} messages.`}</p>}
      <svg width={lanes.length * LANE} height={height}>
        <title>Messages in order</title>
        <defs>
          <marker id="seq-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
            <path d="M0 0L8 4L0 8z" className="arrow-near" />
          </marker>
        </defs>
        {lanes.map((lane) => (
          <g key={lane} className="lane">
            <line x1={x(lane)} y1="34" x2={x(lane)} y2={height} />
            <rect x={x(lane) - 60} y="6" width="120" height="26" rx="6" />
            <text x={x(lane)} y="23" textAnchor="middle">
              <title>{lane}</title>
              {laneName(lane)}
            </text>
          </g>
        ))}
        {messages.map((message, index) => {
          const y = 62 + index * LINE;
          const [a, b] = [x(message.from), x(message.to)];
          const shown = clipTo(message.text, Math.max(18, Math.abs(a - b) / 6.2));
          return (
            // biome-ignore lint/a11y/useSemanticElements: a button cannot stand in a drawing
            <g
              // biome-ignore lint/suspicious/noArrayIndexKey: entries hold several messages, in a fixed order
              key={`${message.n}.${index}`}
              className={`message tone-${message.tone} ${message.n > at ? 'future' : ''} ${message.n === at ? 'now' : ''}`}
              role="button"
              tabIndex={0}
              aria-label={`${shown}; entry ${message.n}, ${message.from} to ${message.to}: ${message.text}`}
              onClick={() => choose(message.n)}
              onKeyDown={(event) => event.key === 'Enter' && choose(message.n)}
            >
              <title>{`entry ${message.n}, ${exact(message.at)}\n${message.text}`}</title>
              <rect
                x={Math.min(a, b) - 60}
                y={y - 20}
                width={Math.abs(a - b) + 120}
                height={LINE - 4}
                className="hit"
              />
              <line x1={a} y1={y} x2={b} y2={y} markerEnd="url(#seq-arrow)" />
              <text x={(a + b) / 2} y={y - 5} textAnchor="middle">
                {shown}
              </text>
            </g>
          );
        })}
      </svg>
    </section>
  );
}

function laneName(lane: string): string {
  const [kind, ...rest] = lane.split(':');
  const name = rest.join(':');
  if (kind === 'run' && name !== '') return clipTo(`run ${shortId(name)}`, 18);
  return clipTo(name === '' ? lane : name, 18);
}

const clipTo = (text: string, max: number) => (text.length <= max ? text : `${text.slice(0, Math.floor(max) - 1)}…`);

/** What a decision says is long; its kind tells enough here. */
function short(type: string, text: string): string {
  return text === '' ? type : text;
}
