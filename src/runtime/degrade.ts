import { NO_USAGE, type Usage } from '../core/decision.ts';
import type { ErrorInfo } from '../core/errors.ts';
import type { RunEvent, RunEventOf } from '../core/events.ts';
import { type FallbackKind, type FallbackTo, modelOf, wordsOfLink } from '../core/fallback.ts';
import type { JournalEntry } from '../core/journal-entry.ts';
import type { ReasonCode } from '../core/reasons.ts';
import { nextLink } from '../policy/degrade.ts';
import type { CachedAnswer } from './answer-cache.ts';
import type { EffectScope } from './effects.ts';
import { RunFold } from './fold.ts';

/** Where a run that cannot go on as it began looks for what it can fall back on, and tells of it (DEG-1, DEG-2). */

interface Link {
  kind: FallbackKind;
  error: ErrorInfo;
  link: FallbackTo;
}

type Where = Pick<EffectScope, 'deps' | 'accepted' | 'context'>;

export function linkFor({ deps, accepted, context }: Where, kind: FallbackKind, error: ErrorInfo): Link | null {
  const { agent } = accepted;
  if (agent.fallback === undefined) return null;
  const cached = kind === 'model' ? answerBefore({ deps, accepted }) : null;
  const link = nextLink({ agent, context, kind, error, cached });
  return link === null ? null : { kind, error, link };
}

function answerBefore({ deps, accepted }: Pick<EffectScope, 'deps' | 'accepted'>): CachedAnswer | null {
  const { agent } = accepted;
  if (agent.fallback?.cached === undefined) return null;
  const found = deps.answers.find(accepted, deps.clock.now());
  deps.telemetry?.metrics?.answerCache({ agent: agent.name, outcome: found === null ? 'miss' : 'hit' });
  return found;
}

export function tellFallback(
  { accepted, context, log }: Pick<EffectScope, 'accepted' | 'context' | 'log'>,
  fallback: Link & { usage: Usage; model: string; ms: number },
): RunEventOf<'using_fallback'> {
  const { kind, error, link, model } = fallback;
  log.warn('using_fallback', {
    error_kind: kind,
    run: accepted.run,
    step: context.steps + 1,
    code: error.code,
    message: error.message,
    from: model,
    to: wordsOfLink(link),
  });
  return { type: 'using_fallback', ...fallback };
}

/** A limit that the run has reached, or what it goes on with instead of ending there (COST-4). */
export function fallBackOr(scope: EffectScope, limit: RunEventOf<'limit'>): RunEvent[] {
  const { code, detail } = limit;
  const kind = code === 'max_steps' ? 'steps' : 'budget';
  const link = linkFor(scope, kind, { code, message: detail, retryable: false });
  if (link === null) return [limit];
  const model = modelOf(scope.accepted.agent, scope.context);
  return [tellFallback(scope, { ...link, usage: NO_USAGE, model, ms: 0 })];
}

/** Events of one run that are about to be written, and what they are folded on. */
export interface Writing extends Pick<EffectScope, 'deps' | 'accepted' | 'log' | 'read'> {
  fold: RunFold;
}

/** Whether the run may end out of time, or as its calls keep failing, although a person could take it over. */
export function mayNeedPerson({ fold, accepted }: Writing, events: readonly RunEvent[]): boolean {
  if (accepted.agent.fallback?.person === undefined || fold.ended) return false;
  const { calls, failing, limits } = fold.context;
  if (events.some(({ type }) => type === 'deadline')) return true;
  return failing + 1 >= limits.failing_steps && calls.length > 0 && events.some((event) => 'c' in event);
}

/**
 * The events with the person who takes the run over, where it would end without one; as they are where it would not. What
 * they lead to is folded beforehand, on a copy: only the chart knows whether the step is over.
 */
export async function withPerson(writing: Writing, entry: JournalEntry): Promise<RunEvent[]> {
  const { events } = entry;
  const code = endAfter(writing.fold, entry);
  if (code === 'timeout') {
    const { wall_ms } = writing.fold.context.limits;
    const link = personFor(writing, 'time', { code, message: `the run used its ${wall_ms} ms`, retryable: false });
    return link === null ? events : events.map((event) => (event.type === 'deadline' ? link : event));
  }
  const error = code === 'max_retries' ? await failureOf(writing, events) : null;
  const link = error === null ? null : personFor(writing, 'tool', error);
  return link === null ? events : [link, ...events];
}

function endAfter(fold: RunFold, entry: JournalEntry): ReasonCode | null {
  const snapshot = fold.snapshot();
  if (snapshot === null) return null;
  const copy = new RunFold(snapshot);
  copy.fold(entry);
  const { end } = copy.context;
  copy.stop();
  return end?.code ?? null;
}

/** What the last call that failed of the step in progress failed with; null when all that failed were refused. */
async function failureOf({ fold, read }: Writing, events: readonly RunEvent[]): Promise<ErrorInfo | null> {
  const now = events.findLast((event) => errorOf(event) !== null);
  if (now !== undefined) return errorOf(now);
  const failed = fold.context.calls.findLast(({ status }) => status === 'failed');
  if (failed?.outcome === undefined) return null;
  const told = (await read(failed.outcome)).events.findLast((event) => 'c' in event && event.c === failed.c);
  const unknown = { code: 'error', message: `a call of ${failed.tool} failed`, retryable: false };
  return (told === undefined ? null : errorOf(told)) ?? unknown;
}

function errorOf(event: RunEvent): ErrorInfo | null {
  if (event.type === 'call_failed') return event.error;
  if (event.type === 'child_ended') return event.outcome === 'success' ? null : (event.error ?? unspoken(event.run));
  if (event.type !== 'resolved' || event.verdict !== 'fail') return null;
  return { code: 'resolved_failed', message: `by ${event.by}: ${event.why}`, retryable: false };
}

function unspoken(run: string): ErrorInfo {
  return { code: 'error', message: `run ${run}, which was delegated, failed`, retryable: false };
}

function personFor(writing: Writing, kind: FallbackKind, error: ErrorInfo): RunEventOf<'using_fallback'> | null {
  const where = { ...writing, context: writing.fold.context };
  const link = linkFor(where, kind, error);
  const model = modelOf(writing.accepted.agent, where.context);
  return link === null ? null : tellFallback(where, { ...link, usage: NO_USAGE, model, ms: 0 });
}
