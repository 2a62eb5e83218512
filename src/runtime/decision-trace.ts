import { type Decision, membersOf, type Usage } from '../core/decision.ts';
import type { TraceCall, TraceEvent, TracePage, TraceStep } from '../core/decision-trace.ts';
import { clip, type ErrorInfo } from '../core/errors.ts';
import type { RunEvent, RunEventOf } from '../core/events.ts';
import { wordsOfLink } from '../core/fallback.ts';
import { callId } from '../core/ids.ts';
import type { JournalEntry } from '../core/journal-entry.ts';
import { byteLength, type Json } from '../core/json.ts';
import { outcomeOf } from '../core/reasons.ts';
import { redact } from '../core/redact.ts';
import type { ObservedStatus } from '../core/result.ts';
import type { RunFold } from './fold.ts';
import { askedOf, editedArgs, type Outcome, observed, preview, settles } from './steps.ts';
import { warningsOf } from './warnings.ts';

/**
 * The decision trace from the entries of a journal, in one pass and in bounded memory: a step begins with a decision
 * and is complete when the next one begins, so a page may end before any decision.
 */

interface OpenStep {
  entry: number;
  at: number;
  decided: RunEventOf<'decided'> | RunEventOf<'think_failed'>;
  retries: RunEventOf<'think_retry' | 'using_fallback'>[];
  made: Map<string, number>;
  outcomes: Map<string, { event: Outcome; at: number }>;
  children: Map<string, string>;
  warnings: string[];
}

type Accepted = RunEventOf<'accepted'>;

/** Most events that a trace shows between two decisions, and most warnings of one step. */
const MAX_EVENTS_A_STEP = 500;
const MAX_WARNINGS = 50;

class TraceBuilder {
  private readonly accepted: Accepted;
  private step: number;
  private open: OpenStep | null = null;
  /** Model calls that failed for a passing reason: part of the step that comes next. */
  private retries: RunEventOf<'think_retry' | 'using_fallback'>[] = [];
  /** Events since the last step began. */
  private seen = 0;

  /** @param step steps before the first entry that will be pushed */
  constructor(accepted: Accepted, step: number) {
    this.accepted = accepted;
    this.step = step;
  }

  /** Steps that have begun. */
  get begun(): number {
    return this.step;
  }

  /** Whether the entry is the first of a step. */
  begins(entry: JournalEntry): boolean {
    return this.retries.length === 0 && entry.events.some((event) => isStep(event) || tellsOfAsking(event));
  }

  /** What the entry tells beside steps. An entry that begins a step comes after `finish` of the one before. */
  push(entry: JournalEntry): TraceEvent[] {
    const events: TraceEvent[] = [];
    for (const event of entry.events) {
      if (tellsOfAsking(event)) this.retries.push(event);
      else if (isStep(event)) {
        this.step++;
        this.seen = 0;
        this.open = {
          entry: entry.n,
          at: entry.at,
          decided: event,
          retries: this.retries,
          made: new Map(),
          outcomes: new Map(),
          children: new Map(),
          warnings: [...warningsOf(event), ...this.retries.map(wordsOfAsking)],
        };
        this.retries = [];
      } else if ('c' in event) {
        this.note(event, entry.at);
      } else if (++this.seen <= MAX_EVENTS_A_STEP) {
        events.push(this.between(entry, event));
      }
    }
    return events;
  }

  /** The step that began last, as far as it is known; null when there is none. */
  finish(): TraceStep | null {
    const open = this.open;
    this.open = null;
    return open === null ? null : traceStep(open, this.step, this.accepted);
  }

  private between({ n, at }: JournalEntry, event: RunEvent): TraceEvent {
    if (event.type === 'claimed') this.open?.warnings.push(`node ${event.node} took the run during this step`);
    return clean({
      timestamp: iso(at),
      entry: n,
      after_step: this.step,
      type: event.type,
      ...('node' in event ? { node: event.node } : {}),
      ...('by' in event ? { by: event.by } : {}),
      text: clip(textOf(event), 1024),
    });
  }

  /** A member of a team: what came of the run before is no outcome of the call. */
  private startedAgain(open: OpenStep, { c }: RunEventOf<'delegated'>): void {
    const before = open.outcomes.get(c)?.event;
    const said = before?.type === 'child_ended' && before.error !== undefined ? `: ${before.error.message}` : '';
    open.warnings.push(`call ${c} was started again after run ${open.children.get(c)} ended${said}`);
    open.made.set(c, (open.made.get(c) ?? 1) + 1);
    open.outcomes.delete(c);
  }

