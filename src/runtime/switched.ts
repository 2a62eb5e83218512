import { AppError } from '../core/errors.ts';
import type { RunEvent, RunEventOf } from '../core/events.ts';
import { modelOf } from '../core/fallback.ts';
import { modelScope, scopesOfRun, toolScope } from '../core/switch-scope.ts';
import { type Standing, type SwitchVerdict, switchEvent } from '../policy/switches.ts';
import type { RunFold } from './fold.ts';
import type { Switches } from './switches.ts';

/** What switches mean to runs, calls and tasks. */

/** All scopes that hold the run. */
export function scopesOf({ run, agent, user, ancestors, continues }: RunEventOf<'accepted'>): string[] {
  const above = [...ancestors, ...(continues?.runs ?? [])];
  return scopesOfRun({ run, agent: agent.name, version: agent.version, user, above });
}

/** Whether a change of switches may concern a run; those over tools and models may concern any. */
export function concerns(changed: ReadonlySet<string> | null, scopes: readonly string[]): boolean {
  if (changed === null || scopes.some((scope) => changed.has(scope))) return true;
  return [...changed].some((scope) => scope.startsWith('tool:') || scope.startsWith('model:'));
}

/** Switches over the run, and over the tools and the model that it wants to use now. */
export function heldBy(switches: Switches, fold: RunFold, accepted: RunEventOf<'accepted'>): SwitchVerdict[] {
  if (fold.ended) return [];
  const uses = fold.wants().flatMap((want) => {
    if (want.kind === 'think') return [modelScope(modelOf(accepted.agent, fold.context))];
    return want.kind === 'call' || want.kind === 'retry' ? [toolScope(want.call.tool)] : [];
  });
  const own = switches.over(scopesOf(accepted), fold.context.accepted_at);
  return [...(own === null ? [] : [own]), ...[...new Set(uses)].flatMap((scope) => switches.over([scope]) ?? [])];
}

/** What has to happen to the run now; null when nothing has to. */
export function orderFor(switches: Switches, fold: RunFold, scopes: string[]): ReturnType<typeof switchEvent> {
  const verdict = switches.over(scopes, fold.context.accepted_at);
  return switchEvent(verdict, standingOf(fold), switches.last);
}

function standingOf({ path, context, protocol }: RunFold): Standing {
  const pausedBy = protocol.pause?.scope ?? null;
  if (path === 'waiting.paused') return { hold: 'paused', pausedBy };
  if (context.hold === null) return { hold: 'none', pausedBy: null };
  return { hold: context.hold === 'pause' ? 'pausing' : 'draining', pausedBy };
}

/** A switch has ended or paused a run, if the event says so. */
export function countHit(switches: Switches, event: RunEvent): void {
  if ('scope' in event && event.scope !== undefined && event.type !== 'resume') switches.hit(event.scope, 'runs');
}

/** What is switched off cannot be had, for now: whoever wanted it goes on without. */
export function switchedOff(what: string, { scope, by, why, at }: SwitchVerdict): AppError {
  return new AppError('unavailable', `${what} is switched off: ${told({ scope, by, why, at })}`, { retryable: true });
}

/** A task that is refused, as its scope was killed. */
export function killed(what: string, verdict: SwitchVerdict): AppError {
  const text = `${what} was killed: ${told(verdict)}. An operator lifts it: proctor revive ${verdict.scope}`;
  return new AppError('killed', text);
}

function told({ scope, by, why, at }: Pick<SwitchVerdict, 'scope' | 'by' | 'why' | 'at'>): string {
  return `switch ${scope}, by ${by} at ${new Date(at).toISOString()}: ${why || 'no reason given'}`;
}
