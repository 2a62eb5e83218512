import type { Allowance } from '../core/agent.ts';
import { type Member, membersOf } from '../core/decision.ts';
import { AppError } from '../core/errors.ts';
import type { RunEvent, RunEventOf } from '../core/events.ts';
import { parseCallId, runIdOfChild } from '../core/ids.ts';
import type { JournalEntry } from '../core/journal-entry.ts';
import type { Limits } from '../core/limits.ts';
import type { Taint } from '../core/policy.ts';
import type { RunCall, RunContext } from '../core/run-state.ts';
import { agentScope } from '../core/switch-scope.ts';
import { Task } from '../core/task.ts';
import { linkOf } from '../policy/loops/delegation.ts';
import { shareOf } from '../policy/share.ts';
import type { NodeDeps } from './deps.ts';
import type { EffectScope, WantOf } from './effects.ts';
import { activationSubject, publishActivation, writeEntryZero } from './starting.ts';
import { switchedOff } from './switched.ts';

/** The run that a call delegates to; `entry` holds the decision. One that is started again is another run. */
export function childOf(
  deps: NodeDeps,
  run: string,
  call: Pick<RunCall, 'c' | 'attempt'>,
  entry: JournalEntry,
): string {
  const again = call.attempt === undefined ? [] : [String(call.attempt)];
  return runIdOfChild(entry.at, deps.ids.hash(run, call.c, ...again));
}

/** Name of the message that tells a parent of the end of a run that it started. */
export function childMessageId({ c, attempt }: { c: string; attempt?: number | undefined }): string {
  return attempt === undefined ? c : `${c}-again-${attempt}`;
}

/** What a run that this one starts is allowed at most, the nearest first. */
export function allowancesBelow({ agent, above = [] }: RunEventOf<'accepted'>): Allowance[] {
  return [{ agent: agent.name, tools: agent.tools }, ...above];
}

/** What the run has read from outside, as another run is told of it. */
export function taintFrom({ taint, run }: RunContext): Taint | undefined {
  return taint === undefined ? undefined : { ...taint, run: taint.run ?? run };
}

/**
 * Starts a run for another agent. Its id follows from the parent's call, so that doing it again after a crash starts
 * nothing new; its result comes back through the parent's inbox. It has no tool that a run above it did not have, and
 * its share of what the limits of the parent leave.
 */
export async function delegate(scope: EffectScope, want: WantOf<'delegate'>): Promise<RunEvent[]> {
  const { deps, context, accepted } = scope;
  const { c, attempt } = want.call;
  const entry = await scope.read(parseCallId(c).entry);
  const member = memberOf(entry, c);
  if (member === null) return [];
  const run = childOf(deps, context.run, want.call, entry);
  const failed = (error: AppError) => notStarted(deps, c, run, error);
  const agent = await deps.agents.find(member.agent);
  if (agent === undefined) {
    return failed(new AppError('unknown_agent', `agent ${member.agent} is not defined any more`, { retryable: true }));
  }
  if (scope.permit(null) !== 'go') return [];
  const off = deps.switches.over([agentScope(agent.name), agentScope(agent.name, agent.version)]);
  if (off?.mode === 'kill') {
    deps.switches.hit(off.scope, 'tasks');
    return failed(switchedOff(`agent ${agent.name}`, off));
  }
  const held = await limitsAtWork(deps, context);
  const share = shareOf({ agent: agent.limits, asked: member.limits, context, held, now: deps.clock.now() });
  if ('code' in share) return failed(new AppError(share.code, share.detail));
  const birth = {
    run,
    agent,
    user: accepted.user,
    task: Task.parse({
      input: member.input,
      priority: accepted.task.priority,
      plan: member.plan,
      limits: member.limits,
    }),
    limits: share,
    parent: {
      run: context.run,
      c,
      queue: activationSubject(deps, accepted),
      ...(attempt === undefined ? {} : { attempt }),
    },
    above: allowancesBelow(accepted),
    policy: accepted.policy ?? 0,
    taint: taintFrom(context),
    ancestors: [...accepted.ancestors, context.run],
    lineage: [...(accepted.lineage ?? []), linkOf(accepted.agent.name, accepted.task.input)],
    traceparent: scope.telemetry?.traceparent(c),
    at: entry.at,
  };
  await writeEntryZero(deps, birth);
  deps.faults.hit('delegate.child_written');
  await publishActivation(deps, birth, { first: true });
  deps.faults.hit('delegate.child_activated');
  return [{ type: 'delegated', c, run }];
}