  private note(event: Outcome, at: number): void {
    const { open } = this;
    if (open === null) return;
    // Of a member that was started again the last end counts.
    if (settles(event) && (event.type === 'child_ended' || !open.outcomes.has(event.c))) {
      open.outcomes.set(event.c, { event, at });
    }
    switch (event.type) {
      case 'call_retry':
        open.made.set(event.c, (open.made.get(event.c) ?? 1) + 1);
        open.warnings.push(`call ${event.c} was made again after ${event.error.code}: ${event.error.message}`);
        break;
      case 'outcome_unknown':
        open.warnings.push(`nobody knew whether call ${event.c} took effect: ${event.error.message}`);
        break;
      case 'resolved':
        if (event.verdict === 'repeat') open.made.set(event.c, (open.made.get(event.c) ?? 1) + 1);
        open.warnings.push(`${event.by} said of call ${event.c}: ${event.verdict} ${event.why}`.trimEnd());
        break;
      case 'approval_decided':
        open.warnings.push(
          `call ${event.c} was ${event.verdict} by ${event.by}${editOf(event)} ${event.why}`.trimEnd(),
        );
        break;
      case 'delegated':
        if (open.children.has(event.c)) this.startedAgain(open, event);
        open.children.set(event.c, event.run);
        break;
      default:
    }
  }
}

function editOf(event: RunEventOf<'approval_decided'>): string {
  const args = editedArgs(event);
  return args === undefined ? '' : `, with the arguments ${preview(args)}`;
}

/** A model call that led to no step. */
function tellsOfAsking(event: RunEvent): event is RunEventOf<'think_retry' | 'using_fallback'> {
  return (
    event.type === 'think_retry' ||
    (event.type === 'using_fallback' && event.link.to !== 'cached' && event.link.to !== 'person')
  );
}

function wordsOfAsking(event: RunEventOf<'think_retry' | 'using_fallback'>): string {
  const { error } = event;
  if (event.type === 'think_retry') return `the model was asked again after ${error.code}: ${error.message}`;
  return `the run fell back on ${wordsOfLink(event.link)} after ${error.code}: ${error.message}`;
}

/** The chart counts the same events as steps. */
function isStep(event: RunEvent): event is OpenStep['decided'] {
  return event.type === 'decided' || event.type === 'think_failed';
}

function textOf(event: RunEvent): string {
  switch (event.type) {
    case 'limit':
      return `${event.code}: ${event.detail}`;
    case 'quarantined':
      return `entry ${event.entry} cannot be folded: ${event.error.message}`;
    case 'loop':
      return event.detail;
    case 'using_fallback':
      return `${wordsOfLink(event.link)} after ${event.error.code}: ${event.error.message}`;
    default:
      return 'why' in event ? event.why : '';
  }
}

function traceStep(open: OpenStep, step: number, accepted: Accepted): TraceStep {
  const { decided } = open;
  const decision = decided.type === 'decided' ? decided.decision : null;
  const calls = decided.type === 'decided' ? callsOf(open, decided) : [];
  const failed = calls.find((call) => call.error !== undefined);
  const thought = decision?.reasoning ?? null;
  const planned = calls[0]?.plan_step;
  const reasoning =
    (calls.length === 1 ? accepted.task.plan?.steps.find((one) => one.id === planned)?.reasoning : undefined) ??
    thought;
  return clean({
    step,
    entry: open.entry,
    timestamp: iso(open.at),
    agent_id: accepted.agent.name,
    session_id: accepted.task.session_id ?? null,
    model: decided.model,
    thought,
    action: {
      type: decision?.action ?? 'error',
      tool: calls.length === 1 ? (calls[0]?.tool ?? null) : null,
      args: decision === null ? null : argsOf(decision),
      reasoning,
    },
    observation: observationOf(open, calls),
    calls,
    think_ms: [...open.retries, decided].reduce((sum, one) => sum + one.ms, 0),
    think_attempts: open.retries.length + 1,
    cost: costOf([...open.retries, decided].map((one) => one.usage)),
    warnings: open.warnings.slice(-MAX_WARNINGS).map((text) => clip(text, 1024)),
    error: decided.type === 'think_failed' ? decided.error : (failed?.error ?? null),
  });
}

function callsOf(open: OpenStep, decided: RunEventOf<'decided'>): TraceCall[] {
  const asked = askedOf(decided.decision);
  return asked.map(({ tool, plan_step, args }, i): TraceCall => {
    const c = callId(open.entry, i);
    const refused = decided.calls?.[i]?.refused;
    const outcome = open.outcomes.get(c);
    const child = open.children.get(c);
    const seen = seenOf(refused, outcome?.event);
    const { error } = seen;
    return {
      c,
      tool,
      ...(plan_step === undefined ? {} : { plan_step }),
      ...(asked.length === 1 || args === undefined ? {} : { args }),
      attempts: refused === undefined ? (open.made.get(c) ?? 1) : 0,
      observation: {
        status: seen.status,
        duration_ms: outcome === undefined ? 0 : durationOf(outcome, open.at),
        preview: error === undefined ? preview(seen.result) : clip(error.message, 200),
        ...cachedAt(outcome?.event),
      },
      ...(child === undefined ? {} : { child_run: child }),
      ...(error === undefined ? {} : { error: { ...error, message: clip(error.message, 512) } }),
    };
  });
}

