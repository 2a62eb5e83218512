import { toAppError } from '../core/errors.ts';
import { type Lane, laneKey, laneQueue, parseLaneQueue, undividedQueue } from '../core/run-queues.ts';
import type { Delivery } from '../ports/bus.ts';
import type { NodeFigures } from '../ports/telemetry.ts';
import type { Activations } from './activations.ts';
import type { NodeDeps } from './deps.ts';
import { lastingQueue } from './lasting-queue.ts';
import { pullTime } from './pull-time.ts';
import { RunPulls } from './run-pulls.ts';
import type { RunTree } from './run-tree.ts';

/** How a node comes to its runs: of each agent that it can run, from each lane that there is. */

/** How long after a failure a lane is opened again, milliseconds. */
const AGAIN_MS = 1_000;

export interface RunTakingOptions {
  activations: Activations;
  tree: RunTree;
  /** Whether the orders in force let the node take runs. */
  takesRuns: () => boolean;
  /** Told when it does not work any more, by a fault of ours. */
  onFault: (thrown: unknown) => void;
}

export class RunTaking {
  private readonly deps: NodeDeps;
  private readonly activations: Activations;
  private readonly takesRuns: () => boolean;
  private readonly tree: RunTree;
  private readonly onFault: (thrown: unknown) => void;
  private readonly pulls = new Map<string, RunPulls>();
  /** Activations that are looked at and not owned yet, by agent and by agent and lane. */
  private readonly inHand = new Map<string, number>();
  private stopped = false;

  constructor(deps: NodeDeps, options: RunTakingOptions) {
    this.deps = deps;
    this.activations = options.activations;
    this.takesRuns = options.takesRuns;
    this.tree = options.tree;
    this.onFault = options.onFault;
  }

  /** Hears of lanes from now on. */
  start(): Promise<void> {
    return this.deps.lanes.follow((lane) => void this.openLane(lane), this.deps.clock);
  }

  /** Takes runs of the agent: from the lanes that are there before it resolves. Throws what the bus throws. */
  async open(agent: string): Promise<void> {
    if (this.stopped) return;
    await this.tree.openType(agent);
    const { settings, lanes, clock, log } = this.deps;
    const held = () => this.activations.activeOf(agent) + this.handful(agent);
    const heldOf = (lane: number) => this.activations.activeOf(agent, lane) + this.handful(agent, lane);
    const pulls = new RunPulls({
      agent,
      slots: settings.slots,
      room: () => (this.takesRuns() ? settings.slots - held() : 0),
      roomOf: (lane) => (settings.user_slots ?? settings.slots) - heldOf(lane),
      onDelivery: (delivery, lane) => this.take(agent, lane, delivery),
      waitMs: pullTime(settings),
      leaseMs: settings.lease_ms,
      onFault: this.onFault,
      clock,
      log,
    });
    this.pulls.set(agent, pulls);
    await this.removeUndivided(agent);
    await Promise.all(lanes.of(agent).map((lane) => this.addLane(pulls, lane)));
  }

  roomFreed(): void {
    for (const pulls of this.pulls.values()) pulls.roomFreed();
  }

  /** Runs are not asked for any more, or are again: whoever asks is asked whether it may. */
  changed(): void {
    for (const pulls of this.pulls.values()) {
      pulls.interrupt();
      pulls.roomFreed();
    }
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.deps.lanes.stop();
    await Promise.all([...this.pulls.values()].map((pulls) => pulls.stop()));
    await this.activations.settled();
  }

  async figures(): Promise<NodeFigures['agents']> {
    const { bus, clock } = this.deps;
    return Promise.all(
      [...this.pulls.keys()].map(async (agent) => {
        const active = this.activations.activeOf(agent);
        if (!bus.connected) return { agent, active, queue: null };
        const { messages: depth, oldestAt } = await waitingRuns(this.deps, this.deps.lanes.of(agent));
        const oldest_seconds = oldestAt === null ? 0 : Math.max(0, clock.now() - oldestAt) / 1000;
        return { agent, active, queue: { depth, oldest_seconds } };
      }),
    );
  }

  /** A consumer for all runs of the agent, as older nodes made it: no lane can be made beside it. */
  private async removeUndivided(agent: string): Promise<void> {
    const { bus, subjects, log } = this.deps;
    const { stream, name } = undividedQueue(subjects, agent);
    if (parseLaneQueue(name) !== null || !(await bus.queues(stream)).includes(name)) return;
    await bus.removeQueue(stream, name);
    log.warn('lane.divided', {
      agent,
      stream,
      consumer: name,
      consequence: 'its runs wait in lanes; older nodes get none',
    });
  }

  private async openLane(lane: Lane): Promise<void> {
    const pulls = this.pulls.get(lane.agent);
    if (pulls === undefined || this.stopped) return;
    try {
      await this.addLane(pulls, lane);
    } catch (thrown) {
      const { code, message } = toAppError(thrown);
      if (code === 'closed') return;
      const consequence = `tried again in ${AGAIN_MS} ms`;
      this.deps.log.warn('lane.not_opened', { ...lane, code, message, consequence });
      this.deps.clock.after(AGAIN_MS, () => void this.openLane(lane));
    }
  }

  private async addLane(pulls: RunPulls, lane: Lane): Promise<void> {
    const { bus, subjects, settings } = this.deps;
    const spec = laneQueue(subjects, lane, settings.lease_ms);
    pulls.add(lane, await lastingQueue(bus, spec));
  }

  private take(agent: string, lane: number, delivery: Delivery): void {
    this.hand(agent, lane, 1);
    void this.activations.take(delivery).finally(() => {
      this.hand(agent, lane, -1);
      this.roomFreed();
    });
  }

  private handful(agent: string, lane?: number): number {
    return this.inHand.get(laneKey(agent, lane)) ?? 0;
  }

  private hand(agent: string, lane: number, change: number): void {
    for (const key of [laneKey(agent), laneKey(agent, lane)])
      this.inHand.set(key, (this.inHand.get(key) ?? 0) + change);
  }
}

/** What waits in some lanes, and since when. */
export async function waitingRuns(
  { bus, subjects }: Pick<NodeDeps, 'bus' | 'subjects'>,
  lanes: Lane[],
): Promise<{ messages: number; oldestAt: number | null }> {
  const found = await Promise.all(lanes.map((lane) => bus.backlog(laneQueue(subjects, lane, 0))));
  const oldest = found.flatMap(({ oldestAt }) => (oldestAt === null ? [] : [oldestAt]));
  return {
    messages: found.reduce((sum, { messages }) => sum + messages, 0),
    oldestAt: oldest.length === 0 ? null : Math.min(...oldest),
  };
}
