import { API_ANSWERS } from '../../client/answers.ts';
import { ask } from '../../client/ask.ts';
import { AppError, toAppError } from '../../core/errors.ts';
import { type ActorEvent, ActorState, WATCH_LEASE_MS } from '../../core/inspect-wire.ts';
import type { Subjects } from '../../core/subjects.ts';
import type { ActorAt, ActorView, LoggedEvent } from '../wire.ts';
import type { Charts } from './charts.ts';
import type { ConsoleBus } from './cluster-source.ts';

/**
 * The actors that tabs watch, each watched once on its node however many tabs do. A watch is renewed as long as somebody
 * looks: on the node it ends by itself when this process does. One that does not answer is asked again, and what was seen
 * last stays.
 */

/** Several times within the lease of a node: a word may be lost. */
const RENEW_MS = WATCH_LEASE_MS / 3;
/** Events that are kept of one actor, newest last. */
const KEPT_EVENTS = 200;

export interface InspectionsParts {
  bus: Pick<ConsoleBus, 'publish' | 'request' | 'subscribe' | 'flush'>;
  subjects: Subjects;
  charts: Charts;
  /** Epoch milliseconds. */
  now(): number;
}

type Listener = (view: ActorView) => void;

export class Inspections {
  private readonly parts: InspectionsParts;
  private readonly followed = new Map<string, FollowedActor>();

  constructor(parts: InspectionsParts) {
    this.parts = parts;
  }

  /** @returns what ends it */
  watch(at: ActorAt, listener: Listener): () => void {
    const key = keyOf(at);
    const actor = this.followed.get(key) ?? new FollowedActor(this.parts, at);
    this.followed.set(key, actor);
    actor.listeners.add(listener);
    if (actor.view.state !== null || actor.view.error !== null) listener(actor.view);
    return () => {
      actor.listeners.delete(listener);
      if (actor.listeners.size > 0 || this.followed.get(key) !== actor) return;
      this.followed.delete(key);
      actor.stop();
    };
  }

  stop(): void {
    for (const actor of this.followed.values()) actor.stop();
    this.followed.clear();
  }
}

export function keyOf({ node, kind, path }: ActorAt): string {
  return JSON.stringify([node, kind, ...path]);
}

class FollowedActor {
  readonly listeners = new Set<Listener>();
  view: ActorView;
  private readonly parts: InspectionsParts;
  private readonly at: ActorAt;
  private readonly ear: { stop(): Promise<void> };
  private readonly timer: NodeJS.Timeout;
  /** Id of the actor whose chart is known. */
  private actor: string | null = null;
  private asking = false;
  private stopped = false;
  /** Number of the event that was logged last. */
  private counted: number;

  constructor(parts: InspectionsParts, at: ActorAt) {
    this.parts = parts;
    this.at = at;
    // A tab that comes back knows the numbers that were given before: those of now are greater.
    this.counted = parts.now();
    this.view = { ...at, chart: null, state: null, events: [], error: null };
    const subject = parts.subjects.inspection(at.node, at.kind, at.path);
    this.ear = parts.bus.subscribe(subject, ({ data }) => this.hear(data));
    this.timer = setInterval(() => void this.ask(), RENEW_MS);
    this.timer.unref();
    void this.ask();
  }

  private async ask(): Promise<void> {
    if (this.asking || this.stopped) return;
    this.asking = true;
    try {
      await this.askFor(this.actor === null);
    } catch (thrown) {
      const { code, message } = toAppError(thrown);
      if (code === 'unknown_actor') this.actor = null;
      this.change({ error: { code, message } });
    } finally {
      this.asking = false;
    }
  }

  private async askFor(wantsChart: boolean): Promise<void> {
    const { bus, subjects, charts } = this.parts;
    const { node, kind, path } = this.at;
    // So that nothing is missed between the answer and the first word.
    await bus.flush();
    const body = { node, kind, path, chart: wantsChart };
    const { state, chart } = await ask(bus, subjects.api('inspect'), body, API_ANSWERS.inspect);
    if (chart !== undefined) {
      this.actor = state.actor;
      this.take(state, charts.add(chart));
    } else if (state.actor !== this.actor) {
      if (wantsChart) throw new AppError('bad_answer', `node "${node}" told where the actor stands, without its chart`);
      await this.askFor(true);
    } else this.take(state, this.view.chart);
  }

  private hear(data: string): void {
    const state = readState(data);
    if (state === null || this.stopped) return;
    if (state.actor === this.actor) this.take(state, this.view.chart);
    // Another one has its address now.
    else if (this.actor !== null) void this.ask();
  }

  private take(state: ActorState, chart: string | null): void {
    const { state: before, events } = this.view;
    const isOld = before !== null && before.actor === state.actor && state.n < before.n;
    if (isOld) return;
    const { events: fresh, v: _, ...shown } = state;
    const logged = [...events, ...fresh.map((event) => this.logged(event))].slice(-KEPT_EVENTS);
    this.change({ chart, state: shown, events: logged, error: null });
  }

  private logged(event: ActorEvent): LoggedEvent {
    return { ...event, k: ++this.counted };
  }

  private change(part: Partial<ActorView>): void {
    if (this.stopped) return;
    this.view = { ...this.view, ...part };
    for (const listener of this.listeners) listener(this.view);
  }

  stop(): void {
    this.stopped = true;
    clearInterval(this.timer);
    void this.ear.stop();
  }
}

/** Null for what is none: another version may tell in another form. */
function readState(data: string): ActorState | null {
  try {
    return ActorState.safeParse(JSON.parse(data)).data ?? null;
  } catch {
    return null;
  }
}
