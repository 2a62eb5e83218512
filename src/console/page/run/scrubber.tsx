import { useEffect, useRef, useState } from 'react';
import type { Frame } from '../../wire.ts';
import { clock, exact, topOf } from '../lib/format.ts';
import { StateName } from '../ui/mark.tsx';

/** Time travel: the entries of the journal on one line, coloured by where the run stood; `at` null is live. */

export interface ScrubberProps {
  frames: Frame[];
  /** Entries before the first frame that is here. */
  missing: number;
  at: number | null;
  /** The run goes on: the end of the line is live. */
  running: boolean;
  choose: (n: number | null) => void;
  older: () => void;
}

const PLAY_MS = 550;

export function Scrubber({ frames, missing, at, running, choose, older }: ScrubberProps) {
  const [playing, setPlaying] = useState(false);
  const last = frames.length - 1;
  const index =
    at === null
      ? last
      : Math.max(
          0,
          frames.findIndex(({ n }) => n === at),
        );
  const frame = frames[index];
  const to = (next: number) => {
    const found = frames[Math.min(last, Math.max(0, next))];
    if (found !== undefined) choose(next >= last && running ? null : found.n);
  };
  const step = useRef(() => {});
  step.current = () => {
    if (index >= last) setPlaying(false);
    else to(index + 1);
  };
  useEffect(() => {
    if (!playing) return;
    const timer = setInterval(() => step.current(), PLAY_MS);
    return () => clearInterval(timer);
  }, [playing]);
  const failures = frames.flatMap(({ failed }, i) => (failed ? [i] : []));
  const nextFailure = failures.find((i) => i > index) ?? failures[0];
  const play = () => {
    if (!playing && index >= last) choose(frames[0]?.n ?? null);
    setPlaying(!playing);
  };
  if (frame === undefined) return null;
  return (
    <div className="scrubber">
      <div className="scrub-buttons">
        <button
          type="button"
          className="tool"
          aria-label="First entry"
          title="First entry"
          disabled={index === 0}
          onClick={() => to(0)}
        >
          ⇤
        </button>
        <button
          type="button"
          className="tool"
          aria-label="Entry before"
          title="Entry before"
          disabled={index === 0}
          onClick={() => to(index - 1)}
        >
          ‹
        </button>
        <button
          type="button"
          className="tool"
          aria-label={playing ? 'Stop playing' : 'Play'}
          title={playing ? 'Stop' : 'Play from here'}
          onClick={play}
        >
          {playing ? '❚❚' : '▶'}
        </button>
        <button
          type="button"
          className="tool"
          aria-label="Next entry"
          title="Next entry"
          disabled={index >= last}
          onClick={() => to(index + 1)}
        >
          ›
        </button>
        <button
          type="button"
          className="tool wide-tool tone-bad"
          disabled={nextFailure === undefined}
          title="Jump to the next entry in which something failed"
          onClick={() => to(nextFailure ?? 0)}
        >
          ✕ failure
        </button>
      </div>
      <div className="scrub-line">
        <div className="scrub-strip" aria-hidden="true">
          {frames.map((one, i) => (
            <i
              key={one.n}
              className={`st-${topOf(one.state)} ${one.failed ? 'bad' : ''} ${i <= index ? 'past' : ''}`}
            />
          ))}
        </div>
        <input
          type="range"
          min={0}
          max={last}
          value={index}
          aria-label="Journal entry"
          aria-valuetext={`entry ${frame.n}, ${frame.state}, ${exact(frame.at)}`}
          onChange={(event) => to(Number(event.target.value))}
        />
      </div>
      <div className="scrub-told">
        <span className="num">
          entry <strong>{frame.n}</strong> of {frames.at(-1)?.n}
        </span>
        <StateName state={frame.state} />
        <time title={exact(frame.at)} className="num dim">
          {clock(frame.at)}
        </time>
        {missing > 0 && (
          <button type="button" className="quiet" onClick={older}>
            {missing} older entries
          </button>
        )}
        {at === null ? (
          <span className={running ? 'live-tag' : 'live-tag over'}>{running ? 'live' : 'the end'}</span>
        ) : (
          <button type="button" className="button small" onClick={() => choose(null)}>
            {running ? 'Back to live' : 'To the end'}
          </button>
        )}
      </div>
    </div>
  );
}
