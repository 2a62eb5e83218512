import { NO_USAGE, type Usage } from '../core/decision.ts';
import type { ErrorInfo } from '../core/errors.ts';
import type { RunEvent, RunEventOf } from '../core/events.ts';
import { type FallbackKind, type FallbackTo, modelOf, wordsOfLink } from '../core/fallback.ts';
import { nextLink } from '../policy/degrade.ts';
import type { CachedAnswer } from './answer-cache.ts';
import type { EffectScope } from './effects.ts';

/** Where a run that cannot go on as it began looks for what it can fall back on, and tells of it (DEG-1, DEG-2). */

interface Link {
  kind: FallbackKind;
  error: ErrorInfo;
  link: FallbackTo;
}

export function linkFor({ deps, accepted, context }: EffectScope, kind: FallbackKind, error: ErrorInfo): Link | null {
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
  { accepted, context, log }: EffectScope,
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