function cachedAt(event: Outcome | undefined): { cached_at?: string } {
  return event?.type === 'call_done' && event.cached !== undefined ? { cached_at: iso(event.cached.at) } : {};
}

function seenOf(
  refused: ErrorInfo | undefined,
  outcome: Outcome | undefined,
): { status: ObservedStatus; result: Json; error?: ErrorInfo | undefined } {
  if (refused !== undefined) return { status: 'refused', result: null, error: refused };
  return outcome === undefined ? { status: 'open', result: null } : observed(outcome);
}

function durationOf({ event, at }: { event: Outcome; at: number }, decidedAt: number): number {
  return 'ms' in event ? event.ms : Math.max(0, at - decidedAt);
}

const WORST: readonly ObservedStatus[] = ['unknown', 'error', 'unavailable', 'refused', 'open', 'ok'];

function observationOf(open: OpenStep, calls: TraceCall[]): TraceStep['observation'] {
  if (open.decided.type === 'think_failed') return { status: 'error', duration_ms: 0 };
  const status = WORST.find((one) => calls.some((call) => call.observation.status === one)) ?? 'ok';
  if (calls.length === 1) return { status, duration_ms: calls[0]?.observation.duration_ms ?? 0 };
  const last = Math.max(open.at, ...[...open.outcomes.values()].map((outcome) => outcome.at));
  return { status, duration_ms: last - open.at };
}

/** What the action was given; null for several calls, which have theirs each. */
function argsOf(decision: Decision): Json {
  switch (decision.action) {
    case 'tool_call':
      return decision.calls.length === 1 ? (decision.calls[0]?.args ?? null) : null;
    case 'delegate': {
      const [first, ...others] = membersOf(decision);
      return others.length === 0 ? (first?.input ?? null) : null;
    }
    case 'ask_human':
      return { question: decision.question };
    case 'final_answer':
      return decision.answer;
    case 'plan':
      return decision.plan as unknown as Json;
    case 'review':
      return { verdict: decision.verdict, comment: decision.comment ?? '' };
    case 'think':
      return null;
  }
}

function costOf(usages: Usage[]): TraceStep['cost'] {
  const sum = (of: (usage: Usage) => number) => usages.reduce((total, usage) => total + of(usage), 0);
  return {
    input_tokens: sum((usage) => usage.input_tokens),
    output_tokens: sum((usage) => usage.output_tokens),
    estimated_cost: sum((usage) => usage.cost_usd),
  };
}

function iso(at: number): string {
  return new Date(at).toISOString();
}

function clean<T>(value: T): T {
  return redact(value) as T;
}

/** Where the run stands, and what it used so far. */
function traceHead(fold: RunFold): TracePage['head'] {
  const { context, path, protocol } = fold;
  const { end } = context;
  return {
    v: 1,
    run: context.run,
    agent_id: context.agent,
    agent_version: context.agent_version,
    user: context.user,
    session_id: context.session_id ?? null,
    accepted_at: iso(context.accepted_at),
    totals: {
      steps: context.steps,
      tool_calls: context.tool_calls,
      input_tokens: context.input_tokens,
      output_tokens: context.output_tokens,
      estimated_cost: context.cost_usd,
      think_ms: context.think_ms,
      tool_ms: context.tool_ms,
      duration_ms: Math.max(0, (end?.at ?? protocol.at) - context.accepted_at),
    },
    outcome: {
      state: path,
      status: end === null ? 'running' : end.code === 'completed' ? 'completed' : 'failed',
      code: end?.code ?? null,
      outcome: end === null ? null : outcomeOf(end.code),
      ended_at: end === null ? null : iso(end.at),
      error: end?.error === undefined ? null : clean(end.error),
    },
  };
}

/** Bytes after which a page ends; with the largest step that there can be an answer stays below 1 MB. */
const PAGE_BYTES = 256 * 1024;

/**
 * Steps and events from an entry on; the page ends where a step begins.
 * @param step steps before that entry: `next` of the page before
 */
export async function tracePage(
  fold: RunFold,
  accepted: Accepted,
  entries: AsyncIterable<JournalEntry>,
  step: number,
): Promise<TracePage> {
  const builder = new TraceBuilder(accepted, step);
  const steps: TraceStep[] = [];
  const events: TraceEvent[] = [];
  const head = traceHead(fold);
  let bytes = 0;
  const add = (step: TraceStep | null) => {
    if (step === null) return;
    steps.push(step);
    bytes += byteLength(JSON.stringify(step));
  };
  for await (const entry of entries) {
    if (builder.begins(entry)) {
      add(builder.finish());
      if (bytes > PAGE_BYTES) return { head, steps, events, next: { from: entry.n, step: builder.begun } };
    }
    const more = builder.push(entry);
    events.push(...more);
    bytes += byteLength(JSON.stringify(more));
  }
  add(builder.finish());
  return { head, steps, events, next: null };
}
