import type { AgentDefinition } from '../core/agent.ts';
import { AppError } from '../core/errors.ts';
import type { Continues, RunEventOf } from '../core/events.ts';
import { periodOfRun } from '../core/ids.ts';
import { encodeEntry, JOURNAL_VERSION } from '../core/journal-entry.ts';
import { applyLimits, type Limits } from '../core/limits.ts';
import { laneOf } from '../core/subjects.ts';
import type { Task } from '../core/task.ts';
import type { NodeDeps } from './deps.ts';

/** What makes a run: entry 0 of its journal, then its activation. Both are write-once, so doing it again changes nothing. */

export interface Birth {
  run: string;
  agent: AgentDefinition;
  user: string;
  task: Task;
  parent?: RunEventOf<'accepted'>['parent'];
  continues?: Continues;
  /** As its agent and its task have it, when absent. */
  limits?: Limits;
  ancestors: string[];
  traceparent?: string | undefined;
  at: number;
}

export function acceptedEvent(birth: Birth): RunEventOf<'accepted'> {
  return {
    type: 'accepted',
    run: birth.run,
    agent: birth.agent,
    user: birth.user,
    task: birth.task,
    limits: birth.limits ?? applyLimits(birth.agent.limits, birth.task.limits),
    ...(birth.parent === undefined ? {} : { parent: birth.parent }),
    ...(birth.continues === undefined ? {} : { continues: birth.continues }),
    ancestors: birth.ancestors,
    ...(birth.traceparent === undefined ? {} : { traceparent: birth.traceparent }),
  };
}

/** Writes entry 0; true when this call wrote it, false when it stood there already. */
export async function writeEntryZero(deps: NodeDeps, birth: Birth): Promise<boolean> {
  await deps.journal.ensurePeriod(periodOfRun(birth.run));
  const entry = {
    v: JOURNAL_VERSION,
    n: 0,
    epoch: -1,
    writer: '',
    at: birth.at,
    events: [acceptedEvent(birth)],
  } as const;
  const appended = await deps.journal.append(
    birth.run,
    { ...entry, events: [...entry.events] },
    encodeEntry({ ...entry, events: [...entry.events] }),
  );
  return appended === 'stored';
}

export function activationSubject(
  deps: NodeDeps,
  accepted: { run: string; agent: { name: string }; user: string; task: { priority: string } },
): string {
  return deps.subjects.activation(accepted.agent.name, accepted.task.priority, laneOf(accepted.user), accepted.run);
}

/** Queues an activation; false when the run has one already (queued, or held by its owner). */
export async function publishActivation(
  deps: NodeDeps,
  subject: string,
  run: string,
  extra: { first?: boolean; carry?: number[] } = {},
): Promise<boolean> {
  try {
    await deps.bus.publish(subject, JSON.stringify({ v: 1, run, ...extra }));
    return true;
  } catch (error) {
    if (error instanceof AppError && error.code === 'taken') return false;
    throw error;
  }
}
