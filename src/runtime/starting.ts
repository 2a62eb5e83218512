import type { AgentDefinition } from '../core/agent.ts';
import { AppError } from '../core/errors.ts';
import type { Continues, RunEventOf } from '../core/events.ts';
import { periodOfRun } from '../core/ids.ts';
import { encodeEntry, JOURNAL_VERSION } from '../core/journal-entry.ts';
import { applyLimits, type Limits } from '../core/limits.ts';
import type { Taint } from '../core/policy.ts';
import type { Lane, Priority } from '../core/run-queues.ts';
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
  above?: RunEventOf<'accepted'>['above'];
  /** The version of the policy that it is under; 0: the built-in one. */
  policy: number;
  taint?: Taint | undefined;
  ancestors: string[];
  lineage?: RunEventOf<'accepted'>['lineage'];
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
    ...(birth.above === undefined ? {} : { above: birth.above }),
    ...(birth.policy === 0 ? {} : { policy: birth.policy }),
    ...(birth.taint === undefined ? {} : { taint: birth.taint }),
    ...(birth.continues === undefined ? {} : { continues: birth.continues }),
    ancestors: birth.ancestors,
    ...(birth.lineage === undefined ? {} : { lineage: birth.lineage }),
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

/** The parts of an accepted task that say where its run waits. */
type Placed = { run: string; agent: { name: string }; user: string; task: { priority: Priority } };

export function activationSubject(deps: NodeDeps, placed: Placed): string {
  const { agent, priority, lane } = laneFor(placed);
  return deps.subjects.activation(agent, priority, lane, placed.run);
}

function laneFor({ agent, user, task }: Placed): Lane {
  return { agent: agent.name, priority: task.priority, lane: laneOf(user) };
}

/** Queues an activation; false when the run has one already (queued, or held by its owner). */
export async function publishActivation(
  deps: NodeDeps,
  placed: Placed,
  extra: { first?: boolean; carry?: number[] } = {},
): Promise<boolean> {
  await deps.lanes.ensure(laneFor(placed));
  try {
    await deps.bus.publish(activationSubject(deps, placed), JSON.stringify({ v: 1, run: placed.run, ...extra }));
    return true;
  } catch (error) {
    if (error instanceof AppError && error.code === 'taken') return false;
    throw error;
  }
}
