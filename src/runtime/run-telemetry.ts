import { toAppError } from '../core/errors.ts';
import type { RunEventOf } from '../core/events.ts';
import type { JournalEntry } from '../core/journal-entry.ts';
import { outcomeOf } from '../core/reasons.ts';
import type { RunContext } from '../core/run-state.ts';
import type { Metrics, SpanEvent, SpanPlace, Telemetry, Tracing } from '../ports/telemetry.ts';
import type { NodeDeps } from './deps.ts';
import type { RunFold } from './fold.ts';
import { MOST_EVENTS, planSpan, rootPlace, runSpan } from './run-span.ts';
import { timeSpent } from './run-time.ts';
import { runEvents } from './span-events.ts';
import { SpanIds } from './span-ids.ts';
import { finishedSince, stepsOf } from './step-log.ts';
import { type CallFacts, type StepFacts, stepFacts, stepSpans, type TracedStep } from './step-spans.ts';
import type { EntryReader } from './steps.ts';

/**
 * Spans and figures of one run, as a projection of its journal: whoever folds the entry that ends a step tells of that
 * step, whoever finds the run ended tells of the run, and whoever takes it from a dead owner tells again what that one
 * may not have got rid of. The ids are the same each time, so a span told twice is one span.
 *
 * Nothing here holds up the run, and nothing that fails here reaches it.
 */

/** How long an owner that died may have kept finished spans to itself, milliseconds: two rounds of the batch exporter. */
const UNSENT_MS = 10_000;

/** The traces of one run, when it is recorded. */
interface RunTrace {
  tracing: Tracing;
  ids: SpanIds;
  root: SpanPlace;
}

export class RunTelemetry {
  /** The trace that the run belongs to, when it is recorded. */
  readonly traceId: string | undefined;
  private readonly deps: NodeDeps;
  private readonly accepted: RunEventOf<'accepted'>;
  private readonly metrics: Metrics | null;
  private readonly trace: RunTrace | null;
  private readonly ids: SpanIds | null;
  /** How entries are read; the owner keeps the newest at hand. */
  read: EntryReader;
  private known: number;
  private path: string;
  private at: number;
  private plan: number | null;
  /** Since this node took it. */
  private events: SpanEvent[] = [];
  /** The claim of this owner. */
  private claim: number | null = null;

  /** @param fold before the claim of this owner, or when the run has ended */
  constructor(deps: NodeDeps, telemetry: Telemetry, accepted: RunEventOf<'accepted'>, fold: RunFold) {
    const { tracing, metrics } = telemetry;
    this.deps = deps;
    this.accepted = accepted;
    this.metrics = metrics;
    this.read = (n) => deps.journal.mustHave(accepted.run, n);
    this.ids = tracing === null ? null : new SpanIds(deps.ids, accepted);
    this.trace = tracing === null || this.ids === null ? null : this.begin(tracing, this.ids, fold.context);
    this.traceId = this.trace?.ids.trace;
    this.known = fold.context.steps;
    this.path = fold.path;
    this.at = fold.protocol.at;
    this.plan = fold.context.plan?.entry ?? null;
  }

  private begin(tracing: Tracing, ids: SpanIds, context: RunContext): RunTrace | null {
    const root = rootPlace(ids, this.deps.ids, this.accepted, context.accepted_at);
    return tracing.sampled(root, ids.above?.sampled ?? null) ? { tracing, ids, root } : null;
  }

  /** What a call carries; undefined when nobody traces here. */
  traceparent(c: string): string | undefined {
    return this.ids?.traceparent(c, this.trace !== null);
  }

  /** Called after each fold with the entry that was folded. */
  folded(entry: JournalEntry, fold: RunFold): void {
    this.guarded(() => this.note(entry, fold));
  }

  private note(entry: JournalEntry, fold: RunFold): void {
    const { context } = fold;
    if (this.metrics !== null) {
      for (const [part, ms] of timeSpent(this.path, Math.max(0, entry.at - this.at), entry)) {
        if (ms > 0) this.metrics.time({ agent: context.agent, part }, ms / 1000);
      }
    }
    this.path = fold.path;
    this.at = entry.at;
    if (this.trace !== null) {
      const happened = runEvents(entry);
      if (happened.length > 0) this.events = [...this.events, ...happened].slice(-MOST_EVENTS);
    }
    const plan = this.plan;
    this.plan = context.plan?.entry ?? null;
    for (const item of finishedSince(context, this.known)) this.tell({ ...item, plan });
    this.known = context.steps;
    if (plan !== null && plan !== this.plan) this.tellPlan(plan, context, entry.at);
  }

  /** This owner's claim, before it is folded. */
  claimed(entry: JournalEntry, fold: RunFold): void {
    const { epoch, released } = fold.protocol;
    this.claim = entry.n;
    const died = epoch >= 0 && !released;
    this.metrics?.claimed({
      agent: this.accepted.agent.name,
      why: epoch < 0 ? 'first' : died ? 'restart' : 'resumed',
    });
    if (died) this.tellAgain(fold.protocol.at);
  }

