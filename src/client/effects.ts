import { type Effect, effectsIn } from '../core/effect-report.ts';
import type { JournalEntry } from '../core/journal-entry.ts';
import type { Json } from '../core/json.ts';
import { redact } from '../core/redact.ts';

/** What a run, and all that it delegated to, did in the world; for people, so without secrets. */

export interface ReportedEffect extends Omit<Effect, 'args' | 'blob'> {
  run: string;
  agent: string;
  args: Json;
}

export interface EffectReport {
  run: string;
  /** False: the run, or one below it, is still at work. */
  ended: boolean;
  /** In the order in which they were decided. */
  effects: ReportedEffect[];
}

/** Most runs of one report. */
const MAX_RUNS = 1_000;

export interface EffectSource {
  journal(run: string): AsyncIterable<JournalEntry>;
  run(run: string): Promise<{ status: { agent: string; phase: string } }>;
}

export async function effectReport(source: EffectSource, first: string): Promise<EffectReport> {
  const runs = [first];
  const effects: ReportedEffect[] = [];
  let ended = true;
  // Grows while it is gone through.
  for (const run of runs) {
    const { status } = await source.run(run);
    const over = status.phase === 'complete';
    ended &&= over;
    const found = await effectsIn(source.journal(run), over);
    for (const { blob: _beside, args, result, ...effect } of found.effects) {
      const said = { args, ...(result === undefined ? {} : { result }) };
      effects.push(redact({ run, agent: status.agent, ...effect, ...said }) as ReportedEffect);
    }
    for (const child of found.children) if (!runs.includes(child) && runs.length < MAX_RUNS) runs.push(child);
  }
  effects.sort((a, b) => a.decided_at - b.decided_at);
  return { run: first, ended, effects };
}
