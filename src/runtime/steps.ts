import { readPayload } from '../core/approval-wire.ts';
import type { BlobRef } from '../core/blob.ts';
import { type Decision, membersOf } from '../core/decision.ts';
import { AppError, clip, type ErrorInfo } from '../core/errors.ts';
import type { PlannedCall, RunEvent, RunEventOf } from '../core/events.ts';
import { callId, parseCallId } from '../core/ids.ts';
import type { JournalEntry } from '../core/journal-entry.ts';
import type { Json } from '../core/json.ts';
import { redact, redactText } from '../core/redact.ts';
import type { StepSummary } from '../core/result.ts';
import type { RunContext } from '../core/run-state.ts';
import type { StepRef } from '../core/step-ref.ts';
import type { Observation, WindowStep } from '../ports/model.ts';
import type { Journal } from './journal.ts';

/** Finished steps, read back from the entries that hold them. */

const PREVIEW = 200;

/** An event about a call. */
export type Outcome = Extract<RunEvent, { c: string }>;

/** Entry n of the run; at once when it is at hand. */
export type EntryReader = (n: number) => JournalEntry | Promise<JournalEntry>;

/** The reader for a reference with this `from`: the run's own, or one for a run that it continues. */
export function readerAt(
  from: number | undefined,
  own: EntryReader,
  journal: Pick<Journal, 'mustHave'>,
  { run, runs }: Pick<RunContext, 'run' | 'runs'>,
): EntryReader {
  if (from === undefined) return own;
  const earlier = runs[from];
  if (earlier === undefined)
    throw new AppError('journal_corrupt', `run ${run} refers to run ${from} of its ${runs.length}`);
  return (n) => journal.mustHave(earlier, n);
}

interface ReadStep extends WindowStep {
  at: number;
  /** Milliseconds that each call took, by call id. */
  ms: ReadonlyMap<string, number>;
}

export async function readStep(ref: StepRef, read: EntryReader): Promise<ReadStep | null> {
  const entry = await read(ref.entry);
  const base = { entry: ref.entry, at: entry.at, ...(ref.from === undefined ? {} : { earlier: true as const }) };
  const failed = entry.events.find((event) => event.type === 'think_failed');
  if (failed !== undefined) {
    return { ...base, decision: { action: 'think' }, observations: [], error: failed.error, ms: new Map() };
  }
  const decided = entry.events.find((event) => event.type === 'decided');
  if (decided === undefined) return null;
  const outcomes = new Map<string, { event: Outcome; at: number }>();
  /** Arguments that an approver put in the place of those that were decided. */
  const edits = new Map<string, Record<string, Json>>();
  const ms = new Map<string, number>();
  // Of a member that was started again the last end counts, and an entry may hold ends of several.
  const entries = decided.decision.action === 'delegate' ? ref.outcomes.toSorted((a, b) => b - a) : ref.outcomes;
  for (const n of entries) {
    const { at, events } = await read(n);
    for (const event of events) {
      if (event.type === 'approval_decided') {
        const args = editedArgs(event);
        if (args !== undefined) edits.set(event.c, args);
      }
      if (!('c' in event && settles(event)) || outcomes.has(event.c)) continue;
      outcomes.set(event.c, { event, at });
      if ('ms' in event) ms.set(event.c, event.ms);
    }
  }
  const decision = withEdits(decided.decision, ref.entry, edits);
  const observations = askedOf(decision).map(({ tool, plan_step }, index): Observation => {
    const c = callId(ref.entry, index);
    // Call ids of different runs may be the same.
    const shown = ref.from === undefined ? c : `earlier${ref.from + 1}-${c}`;
    const asked = { c: shown, tool, ...(plan_step === undefined ? {} : { plan_step }) };
    const { refused, valid_ms } = decided.calls?.[index] ?? {};
    if (refused !== undefined) return { ...asked, status: 'refused', result: null, error: refused };
    const outcome = outcomes.get(c);
    const seen = { ...asked, ...observed(outcome?.event) };
    if (seen.status !== 'ok' || outcome === undefined) return seen;
    const cached = outcome.event.type === 'call_done' ? outcome.event.cached : undefined;
    const fetched = cached === undefined ? { at: outcome.at } : { at: cached.at, cached: true as const };
    return { ...seen, ...fetched, ...(valid_ms === undefined ? {} : { valid_ms }) };
  });
  return { ...base, decision, observations, ms };
}

/** The decision as it was carried out. */
function withEdits(decision: Decision, entry: number, edits: ReadonlyMap<string, Record<string, Json>>): Decision {
  if (edits.size === 0 || decision.action !== 'tool_call') return decision;
  const calls = decision.calls.map((call, i) => ({ ...call, args: edits.get(callId(entry, i)) ?? call.args }));
  return { ...decision, calls };
}

/** The arguments that an approver put in the place of those that were decided. */
export function editedArgs({ edited, signed }: RunEventOf<'approval_decided'>): Record<string, Json> | undefined {
  return edited !== true || signed === undefined ? undefined : readPayload(signed.payload).edited?.args;
}

