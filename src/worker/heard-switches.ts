import { AppError } from '../core/errors.ts';
import type { Subjects } from '../core/subjects.ts';
import { agentScope, GLOBAL, runScope, toolScope, userScope } from '../core/switch-scope.ts';
import { readSwitchOrder } from '../core/switch-wire.ts';
import type { Bus, Subscription } from '../ports/bus.ts';
import type { Clock } from '../ports/clock.ts';

/**
 * The kills that a worker has heard of (SUP-7): it refuses calls of their scopes, and lets go of those that run. Nodes
 * send no such call once they know of the kill; this is for the node that does not, as it hung. Orders are heard, not
 * read, so one may be missed: a kill counts for a minute, long after which every node knows or has stopped acting, and
 * a revival that was missed bars nobody for ever.
 */

const REMEMBERED_MS = 60_000;
/** How long the caller has to cancel a running call by itself, milliseconds: it knows better what becomes of the call. */
const CALLER_MS = 1_000;
/** Kills remembered at once; the oldest go first. */
const MOST = 10_000;

/** What a call says of itself. */
interface Called {
  run: string;
  agent: string;
  user: string;
}

export class HeardSwitches {
  readonly #clock: Clock;
  readonly #subjects: Subjects;
  readonly #kills = new Map<string, number>();

  constructor(subjects: Subjects, clock: Clock) {
    this.#subjects = subjects;
    this.#clock = clock;
  }

  /** @param onKill called some time after each kill that is heard, for calls that nobody has cancelled by then */
  listen(bus: Bus, onKill: () => void): Subscription {
    return bus.subscribe(`${this.#subjects.prefix}.switch.>`, ({ subject, data }) => {
      const scope = this.#subjects.parseSwitch(subject);
      if (scope === null) return;
      const { mode } = readSwitchOrder(data);
      this.#kills.delete(scope);
      if (mode !== 'kill') return;
      for (const oldest of this.#kills.keys()) {
        if (this.#kills.size < MOST) break;
        this.#kills.delete(oldest);
      }
      this.#kills.set(scope, this.#clock.now() + REMEMBERED_MS);
      this.#clock.after(CALLER_MS, onKill);
    });
  }

  /** Why the call must not be carried out; null when it may. */
  refusal(tool: string, { run, agent, user }: Called): AppError | null {
    if (this.#kills.size === 0) return null;
    const scopes = [GLOBAL, toolScope(tool), agentScope(agent), userScope(user), runScope(run)];
    const now = this.#clock.now();
    const killed = scopes.find((scope) => (this.#kills.get(scope) ?? 0) > now);
    if (killed === undefined) return null;
    return new AppError('killed', `the switch ${killed} was set to kill: the call is not carried out`);
  }
}
