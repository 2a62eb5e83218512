import { progressOf } from '../../../machines/agent-run/account.ts';
import { isMoment, type Want } from '../../../machines/agent-run/wanted.ts';
import type { TraceStep } from '../../core/decision-trace.ts';
import { clip } from '../../core/errors.ts';
import type { RunEvent, RunEventOf } from '../../core/events.ts';
import { parseCallId } from '../../core/ids.ts';
import type { JournalEntry } from '../../core/journal-entry.ts';
import type { Json } from '../../core/json.ts';
import { redact } from '../../core/redact.ts';
import type { RunContext } from '../../core/run-state.ts';
import { tracePage } from '../../runtime/decision-trace.ts';
import { RunFold } from '../../runtime/fold.ts';
import type { ContextAt, Frame, Moment, RunHead } from '../wire.ts';
import { type CallPeer, describeEvent, peersOf } from './describe.ts';
import { edgesTaken, RUN_CHART_HASH } from './run-chart.ts';
import { WorkLog } from './working.ts';

/**
 * One run, folded from its journal as nodes fold it, with what there was to see at every entry. Contexts share what did
 * not change, so keeping them all costs little.
 */
export class FollowedRun {
  readonly frames: Frame[] = [];
  readonly entries: JournalEntry[] = [];
  readonly steps: TraceStep[] = [];
  private readonly contexts: RunContext[] = [];
  private readonly children: RunHead['children'] = [];
  /** As the page shows it: it never changes. */
  private task: Json | undefined;
  private readonly fold: RunFold;
  private readonly work = new WorkLog();
  private via: string[] = [];
  /** After the last entry. */
  private wants: Want[] = [];
  /** The head as it was made since the last entry. */
  private told: RunHead | null = null;
  /** Contexts without secrets that were shown lately, the last one last: all who look on look at the same ones. */
  private readonly shown = new Map<RunContext, RunContext>();
  /** First entry of the step that began last, and how many steps began before it. */
  private open = { from: 0, steps: 0 };
  private readonly peers: CallPeer;

  constructor() {
    this.fold = new RunFold(undefined, undefined, (event) => this.via.push(...edgesTaken(event)));
    this.peers = (c) => {
      const decided = this.entries[parseCallId(c).entry]?.events.find((event) => event.type === 'decided');
      return (decided === undefined ? undefined : peersOf(decided.decision)(c)) ?? `call ${c}`;
    };
  }

  /** The entry that comes next. */
  get next(): number {
    return this.fold.protocol.n + 1;
  }

  get accepted(): RunEventOf<'accepted'> | undefined {
    return this.entries[0]?.events.find((event) => event.type === 'accepted');
  }

  get ended(): boolean {
    return this.fold.ended;
  }

  /** Folds the next entry. Throws as `RunFold.fold`. */
  push(entry: JournalEntry): Frame {
    this.via = [];
    this.fold.fold(entry);
    this.wants = this.fold.wants();
    this.work.folded(this.wants, entry);
    this.told = null;
    this.entries.push(entry);
    const { context, path, protocol } = this.fold;
    this.contexts.push(context);
    const events = entry.events.flatMap((event) => describeEvent(event, this.peers));
    for (const event of entry.events) {
      if (event.type !== 'delegated') continue;
      const agent = this.peers(event.c).replace(/^agent:/, '');
      this.children.push({ run: event.run, c: event.c, agent });
    }
    const frame: Frame = {
      n: entry.n,
      at: entry.at,
      state: path,
      since: protocol.since,
      via: this.via,
      events,
      moments: momentsOf(this.wants),
      cost_usd: context.cost_usd,
      step: context.steps,
      failed: events.some(({ tone }) => tone === 'bad'),
    };
    this.frames.push(frame);
    return frame;
  }

  /** Brings `steps` up to the last entry. @returns how many steps at the beginning are as they were */
  async updateSteps(): Promise<number> {
    const { accepted } = this;
    if (accepted === undefined) return this.steps.length;
    const { from, steps } = this.open;
    const fresh: TraceStep[] = [];
    let at: { from: number; step: number } | null = { from, step: steps };
    while (at !== null) {
      const page = await tracePage(this.fold, accepted, entriesFrom(this.entries, at.from), at.step);
      fresh.push(...page.steps);
      at = page.next;
    }
    this.steps.splice(steps, this.steps.length, ...fresh);
    const last = this.steps.at(-1);
    const before = this.steps.at(-2);
    if (last !== undefined) this.open = { from: this.beginOf((before?.entry ?? -1) + 1), steps: this.steps.length - 1 };
    return steps;
  }

  /** The first entry from here on that belongs to a step. */
  private beginOf(from: number): number {
    for (let n = from; n < this.entries.length; n++) if (this.entries[n]?.events.some(beginsStep)) return n;
    return from;
  }

  contextAt(n: number): ContextAt | null {
    const context = this.contexts[n];
    if (context === undefined) return null;
    const before = this.contexts[n - 1];
    return {
      n,
      state: this.frames[n]?.state ?? '',
      context: this.shownContext(context),
      before: before === undefined ? null : this.shownContext(before),
    };
  }