  /** The run has ended: the last thing that is told of it. */
  ended(fold: RunFold): void {
    this.guarded(() => {
      const { context, protocol } = fold;
      const { end } = context;
      if (end === null) return;
      this.metrics?.run(
        { agent: context.agent, outcome: outcomeOf(end.code), reason: end.code },
        Math.max(0, end.at - context.accepted_at) / 1000,
      );
      if (this.trace === null) return;
      if (context.decision !== null) this.tellOpenStep(context, end.at);
      if (context.plan !== null) this.tellPlan(context.plan.entry, context, end.at);
      // Another owner ended it, and died before it could say so.
      if (this.claim === null) this.tellAgain(protocol.at);
      this.tellRun(this.trace, context);
    });
  }

  private tellRun({ tracing, root }: RunTrace, context: RunContext): void {
    const first = this.claim ?? Number.POSITIVE_INFINITY;
    const own = this.events;
    if (first <= 1) {
      tracing.report(runSpan(root, context, own));
      return;
    }
    this.later(async () => {
      const earlier: SpanEvent[] = [];
      for await (const entry of this.deps.journal.entries(context.run, 1, first - 1)) {
        if (earlier.length < MOST_EVENTS) earlier.push(...runEvents(entry));
      }
      tracing.report(runSpan(root, context, [...earlier, ...own]));
    });
  }

  private tellPlan(entry: number, context: RunContext, end: number): void {
    const { trace } = this;
    if (trace === null) return;
    this.later(async () => {
      const start = entry === 0 ? (context.started_at ?? context.accepted_at) : (await this.read(entry)).at;
      trace.tracing.report(planSpan(trace.ids, context.run, entry, start, end));
    });
  }

  private tell(step: TracedStep): void {
    this.later(async () => {
      const facts = await stepFacts(step, this.read);
      if (facts === null) return;
      if (this.metrics !== null) this.count(facts, this.metrics);
      this.report(facts);
    });
  }

  /** A step that the end of the run cut off. */
  private tellOpenStep(context: RunContext, end: number): void {
    const outcomes = context.calls.flatMap((call) => (call.outcome === undefined ? [] : [call.outcome]));
    const ref = { entry: context.decision ?? 0, outcomes };
    const step = { ref, step: context.steps + 1, plan: context.plan?.entry ?? null };
    this.later(async () => {
      const facts = await stepFacts(step, this.read, end);
      if (facts !== null) this.report(facts);
    });
  }

  /** What was over shortly before the last entry of an owner that died: it may not have told it. */
  private tellAgain(last: number): void {
    if (this.trace === null) return;
    this.later(async () => {
      let plan: number | null = null;
      for await (const { ref, step, context } of stepsOf(this.deps.journal, this.accepted.run)) {
        const before: number | null = plan;
        plan = context.plan?.entry ?? null;
        const over = Math.max(ref.entry, ...ref.outcomes);
        // From there on this owner tells of it.
        if (this.claim !== null && over > this.claim) return;
        if ((await this.read(over)).at < last - UNSENT_MS) continue;
        const inForce = before ?? (plan === 0 ? 0 : null);
        const facts = await stepFacts({ ref, step, plan: inForce }, this.read);
        if (facts !== null) this.report(facts);
        if (inForce !== null && plan !== inForce) this.tellPlan(inForce, context, facts?.end ?? last);
      }
    });
  }

  private report(facts: StepFacts): void {
    if (this.trace === null) return;
    const { tracing, ids } = this.trace;
    for (const span of stepSpans(facts, ids, this.accepted)) tracing.report(span);
  }

  private count(facts: StepFacts, metrics: Metrics): void {
    const agent = this.accepted.agent.name;
    const tools = new Set(facts.calls.map(toolLabel));
    const [tool = 'none'] = tools.size > 1 ? ['several'] : tools;
    metrics.step({ agent, tool, status: facts.status }, (facts.end - facts.start) / 1000);
    for (const { event } of facts.thoughts) {
      const { input_tokens, output_tokens, cost_usd } = event.usage;
      metrics.model(
        { agent, model: this.accepted.agent.model, status: event.type === 'decided' ? 'ok' : 'error' },
        { seconds: event.ms / 1000, input_tokens, output_tokens, cost_usd },
      );
    }
    for (const call of facts.calls) {
      const labels = { agent, tool: toolLabel(call), status: call.status };
      metrics.tool(labels, (call.end - call.start) / 1000, call.error?.code);
    }
  }

  private later(work: () => Promise<void>): void {
    work().catch((thrown: unknown) => this.failed(thrown));
  }

  private guarded(work: () => void): void {
    try {
      work();
    } catch (thrown) {
      this.failed(thrown);
    }
  }

  private failed(thrown: unknown): void {
    const { code, message } = toAppError(thrown);
    if (code === 'closed') return;
    this.deps.log.warn('telemetry.failed', {
      run_id: this.accepted.run,
      message,
      consequence: 'the run goes on; its trace or figures lack something',
    });
  }
}

/** Codes of the gates that a name can fail which no definition holds: models invent names without end. */
const INVENTED: ReadonlySet<string> = new Set([
  'tool_not_listed',
  'unknown_tool',
  'tool_not_known',
  'agent_not_listed',
  'unknown_agent',
]);

function toolLabel(call: CallFacts): string {
  return call.status === 'refused' && INVENTED.has(call.error?.code ?? '') ? 'unknown' : call.tool;
}

/** Null when nobody asked for traces or figures. */
export function telemetryOf(deps: NodeDeps, accepted: RunEventOf<'accepted'>, fold: RunFold): RunTelemetry | null {
  return deps.telemetry === null ? null : new RunTelemetry(deps, deps.telemetry, accepted, fold);
}