/** What a decision asks for, by the names that its calls have in the chart. */
export function askedOf(
  decision: Decision,
): { tool: string; plan_step?: string | undefined; args?: Record<string, Json> }[] {
  switch (decision.action) {
    case 'tool_call':
      return decision.calls;
    case 'delegate':
      return membersOf(decision).map(({ agent, input }) => ({ tool: `agent:${agent}`, args: { input } }));
    case 'ask_human':
      return [{ tool: 'person' }];
    default:
      return [];
  }
}

/** Whether nothing more comes of the call. */
export function settles(event: Outcome): boolean {
  if (event.type === 'resolved') return event.verdict !== 'repeat';
  if (event.type === 'approval_decided') return event.verdict === 'denied';
  return ['call_done', 'call_failed', 'approval_expired', 'child_ended'].includes(event.type);
}

/** What the model sees of a call that this event settled. */
export function observed(event: Outcome | undefined): Pick<Observation, 'status' | 'result' | 'large' | 'error'> {
  const no = (code: string, message: string) => ({
    status: 'refused' as const,
    result: null,
    error: { code, message, retryable: false },
  });
  switch (event?.type) {
    case 'call_done':
      return {
        status: 'ok',
        result: event.result,
        ...(event.blob === undefined ? {} : { large: { bytes: event.blob.bytes } }),
      };
    case 'call_failed':
      return { status: event.error.code === 'unavailable' ? 'unavailable' : 'error', result: null, error: event.error };
    case 'child_ended':
      return event.outcome === 'success'
        ? { status: 'ok', result: event.answer }
        : { status: 'error', result: event.answer, ...(event.error === undefined ? {} : { error: event.error }) };
    case 'resolved':
      return event.verdict === 'done'
        ? { status: 'ok', result: event.result ?? null }
        : { status: 'error', result: null, error: { code: 'failed_by_person', message: event.why, retryable: false } };
    case 'approval_decided':
      return no('approval_denied', `${event.by} said no: ${event.why}`);
    case 'approval_expired':
      return no('approval_timeout', 'nobody approved the call in time');
    default:
      return { status: 'unknown', result: null };
  }
}

/** The step as results and status events show it. */
export async function summarise(ref: StepRef, step: number, read: EntryReader): Promise<StepSummary | null> {
  const whole = await readStep(ref, read);
  if (whole === null) return null;
  const { decision } = whole;
  const { reasoning } = decision;
  return {
    step,
    entry: ref.entry,
    at: whole.at,
    action: whole.error === undefined ? decision.action : 'error',
    ...(reasoning === undefined ? {} : { reasoning: preview(reasoning) }),
    calls: whole.observations.map(({ c, tool, status, result, error }) => ({
      c,
      tool,
      status,
      ms: whole.ms.get(c) ?? 0,
      preview: error === undefined ? preview(result) : clip(redactText(error.message), PREVIEW),
    })),
    ...(whole.error === undefined ? {} : { error: shownError(whole.error) }),
  };
}

/** An error as statuses and results show it: providers and tools wrote its message. */
export function shownError(error: ErrorInfo): ErrorInfo {
  return { ...error, message: clip(redactText(error.message), 2_048) };
}

/** The first characters of a value as JSON text, without secrets; a long text is cut before it is looked through. */
export function preview(value: Json): string {
  if (typeof value === 'string') return clip(redactText(value.slice(0, 4 * PREVIEW)), PREVIEW);
  return clip(JSON.stringify(redact(value)), PREVIEW);
}

/**
 * The result that call `c` brought, from the entry that holds its outcome.
 * @param whole reads one that lies beside the journal; without it, such a result is the beginning of its JSON text
 */
export async function resultOf(
  c: string,
  outcome: number,
  read: EntryReader,
  whole?: (ref: BlobRef) => Promise<Json>,
): Promise<Json> {
  const entry = await read(outcome);
  const event = entry.events.find((one): one is Outcome => 'c' in one && one.c === c && settles(one));
  if (whole !== undefined && event?.type === 'call_done' && event.blob !== undefined) return whole(event.blob);
  return observed(event).result;
}

/** The arguments of a call: those that it was decided with, or what an approver put in their place. */
export async function argumentsOf(
  { c, edited }: { c: string; edited?: number | undefined },
  read: EntryReader,
): Promise<Record<string, Json>> {
  if (edited !== undefined) {
    for (const event of (await read(edited)).events) {
      const args = event.type === 'approval_decided' && event.c === c ? editedArgs(event) : undefined;
      if (args !== undefined) return args;
    }
    throw new AppError('journal_corrupt', `entry ${edited} has no arguments for call ${c}`);
  }
  const { entry, index } = parseCallId(c);
  const decided = (await read(entry)).events.find((event) => event.type === 'decided');
  if (decided?.decision.action !== 'tool_call') return {};
  return decided.decision.calls[index]?.args ?? {};
}

/** A call as policy let it pass. */
export async function plannedOf(c: string, read: EntryReader): Promise<PlannedCall | undefined> {
  const { entry, index } = parseCallId(c);
  return (await read(entry)).events.find((event) => event.type === 'decided')?.calls?.[index];
}
