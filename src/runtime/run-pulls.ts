import { toAppError } from '../core/errors.ts';
import type { Lane } from '../core/run-queues.ts';
import type { Delivery, Queue } from '../ports/bus.ts';
import type { Cancel, Clock } from '../ports/clock.ts';
import type { Log } from '../ports/telemetry.ts';
import { LaneTurns, type Waiting } from './lane-turns.ts';

/**
 * Takes the runs of one agent from its lanes. A quiet lane has one long pull open, so that what comes is taken at once;
 * a lane that gave all that it was asked for is busy, and free places go to the busy lanes in turn, by pulls that do
 * not wait. While no place is free nothing is asked. What a long pull brings then is held for the turn of its lane: busy
 * lanes take each place the moment it is free, and what goes back would come too late every time. It goes back all the
 * same, once, when no lane is busy: then another node may have a place.
 */

/** A full node collects free places for this long: a pull for each single place would cost more than the wait. */
const GATHER_MS = 2;
/** How soon what came while no place was free is there for others again, milliseconds. */
const BACK_MS = 20;
/** A message is held for so long at most, milliseconds: a node whose runs take longer must not keep it from others. */
const HOLD_MS = 1_000;
/** Pause after a failed pull, milliseconds. */
const AGAIN_MS = 500;

export interface RunPullsOptions {
  agent: string;
  /** Places altogether. */
  slots: number;
  /** Places that are free now. */
  room: () => number;
  /** Places that a lane may have beside those that it has. */
  roomOf: (lane: number) => number;
  onDelivery: (delivery: Delivery, lane: number) => void;
  /** How long a long pull waits, milliseconds. */
  waitMs: number;
  /** What is taken and silent for so long is handed to others, milliseconds. */
  leaseMs: number;
  /** It has ended by a fault of ours. */
  onFault: (thrown: unknown) => void;
  clock: Clock;
  log: Log;
}

interface OpenLane {
  key: string;
  lane: Lane;
  queue: Queue;
  /** More may wait than was asked for. */
  busy: boolean;
  pulling: boolean;
  held: Held | null;
}

/** A message that waits here for the turn of its lane. */
interface Held {
  delivery: Delivery;
  since: number;
  cancel: Cancel;
}

export class RunPulls {
  private readonly options: RunPullsOptions;
  private readonly lanes = new Map<string, OpenLane>();
  private readonly turns = new LaneTurns();
  private stopped = false;
  /** Ends the pulls that are under way. */
  private current = new AbortController();
  private readonly underWay = new Set<Promise<void>>();
  private signalled = false;
  private wake: (() => void) | null = null;
  private readonly done: Promise<void>;

  constructor(options: RunPullsOptions) {
    this.options = options;
    this.interrupt();
    this.done = this.run().catch((thrown: unknown) => options.onFault(thrown));
  }

  add(lane: Lane, queue: Queue): void {
    const key = `${lane.priority} ${String(lane.lane).padStart(2, '0')}`;
    // Something may wait there already, and has its turn.
    this.lanes.set(key, { key, lane, queue, busy: true, pulling: false, held: null });
    this.roomFreed();
  }

  /** Room has become free, or something else has changed: look again. */
  roomFreed(): void {
    this.signalled = true;
    this.wake?.();
  }

  /** Gives up the pulls that are under way and what is held; how many more may come is asked anew. */
  interrupt(): void {
    for (const open of this.lanes.values()) this.giveBack(open);
    this.current.abort();
    this.current = new AbortController();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.interrupt();
    this.roomFreed();
    await this.done;
    await Promise.all(this.underWay);
  }

  private async run(): Promise<void> {
    const { room, slots } = this.options;
    while (!this.stopped) {
      if (room() * 8 < slots) await this.pause(GATHER_MS);
      if (room() > 0) {
        this.listen();
        const shares = this.turns.share(this.waiting(), room());
        if (shares.size > 0) {
          await Promise.all([...shares].map(([key, share]) => this.serve(key, share)));
          continue;
        }
      }
      await this.somethingNew();
    }
  }

  /** Lanes that have something, or may have. */
  private waiting(): Waiting[] {
    return [...this.lanes.values()].flatMap(({ key, lane, busy, pulling, held }) => {
      if (held === null && (!busy || pulling)) return [];
      const most = this.options.roomOf(lane.lane);
      return [{ key, priority: lane.priority, most: busy && !pulling ? most : Math.min(most, 1) }];
    });
  }

