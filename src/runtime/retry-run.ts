import { AppError } from '../core/errors.ts';
import type { RunEventOf } from '../core/events.ts';
import { agentScope, GLOBAL, userScope } from '../core/switch-scope.ts';
import type { Task } from '../core/task.ts';
import type { NodeDeps } from './deps.ts';
import { killed } from './switched.ts';

/**
 * Hands in the task of a run that has ended once more, from its start: a new run whose task names the old one. The key
 * follows from the old run, so two retries of one run are one run; a retry that failed too has a retry of its own.
 */
export async function retryRun(
  deps: NodeDeps,
  accepted: RunEventOf<'accepted'>,
  { by, why }: { by: string; why: string },
): Promise<{ ok: true; retry_of: string; agent: string; user: string; seq: number }> {
  const { bus, subjects, journal, log } = deps;
  const { run, user, parent } = accepted;
  if (parent !== undefined) {
    throw new AppError('not_retryable', `run ${run} was delegated: retry ${accepted.ancestors.at(0) ?? parent.run}`);
  }
  const fold = await journal.load(run);
  fold?.stop();
  if (fold?.ended !== true) throw new AppError('not_ended', `run ${run} has not ended: cancel it first`);
  const { created_at: _created, not_before: _passed, ...rest } = accepted.task;
  const task: Task = { ...rest, key: `retry of ${run}`, retry_of: run };
  const agent = accepted.agent.name;
  const found = (await deps.agents.find(agent)) ?? accepted.agent;
  // The run itself stays ended: only what holds its next one counts.
  const scopes = [GLOBAL, agentScope(agent), agentScope(agent, found.version), userScope(user)];
  const verdict = deps.switches.over(scopes, deps.clock.now());
  if (verdict?.mode === 'kill') throw killed(`what run ${run} belongs to`, verdict);
  const { seq } = await bus.publish(subjects.task(agent, user), JSON.stringify(task));
  log.info('run.retried', { run_id: run, user_id: user, agent, by, why, task_seq: seq });
  return { ok: true, retry_of: run, agent, user, seq };
}
