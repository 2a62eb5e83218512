import type { ExitReason } from '../../supervisors/exit-reason.ts';
import type { SupervisorChild, SupervisorInput } from '../../supervisors/spec-types.ts';
import type { Supervisor } from '../../supervisors/supervisor.ts';
import { AppError } from '../core/errors.ts';
import type { Clock } from '../ports/clock.ts';
import type { SupervisedRun } from './supervised-run.ts';
import type { TreeLog } from './tree-log.ts';

/** The branch `agents` of a node's tree: a dynamic supervisor for each agent type, in it one run-supervisor for each run. */

/** Runs that are only taken in order to end: an order about a queued run, or the end of one that other nodes run. */
const ENDING = 'ending';

/** Place of an agent type in the branch. */
export function placeOf(agent: string): string {
  return `agent:${agent}`;
}

export class RunTree {
  private readonly slots: number;
  private readonly log: TreeLog;
  private readonly clock: Clock;
  private branch: () => Supervisor | null = () => null;

  /** @param slots most runs of a type */
  constructor(slots: number, log: TreeLog, clock: Clock) {
    this.slots = slots;
    this.log = log;
    this.clock = clock;
  }

  spec(): SupervisorInput {
    return { strategy: 'one_for_one', intensity: 3, periodMs: 60_000, children: [dynamic(ENDING, 'infinity')] };
  }

  /** @param branch finds the supervisor that runs by `spec` */
  attach(branch: () => Supervisor | null): void {
    this.branch = branch;
  }

  /** Makes the supervisor of an agent type unless it is there. Throws AppError `stopping`. */
  async openType(agent: string): Promise<void> {
    const spec = dynamic(placeOf(agent), this.slots);
    const reply = await this.branch()?.call({ type: 'start_child', spec });
    if (reply?.ok === true || reply?.error === 'already_started' || reply?.error === 'already_present') return;
    throw stopping(`no supervisor for runs of ${agent}: ${reply?.error ?? 'the node stops'}`);
  }

  /**
   * Starts the run-supervisor of a claimed run. Throws AppError `stopping`; then `over` is not called.
   * @param over told why the run-supervisor has ended
   */
  async begin(run: SupervisedRun, ending: boolean, over: (reason: ExitReason) => void): Promise<void> {
    const type = this.branch()?.nested(ending ? ENDING : placeOf(run.accepted.agent.name));
    const ended = (reason: ExitReason): void => {
      if (type != null && run.held) {
        const message = `held for a person: proctor why ${run.run}`;
        this.log.noteEnded(type.name, { id: run.run, code: 'quarantined', message, at: this.clock.now() });
      }
      over(reason);
    };
    const spec = run.spec((ref) => void type?.nested(ref)?.whenEnded.then(ended));
    const reply = await type?.call({ type: 'start_child', spec });
    if (reply?.ok !== true) {
      throw stopping(
        `run ${run.run} has no place in the tree: ${reply?.error ?? 'its agent type is not supervised now'}`,
      );
    }
  }
}

function dynamic(id: string, maxChildren: number | 'infinity'): SupervisorChild {
  return { id, supervisor: { actor: false, strategy: 'dynamic', maxChildren } };
}

function stopping(message: string): AppError {
  return new AppError('stopping', message, { retryable: true });
}
