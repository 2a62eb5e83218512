import type { StepSummary } from '../core/result.ts';
import type { RunContext } from '../core/run-state.ts';
import { WINDOW_STEPS } from '../core/run-state.ts';
import type { StepRef } from '../core/step-ref.ts';
import { RunFold } from './fold.ts';
import type { Journal } from './journal.ts';
import { newestOf } from './step-pages.ts';
import { type EntryReader, summarise } from './steps.ts';

/** Steps that a result shows; earlier ones stand in the trace only. */
export const RESULT_STEPS = 50;

interface Numbered {
  ref: StepRef;
  step: number;
  /** Made once: status and result show the same. */
  summary?: Promise<StepSummary | null>;
}

/** The finished steps of one run: those that nobody was told of yet, and the last ones for its result. */
export class StepLog {
  private readonly run: string;
  private readonly journal: Journal;
  private readonly read: EntryReader;
  private known = 0;
  private untold: Numbered[] = [];
  private returned: StepSummary[] = [];
  private last: Numbered[] = [];

  /** @param read how the run's entries are read; from the journal by default */
  constructor(run: string, journal: Journal, read: EntryReader = (n) => journal.mustHave(run, n)) {
    this.run = run;
    this.journal = journal;
    this.read = read;
  }

  /** Steps up to this one were finished before this node took the run. */
  resumeAt(steps: number): void {
    this.known = steps;
  }

  /** Called after every fold. */
  note(context: RunContext): void {
    const items = finishedSince(context, this.known);
    if (items.length === 0) return;
    this.known = context.steps;
    this.untold.push(...items);
    this.last.push(...items);
    if (this.last.length > 2 * RESULT_STEPS) this.last = this.last.slice(-RESULT_STEPS);
  }

  /** Finished steps since the last time; each is told once. */
  async take(): Promise<StepSummary[]> {
    const items = this.untold;
    this.untold = [];
    const before = this.returned;
    this.returned = [];
    return [...before, ...(await this.summaries(items))];
  }

  /** Gives back what was taken and could not be told: the run ended meanwhile, and its ending tells the rest. */
  untake(steps: StepSummary[]): void {
    this.returned = [...steps, ...this.returned];
  }

  /** The last steps, up to RESULT_STEPS and as many as a result takes, whoever made them. */
  async forResult(context: RunContext): Promise<StepSummary[]> {
    const wanted = Math.min(context.steps, RESULT_STEPS);
    if (this.last.length < wanted) this.last = await this.reread();
    return newestOf(await this.summaries(this.last.slice(-wanted)));
  }

  private async summaries(items: Numbered[]): Promise<StepSummary[]> {
    for (const item of items) item.summary ??= summarise(item.ref, item.step, this.read);
    const all = await Promise.all(items.map((item) => item.summary));
    return all.filter((summary) => summary !== null && summary !== undefined);
  }

  /** A run that was taken over: its steps are found by folding its journal again. */
  private async reread(): Promise<Numbered[]> {
    const found: Numbered[] = [];
    for await (const { ref, step } of stepsOf(this.journal, this.run)) {
      found.push({ ref, step });
      if (found.length > 2 * RESULT_STEPS) found.splice(0, RESULT_STEPS);
    }
    return found;
  }
}

/** The steps that are finished beyond the first `known` ones, as far as the window holds them. */
export function finishedSince(context: RunContext, known: number): { ref: StepRef; step: number }[] {
  const finished = Math.min(context.steps - known, WINDOW_STEPS);
  if (finished <= 0) return [];
  const refs = context.window.slice(-finished);
  return refs.map((ref, i) => ({ ref, step: context.steps - refs.length + i + 1 }));
}

/** Every step of a run, oldest first, found by folding its journal; with the state of the run when it was over. */
export async function* stepsOf(journal: Journal, run: string): AsyncGenerator<Numbered & { context: RunContext }> {
  const fold = new RunFold();
  let known = 0;
  for await (const entry of journal.entries(run)) {
    fold.fold(entry);
    const { context } = fold;
    for (const item of finishedSince(context, known)) yield { ...item, context };
    known = context.steps;
  }
  fold.stop();
}
