import { useEffect, useState } from 'react';
import type { Fault, Frame, RunHead, RunView, StreamEvents } from '../../wire.ts';
import { faultOf, get } from '../lib/api.ts';
import { live } from '../lib/live.ts';

/** One run as this tab knows it: frames without a gap, from some entry to the newest. */
export interface RunModel {
  head: RunHead;
  frames: Frame[];
  steps: RunView['steps'];
}

export interface Followed {
  run: RunModel | null;
  fault: Fault | null;
  /** Reads the frames before the first that is there. */
  older(): void;
}

/** The console is away, its cluster is, or the run has not begun: it is asked again. */
const PASSING = ['offline', 'unavailable', 'unknown_run'];
const AGAIN_MS = 2_000;

export function useRun(id: string): Followed {
  const [run, setRun] = useState<RunModel | null>(null);
  const [fault, setFault] = useState<Fault | null>(null);
  const [round, setRound] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a round reads it all again
  useEffect(() => {
    const abort = new AbortController();
    const key = {};
    const ends = [
      live.on('run', (data) => {
        if (data.id !== id) return;
        setRun((before) => {
          const after = before === null ? null : merged(before, data);
          // What is missing between is read from the start.
          if (before !== null && after === null) setTimeout(() => setRound((n) => n + 1), 0);
          return after ?? before;
        });
        live.want(key, { run: { id, from: data.head.n + 1 } }, 'quietly');
      }),
      live.on('gone', (data) => data.id === id && setFault(data)),
    ];
    get<RunView>(`/api/runs/${id}`, abort.signal).then(
      (view) => {
        setFault(null);
        setRun({ head: view.head, frames: view.frames, steps: view.steps });
        live.want(key, { run: { id, from: view.head.n + 1 } });
      },
      (thrown: unknown) => {
        if (!abort.signal.aborted) setFault(faultOf(thrown));
      },
    );
    return () => {
      abort.abort();
      live.unwant(key);
      for (const end of ends) end();
    };
  }, [id, round]);
  useEffect(() => {
    if (fault === null || !PASSING.includes(fault.code)) return;
    const timer = setTimeout(() => setRound((n) => n + 1), AGAIN_MS);
    return () => clearTimeout(timer);
  }, [fault]);
  const older = () => {
    const first = run?.frames[0]?.n ?? 0;
    if (first === 0) return;
    void get<Frame[]>(`/api/runs/${id}/frames?to=${first}`).then((frames) => {
      setRun((before) =>
        before?.frames[0]?.n === first ? { ...before, frames: [...frames, ...before.frames] } : before,
      );
    });
  };
  return { run, fault, older };
}

/** Null when frames are missing between what is there and what came. */
function merged(before: RunModel, { head, frames, steps }: StreamEvents['run']): RunModel | null {
  const last = before.frames.at(-1)?.n ?? -1;
  const fresh = frames.filter(({ n }) => n > last);
  if (fresh[0] !== undefined && fresh[0].n !== last + 1) return null;
  const first = steps[0]?.step;
  return {
    head: head.n >= before.head.n ? head : before.head,
    frames: fresh.length === 0 ? before.frames : [...before.frames, ...fresh],
    steps: first === undefined ? before.steps : [...before.steps.filter(({ step }) => step < first), ...steps],
  };
}
