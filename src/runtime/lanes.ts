import { z } from 'zod';
import { toAppError } from '../core/errors.ts';
import { type Lane, laneQueue, parseLaneQueue } from '../core/run-queues.ts';
import { streamsOf } from '../core/streams.ts';
import type { Subjects } from '../core/subjects.ts';
import { Task } from '../core/task.ts';
import type { Bus, Subscription } from '../ports/bus.ts';
import type { Cancel, Clock } from '../ports/clock.ts';
import type { Log } from '../ports/telemetry.ts';

/**
 * Which lanes there are. Whoever queues the first run of a lane makes its consumer first and tells the others; who
 * missed that finds it when it looks, every few seconds.
 */

/** How often a node looks for lanes that it was not told of, milliseconds. */
const LOOK_MS = 10_000;

const Hint = z.object({ agent: z.string(), priority: Task.shape.priority.unwrap(), lane: z.int().min(0) });

export interface LanesOptions {
  bus: Bus;
  subjects: Subjects;
  clock: Clock;
  log: Log;
  leaseMs: number;
}

export class Lanes {
  private readonly options: LanesOptions;
  private readonly made = new Map<string, Promise<void>>();
  private readonly known = new Map<string, Lane>();
  private listener: (lane: Lane) => void = () => {};
  private hints: Subscription | null = null;
  private cancelTimer: Cancel = () => {};

  constructor(options: LanesOptions) {
    this.options = options;
  }

  /** Lanes of an agent that this node has heard of. */
  of(agent: string): Lane[] {
    return [...this.known.values()].filter((lane) => lane.agent === agent);
  }

  /** Makes the consumer of a lane when it is not there; once a process. */
  ensure(lane: Lane): Promise<void> {
    const spec = laneQueue(this.options.subjects, lane, this.options.leaseMs);
    let ready = this.made.get(spec.name);
    if (ready === undefined) {
      ready = this.options.bus.ensureQueue(spec).then(() => {
        this.options.bus.emit(this.options.subjects.nodes('lanes'), JSON.stringify(lane));
        this.learn(spec.name, lane);
      });
      this.made.set(spec.name, ready);
      ready.catch(() => this.made.delete(spec.name));
    }
    return ready;
  }

  /** Tells of each lane once: of those that are there before it resolves. @param clock runs its timers */
  async follow(onLane: (lane: Lane) => void, clock: Clock): Promise<void> {
    const { bus, subjects, log } = this.options;
    this.listener = onLane;
    this.hints = bus.subscribe(subjects.nodes('lanes'), ({ data }) => {
      const lane = Hint.safeParse(JSON.parse(data)).data;
      if (lane !== undefined) this.learn(laneQueue(subjects, lane, 0).name, lane);
    });
    await this.look();
    const tick = () => {
      this.cancelTimer = clock.after(LOOK_MS, tick);
      if (!bus.connected) return;
      this.look().catch((thrown: unknown) => {
        const { code, message } = toAppError(thrown);
        if (code === 'closed') return;
        log.warn('lanes.not_read', { code, message, consequence: `asked again in ${LOOK_MS / 1_000} s` });
      });
    };
    this.cancelTimer = clock.after(LOOK_MS, tick);
  }

  async stop(): Promise<void> {
    this.cancelTimer();
    await this.hints?.stop();
  }

  private async look(): Promise<void> {
    for (const name of await this.options.bus.queues(streamsOf(this.options.subjects).queue.name)) {
      const lane = parseLaneQueue(name);
      if (lane !== null) this.learn(name, lane);
    }
  }

  private learn(name: string, lane: Lane): void {
    if (this.known.has(name)) return;
    this.known.set(name, lane);
    this.listener(lane);
  }
}
