import type { ErrorInfo } from '../core/errors.ts';
import { toAppError } from '../core/errors.ts';
import { laneQueue } from '../core/run-queues.ts';
import { laneOf } from '../core/subjects.ts';
import type { NodeDeps } from './deps.ts';

/**
 * How many runs may wait for a place: of one agent, and of one user among them. What waits is counted by the server and
 * read at most once a second while tasks come; in between a node adds what it took in itself. So nodes together may go
 * beyond a limit by what they take in within a second.
 */

/** For how long a count is believed, milliseconds. */
const FRESH_MS = 1_000;
/** When a task that was refused may be handed in again, milliseconds. */
const RETRY_AFTER_MS = 10_000;

interface Count {
  at: number;
  all: number;
  /** By lane of users, in all classes. */
  lanes: Map<number, number>;
}

export class Admission {
  private readonly deps: NodeDeps;
  private readonly counts = new Map<string, Count>();
  private readonly reading = new Map<string, Promise<Count>>();

  constructor(deps: NodeDeps) {
    this.deps = deps;
  }

  /** Why the agent takes no more tasks of the user now; null when it takes this one, which counts from now on. */
  async refusal(agent: string, user: string): Promise<ErrorInfo | null> {
    const { clock, log } = this.deps;
    const known = this.counts.get(agent);
    const fresh = known !== undefined && clock.now() - known.at < FRESH_MS;
    if (fresh) return this.take(agent, user, known);
    const reading = this.read(agent);
    // While there was room nobody waits for the count.
    if (known === undefined || this.judge(agent, user, known) !== null) return this.take(agent, user, await reading);
    reading.catch((thrown: unknown) => log.warn('queue.not_counted', { agent, message: toAppError(thrown).message }));
    return this.take(agent, user, known);
  }

  private take(agent: string, user: string, count: Count): ErrorInfo | null {
    const refusal = this.judge(agent, user, count);
    if (refusal !== null) return refusal;
    const lane = laneOf(user);
    count.all++;
    count.lanes.set(lane, (count.lanes.get(lane) ?? 0) + 1);
    return null;
  }

  private judge(agent: string, user: string, { all, lanes }: Count): ErrorInfo | null {
    const { queue_limit, user_queue_limit = Math.ceil(queue_limit / 2) } = this.deps.settings;
    const own = lanes.get(laneOf(user)) ?? 0;
    const retry = { code: 'queue_full', retryable: true, retry_after_ms: RETRY_AFTER_MS };
    const later = `hand the task in again in ${RETRY_AFTER_MS / 1_000} s, or start more nodes`;
    if (all >= queue_limit) {
      return { ...retry, message: `${all} runs of agent "${agent}" wait already, of at most ${queue_limit}: ${later}` };
    }
    if (own < user_queue_limit) return null;
    const limit = `of at most ${user_queue_limit} for one user`;
    return {
      ...retry,
      message: `${own} runs of agent "${agent}" wait in the lane of user "${user}", ${limit}: ${later}`,
    };
  }

  private read(agent: string): Promise<Count> {
    let reading = this.reading.get(agent);
    if (reading === undefined) {
      reading = this.count(agent).finally(() => this.reading.delete(agent));
      this.reading.set(agent, reading);
    }
    return reading;
  }

  private async count(agent: string): Promise<Count> {
    const { bus, subjects, lanes, clock } = this.deps;
    const count: Count = { at: clock.now(), all: 0, lanes: new Map() };
    const found = await Promise.all(
      lanes.of(agent).map(async (lane) => ({ lane, ...(await bus.backlog(laneQueue(subjects, lane, 0))) })),
    );
    for (const { lane, messages } of found) {
      count.all += messages;
      count.lanes.set(lane.lane, (count.lanes.get(lane.lane) ?? 0) + messages);
    }
    this.counts.set(agent, count);
    return count;
  }
}
