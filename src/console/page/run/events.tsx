import { useState } from 'react';
import type { Frame } from '../../wire.ts';
import { clock, exact } from '../lib/format.ts';
import { Empty } from '../ui/bits.tsx';

/** Everything that happened, newest first; what nodes do among themselves is left out unless it is asked for. */

const SHOWN = 200;

export function Events({ frames, at, choose }: { frames: Frame[]; at: number; choose: (n: number) => void }) {
  const [all, setAll] = useState(false);
  const [limit, setLimit] = useState(SHOWN);
  const rows = frames
    .flatMap((frame) => frame.events.map((event, index) => ({ frame, event, key: `${frame.n}.${index}` })))
    .filter(({ event }) => all || event.tone !== 'quiet')
    .toReversed();
  return (
    <>
      <label className="check-line">
        <input type="checkbox" checked={all} onChange={(event) => setAll(event.target.checked)} /> also what nodes do:
        claims, timers, parking
      </label>
      {rows.length === 0 && <Empty title="Nothing yet" />}
      <ul className="events">
        {rows.slice(0, limit).map(({ frame, event, key }) => (
          <li key={key} className={frame.n === at ? 'now' : frame.n > at ? 'future' : ''}>
            <button type="button" onClick={() => choose(frame.n)}>
              <span className="num dim">{frame.n}</span>
              <time className="num dim" title={exact(frame.at)}>
                {clock(frame.at)}
              </time>
              <code className={`tone-${event.tone}`}>{event.type}</code>
              <span className="event-text">{event.text}</span>
            </button>
          </li>
        ))}
      </ul>
      {rows.length > limit && (
        <button type="button" className="button" onClick={() => setLimit(limit + SHOWN)}>
          Older ({rows.length - limit})
        </button>
      )}
    </>
  );
}
