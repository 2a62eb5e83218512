import type { RunEvent } from '../core/events.ts';
import { parseCallId, runIdOfChild } from '../core/ids.ts';
import type { JournalEntry } from '../core/journal-entry.ts';
import { agentScope } from '../core/switch-scope.ts';
import { Task } from '../core/task.ts';
import { linkOf } from '../policy/loops/delegation.ts';
import type { NodeDeps } from './deps.ts';
import type { EffectScope, WantOf } from './effects.ts';
import { activationSubject, publishActivation, writeEntryZero } from './starting.ts';
import { switchedOff } from './switched.ts';

/** The run that a call delegates to; `entry` holds the decision. */
export function childOf(deps: NodeDeps, run: string, c: string, entry: JournalEntry): string {
  return runIdOfChild(entry.at, deps.ids.hash(run, c));
}

/**
 * Starts a run for another agent. Its id follows from the parent's call, so that doing it again after a crash starts
 * nothing new; its result comes back through the parent's inbox.
 */
export async function delegate(scope: EffectScope, want: WantOf<'delegate'>): Promise<RunEvent[]> {
  const { deps, context, accepted } = scope;
  const { c } = want.call;
  const entry = await scope.read(parseCallId(c).entry);
  const decided = entry.events.find((event) => event.type === 'decided');
  if (decided?.decision.action !== 'delegate') return [];
  const { decision } = decided;
  const agent = await deps.agents.find(decision.agent);
  if (agent === undefined) {
    const message = `agent ${decision.agent} is not defined any more`;
    return [{ type: 'call_failed', c, error: { code: 'unknown_agent', message, retryable: true }, ms: 0 }];
  }
  if (scope.permit(null) !== 'go') return [];
  const off = deps.switches.over([agentScope(agent.name), agentScope(agent.name, agent.version)]);
  if (off?.mode === 'kill') {
    deps.switches.hit(off.scope, 'tasks');
    return [{ type: 'call_failed', c, error: switchedOff(`agent ${agent.name}`, off).toInfo(), ms: 0 }];
  }
  const run = childOf(deps, context.run, c, entry);
  const birth = {
    run,
    agent,
    user: accepted.user,
    task: Task.parse({
      input: decision.input,
      priority: accepted.task.priority,
      plan: decision.plan,
      limits: decision.limits,
    }),
    parent: { run: context.run, c, queue: activationSubject(deps, accepted) },
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
