import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Observer } from '../crash/observer.ts';
import { storyOf } from '../crash/trace.ts';
import type { Load } from './load.ts';
import type { Effect, Sink } from './sink.ts';

/** What the drill found out; each list says what is wrong, in words. */
export interface Verdict {
  /** Accepted tasks without a result. */
  lost: string[];
  /** Tasks with more than one result. */
  duplicateResults: string[];
  repeatedIdempotentEffects: string[];
  repeatedNonIdempotentEffects: string[];
  /** Entries that were in a journal and are not, or are others. */
  lostSteps: string[];
  /** Runs with a journal, delegated ones too, that have no end. */
  stuck: string[];
  unknownOutcomes: number;
  zombieWritesRefused: number;
}

export async function judge(observer: Observer, load: Load, sink: Sink, dir: string): Promise<Verdict> {
  const lostSteps = await observer.lost();
  const bySession = new Map<string, string[]>();
  for (const { run, session_id: session } of observer.results.values()) {
    if (session !== undefined) bySession.set(session, [...(bySession.get(session) ?? []), run]);
  }
  const stories = [...observer.runs.keys()].map((run) => ({ run, story: storyOf(observer.entries(run)) }));
  return {
    lost: [...load.accepted.keys()].filter((session) => !bySession.has(session)),
    duplicateResults: [...bySession].flatMap(([session, runs]) =>
      runs.length > 1 ? [`${session} has the results ${runs.join(', ')}`] : [],
    ),
    repeatedIdempotentEffects: repeated(sink.effects, 'idem'),
    // The people of the drill tell the truth: what they have made again did not happen before.
    repeatedNonIdempotentEffects: repeated(sink.effects, 'once'),
    lostSteps,
    stuck: stories.flatMap(({ run }) => (observer.results.has(run) ? [] : [run])),
    unknownOutcomes: stories.reduce((sum, { story }) => sum + story.unknown, 0),
    zombieWritesRefused: countIn(join(dir, 'node.log'), '"run.fenced"'),
  };
}

/** Steps of a run that took effect more than once, under whatever key. */
export function repeated(effects: Effect[], kind: Effect['kind']): string[] {
  const seen = new Map<string, Effect[]>();
  for (const effect of effects) {
    const step = `${effect.run} ${effect.label}`;
    if (effect.kind === kind) seen.set(step, [...(seen.get(step) ?? []), effect]);
  }
  return [...seen].flatMap(([step, all]) =>
    all.length < 2
      ? []
      : [`${step}: ${all.map(({ key, from, at }) => `${key} by ${from} at ${new Date(at).toISOString()}`).join(', ')}`],
  );
}

function countIn(file: string, text: string): number {
  try {
    return readFileSync(file, 'utf8').split(text).length - 1;
  } catch {
    return 0;
  }
}
