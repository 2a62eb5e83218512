import { type QueueSpec, streamsOf } from './streams.ts';
import { LANES, laneOf, type Subjects } from './subjects.ts';
import type { Task } from './task.ts';
import { decodeToken, encodeToken } from './tokens.ts';

/**
 * Runs wait in lanes: one durable consumer for each agent, class and lane that ever had a run. A consumer exists from
 * the first run on: most clusters have few users, and each consumer costs a server something for ever.
 */

export type Priority = Task['priority'];

/** Classes, and how many turns each gets while all of them wait. */
export const CLASS_WEIGHTS: Readonly<Record<Priority, number>> = { high: 6, normal: 3, low: 1 };

export interface Lane {
  agent: string;
  priority: Priority;
  /** 0 to 15, by user. */
  lane: number;
}

export function laneQueue(subjects: Subjects, { agent, priority, lane }: Lane, ackWaitMs: number): QueueSpec {
  return {
    stream: streamsOf(subjects).queue.name,
    name: `runs_${encodeToken(agent)}_${priority}_${lane}`,
    filter: subjects.lane(agent, priority, lane),
    ackWaitMs,
  };
}

/** The consumer that older versions had for all runs of an agent. */
export function undividedQueue(subjects: Subjects, agent: string): { stream: string; name: string } {
  return { stream: streamsOf(subjects).queue.name, name: `runs_${encodeToken(agent)}` };
}

/** The lane of a consumer; null for one of another name. */
export function parseLaneQueue(name: string): Lane | null {
  const [, token = '', priority = '', digits = ''] = /^runs_(.+)_(high|normal|low)_(\d{1,2})$/.exec(name) ?? [];
  const agent = decodeToken(token);
  const lane = Number(digits);
  return token === '' || agent === null || lane >= LANES ? null : { agent, priority: priority as Priority, lane };
}

/** Counts things by agent, and by agent and lane of a user. */
export function laneKey(agent: string, lane?: number): string {
  return lane === undefined ? agent : `${lane} ${agent}`;
}

export function laneKeyOf(agent: string, user: string): string {
  return laneKey(agent, laneOf(user));
}
