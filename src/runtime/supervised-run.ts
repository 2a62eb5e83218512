import { type ExitReason, failureOf, NORMAL, SHUTDOWN, shutdownWith } from '../../supervisors/exit-reason.ts';
import type { ChildContext, ResourceHandle, SupervisorChild } from '../../supervisors/spec-types.ts';
import type { AppError } from '../core/errors.ts';
import type { RunEvent } from '../core/events.ts';
import { RUN_BUDGET } from '../core/restart-budget.ts';
import type { Delivery } from '../ports/bus.ts';
import type { Gone, RunOwner } from './run-owner.ts';

/**
 * One run in the tree of this node: its run-supervisor, which lives from the first claim here until the run is let go,
 * and in it the child `run`, whose incarnations are owners. One that crashes is followed by another, which reads the
 * journal and claims the run anew. Effects are no children of their own: most are over before anybody could look. They
 * are shown as what the owner says runs; one that throws is the owner's crash.
 */

/** How soon another node may take what a node that stops gives back, milliseconds. */
export const BACK_MS = 20;

const BACKOFF = { minMs: 200, maxMs: 5_000, jitter: 0.2 };

export interface RunKeeper {
  /** How long a run has to hand over, milliseconds. */
  readonly drainMs: number;
  /** Runs that crash now go back to the queue. */
  readonly leaving: boolean;
  /** Reads the journal and claims the run anew: resolves when it has an owner here, or is left to others. Never rejects. */
  resume(run: SupervisedRun): Promise<void>;
}

export class SupervisedRun {
  readonly run: string;
  /** Agent and user count against their slots until the run is let go. */
  readonly accepted: RunOwner['accepted'];
  /** The newest activation message: it stands for the lease. */
  delivery: Delivery;
  /** What came between two owners. */
  carried: RunEvent[];
  /** Null between two owners. */
  owner: RunOwner | null;
  /** Starts after the first. */
  restarts = 0;
  /** The last owner crashed and there is no new one yet: the activation is held by nobody else. */
  waits = false;
  /** Its journal cannot be folded: it waits for a person. */
  held = false;
  private readonly keeper: RunKeeper;
  private exit: ((reason: ExitReason) => void) | null = null;
  /** The run-supervisor has told to stop. */
  private stopping = false;

  constructor(keeper: RunKeeper, owner: RunOwner, carried: RunEvent[]) {
    this.keeper = keeper;
    this.run = owner.run;
    this.accepted = owner.accepted;
    this.delivery = owner.delivery;
    this.owner = owner;
    this.carried = carried;
  }

  /** @param started told the ref of the run-supervisor */
  spec(started: (supervisor: string) => void): SupervisorChild {
    return {
      id: this.run,
      restart: 'temporary',
      supervisor: {
        actor: false,
        strategy: 'one_for_one',
        ...RUN_BUDGET,
        autoShutdown: 'any_significant',
        children: [
          {
            id: 'run',
            restart: 'transient',
            significant: true,
            shutdown: this.keeper.drainMs,
            backoff: BACKOFF,
            start: (context) => this.start(context, started),
          },
        ],
      },
    };
  }

  private start({ ref, exit, signal }: ChildContext, started: (supervisor: string) => void): ResourceHandle {
    const first = this.exit === null;
    this.exit = exit;
    signal.addEventListener('abort', () => this.owner?.stop());
    if (first) {
      started(ref.slice(0, ref.lastIndexOf(':')));
      this.owner?.start(this.carried.splice(0));
    } else {
      this.restarts++;
      void this.keeper.resume(this);
    }
    return { stop: () => this.handOver() };
  }

  /** Ends with what the owner says; also when it comes only now. */
  private handOver(): Promise<void> {
    this.stopping = true;
    this.owner?.handOver(true);
    return new Promise(() => {});
  }

  /** A new owner has claimed the run. */
  resumed(owner: RunOwner, carried: RunEvent[]): void {
    this.owner = owner;
    this.delivery = owner.delivery;
    owner.start(carried);
    if (this.stopping) owner.handOver(true);
  }

  /** No new owner: the activation was dealt with otherwise. */
  left(): void {
    this.end(SHUTDOWN);
  }

  /** The owner has let go. */
  gone(owner: RunOwner, why: Gone, error?: AppError): void {
    if (this.owner !== owner) return;
    this.owner = null;
    this.delivery = owner.delivery;
    this.held = owner.fold.path === 'idle.held';
    if (why !== 'crashed') this.end(reasonOf(why));
    else if (this.stopping || this.keeper.leaving) {
      this.delivery.nak(BACK_MS);
      this.end(SHUTDOWN);
    } else {
      this.waits = true;
      this.end(failureOf(error));
    }
  }

  adopt(delivery: Delivery, carried: RunEvent[]): void {
    if (this.owner !== null) {
      this.owner.adopt(delivery);
      for (const event of carried) void this.owner.enqueue(event);
      return;
    }
    this.delivery = delivery;
    this.carried.push(...carried);
  }

  heartbeat(): void {
    if (this.owner !== null) this.owner.heartbeat();
    else if (this.waits) this.delivery.working();
  }

  /** Told once the owner is done with its own step: a child must not end while it is being started. */
  private end(reason: ExitReason): void {
    const { exit } = this;
    queueMicrotask(() => exit?.(reason));
  }
}

function reasonOf(why: Gone): ExitReason {
  if (why === 'ended' || why === 'parked') return NORMAL;
  return why === 'closed' ? SHUTDOWN : shutdownWith(why);
}