  private async serve(key: string, share: number): Promise<void> {
    const open = this.lanes.get(key);
    // Lanes of one user in several classes share what it may have.
    if (open === undefined || this.options.roomOf(open.lane.lane) <= 0) return;
    const left = share - this.handOut(open);
    if (left > 0 && open.busy && !open.pulling) await this.pull(open, left, 0);
  }

  /** Opens a long pull in every quiet lane. */
  private listen(): void {
    for (const open of this.lanes.values()) {
      const room = Math.min(this.options.room(), this.options.roomOf(open.lane.lane));
      if (open.busy || open.pulling || open.held !== null || room <= 0) continue;
      const pull = this.pull(open, this.lanes.size === 1 ? room : 1, this.options.waitMs).then(() => this.roomFreed());
      this.underWay.add(pull);
      void pull.finally(() => this.underWay.delete(pull));
    }
  }

  /** Never rejects. */
  private async pull(open: OpenLane, most: number, waitMs: number): Promise<void> {
    const { room, roomOf, onDelivery, log, agent } = this.options;
    const { signal } = this.current;
    const { lane, queue } = open;
    let came = 0;
    let behind = 0;
    let back = 0;
    open.pulling = true;
    try {
      await queue.pull(
        most,
        waitMs,
        (delivery) => {
          came++;
          behind = delivery.behind;
          if (room() > 0 && roomOf(lane.lane) > 0) onDelivery(delivery, lane.lane);
          else if (open.held === null && (delivery.deliveries > 1 || this.othersAreFull())) this.hold(open, delivery);
          else {
            back++;
            delivery.nak(BACK_MS);
          }
        },
        signal,
      );
      // The only lane needs no turns: its long pull may ask for all that is free. What goes back is in its lane, uncounted:
      // it must have its turn, or it would have to be faster than the pulls of busy lanes each time.
      open.busy = (back > 0 || (came >= most && behind > 0)) && this.lanes.size > 1;
    } catch (thrown) {
      const { code, message } = toAppError(thrown);
      if (this.stopped || code === 'closed') {
        this.stopped = true;
        return;
      }
      const consequence = `asked again in ${AGAIN_MS} ms`;
      log.warn('pull.failed', { agent, class: lane.priority, lane: lane.lane, code, message, consequence });
      await this.pause(AGAIN_MS);
    } finally {
      open.pulling = false;
    }
  }

  /** A node with a place takes from a lane in which runs wait: while they do, there is none. */
  private othersAreFull(): boolean {
    for (const { busy } of this.lanes.values()) if (busy) return true;
    return false;
  }

  private hold(open: OpenLane, delivery: Delivery): void {
    const { clock, leaseMs } = this.options;
    // Well within the lease: what waits here needs no signs of life, and a node that dies keeps it no longer than a run.
    const cancel = clock.after(Math.min(HOLD_MS, leaseMs / 3), () => this.giveBack(open));
    open.held = { delivery, since: clock.now(), cancel };
  }

  private giveBack(open: OpenLane): void {
    this.release(open)?.nak(BACK_MS);
  }

  /** How many were handed out: one or none. */
  private handOut(open: OpenLane): number {
    const delivery = this.release(open);
    if (delivery === null) return 0;
    delivery.working();
    this.options.onDelivery(delivery, open.lane.lane);
    return 1;
  }

  /** What is held, no more; null when there is nothing, or this process stood still and it may be another node's now. */
  private release(open: OpenLane): Delivery | null {
    const { held } = open;
    if (held === null) return null;
    open.held = null;
    held.cancel();
    const { clock, leaseMs } = this.options;
    return clock.now() - held.since < leaseMs / 2 ? held.delivery : null;
  }

  private async somethingNew(): Promise<void> {
    if (!this.signalled && !this.stopped) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    this.wake = null;
    this.signalled = false;
  }

  private pause(ms: number): Promise<void> {
    const { signal } = this.current;
    return new Promise((resolve) => {
      const done = () => {
        cancel();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const cancel = this.options.clock.after(ms, done);
      signal.addEventListener('abort', done);
    });
  }
}