/** An owner that died since may have written its first entry: then it is at work, or will be, and is waited for. */
async function notStarted(deps: NodeDeps, c: string, run: string, error: AppError): Promise<RunEvent[]> {
  const written = (await deps.journal.authoritative(run, 0)) !== null;
  const born = written ? acceptedIn(await deps.journal.mustHave(run, 0)) : undefined;
  if (born === undefined) return [{ type: 'call_failed', c, error: error.toInfo(), ms: 0 }];
  await publishActivation(deps, born, { first: true });
  return [{ type: 'delegated', c, run }];
}

/** What the members of the step that are at work may use. */
async function limitsAtWork({ journal }: NodeDeps, { calls }: RunContext): Promise<Limits[]> {
  const working = calls.flatMap(({ status, child }) =>
    status === 'child' || status === 'stopping' ? (child ?? []) : [],
  );
  const entries = await Promise.all(working.map((child) => journal.mustHave(child, 0)));
  return entries.flatMap((entry) => acceptedIn(entry)?.limits ?? []);
}

function acceptedIn(entry: JournalEntry): RunEventOf<'accepted'> | undefined {
  return entry.events.find((event) => event.type === 'accepted');
}

function memberOf(entry: JournalEntry, c: string): Member | null {
  const decided = entry.events.find((event) => event.type === 'decided');
  if (decided?.decision.action !== 'delegate') return null;
  return membersOf(decided.decision)[parseCallId(c).index] ?? null;
}

/** Tells a member of a team to stop; that it has, its own message says. */
export async function stopMember({ deps, context, read }: EffectScope, want: WantOf<'stop'>): Promise<RunEvent[]> {
  const { c } = want.call;
  const child = want.call.child ?? childOf(deps, context.run, want.call, await read(parseCallId(c).entry));
  if (want.call.child === undefined && (await deps.journal.authoritative(child, 0)) === null) {
    // Should it be started after all, whoever takes it finds that it is not wanted.
    const message = 'its team was given up before it was started';
    return [{ type: 'call_failed', c, error: { code: 'team_given_up', message, retryable: false }, ms: 0 }];
  }
  const why = want.call.given_up === true ? 'its team was given up' : 'its team is started again';
  await tellToStop(deps, child, context.run, why);
  deps.faults.hit('delegate.member_stopped');
  return [{ type: 'member_stopped', c, run: child }];
}

/** Cancels a run that another one started; the first reason is the one that counts. */
export async function tellToStop(deps: NodeDeps, child: string, parent: string, why: string): Promise<void> {
  const subject = deps.subjects.inbox({ run: child, kind: 'cancel', id: 'parent' });
  try {
    await deps.bus.publish(subject, JSON.stringify({ v: 1, by: `run ${parent}`, why }));
  } catch (thrown) {
    if (!(thrown instanceof AppError) || thrown.code !== 'taken') throw thrown;
  }
}

/**
 * Whether nobody waits for this start of the call any more: then what was started late must not work. A copy of the
 * parent's journal that ends before the decision says nothing.
 */
export function isUnwanted(
  parent: { context: RunContext; n: number },
  c: string,
  attempt: number | undefined,
): boolean {
  if (parent.context.end !== null) return true;
  if (parent.n < parseCallId(c).entry) return false;
  const call = parent.context.calls.find((one) => one.c === c);
  if (call === undefined) return true;
  const starts = call.attempt ?? 0;
  if (starts !== (attempt ?? 0)) return starts > (attempt ?? 0);
  return call.status !== 'child_ready' && call.status !== 'child';
}