  private shownContext(context: RunContext): RunContext {
    const shown = this.shown.get(context) ?? (redact(context) as RunContext);
    this.shown.delete(context);
    this.shown.set(context, shown);
    for (const oldest of this.shown.keys()) {
      if (this.shown.size <= MAX_CONTEXTS) break;
      this.shown.delete(oldest);
    }
    return shown;
  }

  /** Made once for all who look, until the next entry. */
  head(reading: boolean): RunHead | null {
    const { accepted } = this;
    if (accepted === undefined) return null;
    if (this.told?.reading !== reading) this.told = this.headOf(accepted, reading);
    return this.told;
  }

  private headOf(accepted: RunEventOf<'accepted'>, reading: boolean): RunHead {
    const { fold } = this;
    const { context, protocol, path } = fold;
    const { end } = context;
    const working = this.work.now(fold, this.wants, accepted.agent);
    return {
      run: context.run,
      agent: context.agent,
      agent_version: context.agent_version,
      user: context.user,
      session_id: context.session_id ?? null,
      parent: accepted.parent?.run ?? null,
      children: this.children,
      continues: context.runs[0] ?? null,
      task: this.shownTask(accepted),
      limits: context.limits,
      accepted_at: context.accepted_at,
      started_at: context.started_at,
      ended_at: end?.at ?? null,
      n: protocol.n,
      reading,
      state: path,
      since: protocol.since,
      node: protocol.released ? null : protocol.node,
      progress: progressOf(context),
      totals: {
        steps: context.steps,
        tool_calls: context.tool_calls,
        input_tokens: context.input_tokens,
        output_tokens: context.output_tokens,
        cost_usd: context.cost_usd,
        think_ms: context.think_ms,
        tool_ms: context.tool_ms,
      },
      end:
        end === null
          ? null
          : {
              code: end.code,
              detail: text(end.detail),
              error: end.error === undefined ? null : text(end.error.message),
            },
      answer: this.answer(),
      // A call that is made again is under way, or will be: it stands there.
      moments: momentsOf(this.wants).filter(({ kind }) => kind !== 'retry' || working.length === 0),
      working,
      asks: this.asks(),
      quarantine: protocol.quarantine === null ? null : text(protocol.quarantine.error.message),
      pause: protocol.pause === null ? null : { ...protocol.pause, scope: protocol.pause.scope ?? null },
      chart: RUN_CHART_HASH,
    };
  }

  private shownTask({ task: { input, plan, context } }: RunEventOf<'accepted'>): Json {
    this.task ??= bounded(redact({ input, plan, context }));
    return this.task;
  }

  private asks(): RunHead['asks'] {
    const { context } = this.fold;
    return context.calls
      .filter(({ status }) => status === 'person')
      .map(({ c, tool }) => {
        const { entry } = parseCallId(c);
        const decided = this.entries[entry]?.events.find((event) => event.type === 'decided');
        const question = decided?.decision.action === 'ask_human' ? text(decided.decision.question, 4_096) : '';
        return { c, tool, unknown: context.unknown.includes(c), question };
      });
  }

  private answer(): Json | null {
    const { context } = this.fold;
    if (context.end?.code !== 'completed' || context.answer === null) return null;
    const decided = this.entries[context.answer]?.events.find((event) => event.type === 'decided');
    if (decided?.decision.action !== 'final_answer') return null;
    return bounded(redact(decided.decision.answer));
  }

  stop(): void {
    this.fold.stop();
  }
}

const MAX_SHOWN = 64 * 1024;
/** A copy without secrets shares nothing with the next one: only a few are kept. */
const MAX_CONTEXTS = 16;

/** A value that fits the page; of a larger one the beginning of its text. */
function bounded(value: unknown): Json {
  const json = JSON.stringify(value) ?? 'null';
  return json.length <= MAX_SHOWN ? (JSON.parse(json) as Json) : clip(json, MAX_SHOWN);
}

function text(value: string, max = 2_048): string {
  return clip(String(redact(value)), max);
}

function beginsStep(event: RunEvent): boolean {
  const { type } = event;
  if (type === 'using_fallback') return event.kind !== 'tool' && event.kind !== 'time';
  return type === 'decided' || type === 'think_failed' || type === 'think_retry';
}

async function* entriesFrom(entries: JournalEntry[], from: number): AsyncGenerator<JournalEntry> {
  for (let n = from; n < entries.length; n++) yield entries[n] as JournalEntry;
}

const MOMENTS: Record<string, string> = {
  timer: 'goes on by itself',
  deadline: 'its time is over',
  retry: 'made again',
  unknown: 'counts as unknown',
  approval_expiry: 'counts as not approved',
};

function momentsOf(wants: Want[]): Moment[] {
  return wants.filter(isMoment).map(({ kind, at }) => ({ kind, at, text: MOMENTS[kind] ?? kind }));
}
