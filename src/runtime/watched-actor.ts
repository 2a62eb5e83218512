import type { AnyMachineSnapshot, AnyStateMachine, InspectionEvent } from 'xstate';
import type { ChartDefinition } from '../core/chart-wire.ts';
import { ChartDefinition as ChartSchema, MAX_CHART_EDGES, MAX_CHART_NODES } from '../core/chart-wire.ts';
import { AppError, clip } from '../core/errors.ts';
import {
  type ActorEvent,
  type ActorState,
  MAX_ACTIVE,
  MAX_EVENT_DATA,
  MAX_TOLD_EVENTS,
  TELL_EVERY_MS,
} from '../core/inspect-wire.ts';
import { preview } from '../core/preview.ts';
import { redact } from '../core/redact.ts';
import type { Cancel, Clock } from '../ports/clock.ts';
import { type Extracted, extract } from './extract-chart.ts';

/**
 * An actor while somebody watches it: what XState's inspect API says of it, put together and told a few times a second at
 * most. The actor runs in the call stack of what is heard here, so little is done in it, and what fails stays here.
 */

/** What can be watched. */
export interface Watchable {
  machine: AnyStateMachine;
  snapshot(): AnyMachineSnapshot;
  /** Hears of this actor and no other, until the function returned is called. */
  attach(observer: (event: InspectionEvent) => void): () => void;
}

export interface WatchedActorOptions {
  /** Which actor it is, among all that there were at its address. */
  id: string;
  clock: Clock;
  tell(state: ActorState): void;
}

/** Machines are walked once, however often their actors are watched. */
const charts = new WeakMap<AnyStateMachine, Extracted>();

export class WatchedActor {
  readonly source: Watchable;
  readonly chart: ChartDefinition;
  private readonly edgesOf: Extracted['edgesOf'];
  private readonly options: WatchedActorOptions;
  private readonly detach: () => void;
  private snapshot: AnyMachineSnapshot;
  private heard = 0;
  private events: { at: number; event: { type: string } }[] = [];
  private taking: string[] = [];
  private via: string[] = [];
  private n = 0;
  private toldAt = Number.NEGATIVE_INFINITY;
  private waiting: Cancel | null = null;

  /** Throws AppError `too_large`: its chart has more states or transitions than can be drawn. */
  constructor(source: Watchable, options: WatchedActorOptions) {
    const { definition, edgesOf } = chartOf(source.machine);
    this.source = source;
    this.chart = definition;
    this.edgesOf = edgesOf;
    this.options = options;
    this.detach = source.attach((event) => this.hear(event));
    this.snapshot = source.snapshot();
  }

  /** Where it stands; events that were not told yet stay for the next word. */
  now(): ActorState {
    return this.told([]);
  }

  private hear(event: InspectionEvent): void {
    switch (event.type) {
      case '@xstate.event':
        this.heard++;
        this.taking = [];
        this.events.push({ at: this.options.clock.now(), event: event.event });
        if (this.events.length > MAX_TOLD_EVENTS) this.events.shift();
        break;
      case '@xstate.microstep':
        // The transitions are those of the state nodes themselves: `test/console/run-chart.test.ts` holds XState to it.
        for (const transition of event._transitions) this.taking.push(...(this.edgesOf.get(transition) ?? []));
        break;
      case '@xstate.snapshot':
        if (this.taking.length > 0) this.via = this.taking;
        this.taking = [];
        this.snapshot = event.snapshot as AnyMachineSnapshot;
        this.schedule();
        break;
      default:
    }
  }

  private schedule(): void {
    const { clock } = this.options;
    this.waiting ??= clock.after(Math.max(1, this.toldAt + TELL_EVERY_MS - clock.now()), () => {
      this.waiting = null;
      this.toldAt = clock.now();
      this.n++;
      const events = this.events.map(eventOf);
      this.events = [];
      this.options.tell(this.told(events));
    });
  }

  private told(events: ActorEvent[]): ActorState {
    const { snapshot, via, n, heard } = this;
    return {
      v: 1,
      actor: this.options.id,
      n,
      at: Math.round(this.options.clock.now()),
      status: snapshot.status,
      active: activeIn(snapshot),
      via: via.slice(-MAX_ACTIVE),
      events,
      heard,
      context: preview(snapshot.context),
    };
  }

  /** From here on nothing of it is left at the actor. */
  stop(): void {
    this.detach();
    this.waiting?.();
    this.waiting = null;
  }
}

function chartOf(machine: AnyStateMachine): Extracted {
  const known = charts.get(machine);
  if (known !== undefined) return known;
  const extracted = extract(machine);
  const definition = redact(extracted.definition) as ChartDefinition;
  if (!ChartSchema.safeParse(definition).success) {
    const { nodes, edges } = definition;
    const size = `${nodes.length} states and ${edges.length} transitions`;
    throw new AppError(
      'too_large',
      `the chart of ${definition.name} has ${size}: at most ${MAX_CHART_NODES} and ${MAX_CHART_EDGES}, with paths of at most 512 characters, can be drawn`,
    );
  }
  const found = { ...extracted, definition };
  charts.set(machine, found);
  return found;
}

/** Dotted paths of the innermost active states, from the value: that is how snapshots of every copy of XState tell it. */
export function activeIn({ value }: { value: unknown }): string[] {
  const found: string[] = [];
  const visit = (at: unknown, above: string): void => {
    if (typeof at === 'string') found.push(`${above}${at}`);
    else if (typeof at === 'object' && at !== null) {
      const below = Object.entries(at);
      if (below.length === 0 && above !== '') found.push(above.slice(0, -1));
      for (const [name, inner] of below) visit(inner, `${above}${name}.`);
    }
  };
  visit(value, '');
  return found.slice(0, MAX_ACTIVE);
}

function eventOf({ at, event }: { at: number; event: { type: string } }): ActorEvent {
  // Its getters run in `preview` alone, which lets none of them throw.
  const read = preview(event, { most: 33 });
  const { type = '', ...brought } =
    typeof read === 'object' && !Array.isArray(read) && read !== null ? read : { type: read };
  const data = Object.keys(brought).length === 0 ? '' : JSON.stringify(brought);
  return { at: Math.round(at), type: clip(String(type), 256), data: clip(data, MAX_EVENT_DATA) };
}
