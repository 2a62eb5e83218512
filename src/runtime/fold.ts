import { type ActorRefFrom, createActor, type InspectionEvent, type SnapshotFrom } from 'xstate';
import type { RunChartEvent } from '../../machines/agent-run/context.ts';
import { agentRunMachine } from '../../machines/agent-run/machine.ts';
import { type Want, wanted } from '../../machines/agent-run/wanted.ts';
import { AppError, toAppError } from '../core/errors.ts';
import type { RunEvent } from '../core/events.ts';
import type { JournalEntry } from '../core/journal-entry.ts';
import type { LoopState } from '../core/loops.ts';
import {
  INBOX_MEMORY,
  type Protocol,
  pathOf,
  type RunContext,
  RunSnapshot,
  SNAPSHOT_VERSION,
  type StateValue,
} from '../core/run-state.ts';
import { foldLoops, noLoops } from '../policy/loops/detector.ts';

/**
 * A journal folded through the chart: the actor in memory is only this. Live and after a crash the same entries go
 * through the same `fold`, so the state is the same.
 *
 * An entry that cannot be folded is deterministic trouble: the state before it is kept, the entry is passed over, and
 * `poison` names it until newer code folds it or the run ends.
 */

export type RunMachine = typeof agentRunMachine;
type RunState = SnapshotFrom<RunMachine>;

const START: Readonly<Protocol> = {
  n: -1,
  at: 0,
  since: 0,
  decided_at: 0,
  pause: null,
  epoch: -1,
  node: null,
  nonce: null,
  claims: 0,
  parked: null,
  released: false,
  inbox: [],
  quarantine: null,
};

export class RunFold {
  private readonly machine: RunMachine;
  private readonly inspect: { inspect?: (event: InspectionEvent) => void };
  private actor: ActorRefFrom<RunMachine>;
  /** Changed in place: a copy for each entry would cost more than the chart. */
  private readonly state: Protocol;
  /** What the steps so far say of loops. */
  readonly loops: LoopState;
  private poisoned: { entry: number; error: AppError } | null = null;

  /** @param inspect hears of every transition that is taken; it costs 40 % of one, so nodes have none */
  constructor(
    snapshot?: RunSnapshot,
    machine: RunMachine = agentRunMachine,
    inspect?: (event: InspectionEvent) => void,
  ) {
    this.machine = machine;
    this.inspect = inspect === undefined ? {} : { inspect };
    this.state = { ...(snapshot?.protocol ?? START) };
    this.loops = snapshot?.loops === undefined ? noLoops() : structuredClone(snapshot.loops);
    this.actor =
      snapshot === undefined ? this.begin() : this.begin({ value: snapshot.value, context: snapshot.context });
  }

  private begin(at?: { value: StateValue; context: RunContext }): ActorRefFrom<RunMachine> {
    const actor =
      at === undefined
        ? createActor(this.machine, this.inspect)
        : createActor(this.machine, { ...this.inspect, snapshot: this.machine.resolveState(at as never) as never });
    // Without an observer of errors XState rethrows them where nobody can catch them.
    actor.subscribe({ error: () => {} });
    return actor.start();
  }

  get protocol(): Readonly<Protocol> {
    return this.state;
  }

  get context(): RunContext {
    return this.actor.getSnapshot().context;
  }

  get value(): StateValue {
    return this.actor.getSnapshot().value as StateValue;
  }

  get path(): string {
    return pathOf(this.value);
  }

  get ended(): boolean {
    return this.context.end !== null;
  }

  /** The entry that could not be folded and is not yet known to the journal as such. */
  get poison(): { entry: number; error: AppError } | null {
    return this.state.quarantine === null ? this.poisoned : null;
  }

  wants(): Want[] {
    return wanted(this.value, this.context, this.state.epoch);
  }

  /** Folds the next entry. Throws AppError `journal_gap` when it is not the next one. */
  fold(entry: JournalEntry): void {
    if (entry.n !== this.state.n + 1) {
      throw new AppError('journal_gap', `entry ${entry.n} follows entry ${this.state.n}: an entry is missing`);
    }
    const before = this.actor.getSnapshot();
    this.state.n = entry.n;
    this.state.at = entry.at;
    for (const event of entry.events) {
      this.bookkeep(event, entry.n);
      if (event.type === 'released' && this.poisoned !== null) continue;
      // Not spread: for objects of many shapes that takes V8 four times as long.
      this.actor.send(Object.assign({ n: entry.n, epoch: this.state.epoch, at: entry.at }, event) as RunChartEvent);
    }
    const after = this.actor.getSnapshot();
    this.noteMove(before, after);
    if (after.status === 'error') {
      this.poisoned = { entry: entry.n, error: toAppError(after.error, 'fold_failed') };
      this.actor = this.begin({ value: before.value as StateValue, context: before.context });
      return;
    }
    for (const event of entry.events) foldLoops(this.loops, event, entry.n);
  }

  /** The same place counts as a new one when the model is asked anew. */
  private noteMove(before: RunState, after: RunState): void {
    const moved =
      after.status !== 'error' &&
      (before.context.thinks !== after.context.thinks ||
        pathOf(before.value as StateValue) !== pathOf(after.value as StateValue));
    if (moved || this.state.n === 0) this.state.since = this.state.at;
  }

  /** What the ownership protocol reads from a journal. */
  private bookkeep(event: RunEvent, n: number): void {
    const { state } = this;
    if ('inbox' in event && event.inbox !== undefined) state.inbox = [...state.inbox, event.inbox].slice(-INBOX_MEMORY);
    switch (event.type) {
      case 'claimed':
        state.epoch = n;
        state.node = event.node;
        state.nonce = event.nonce;
        state.claims++;
        state.released = false;
        return;
      case 'parked':
        state.claims = 0;
        state.released = true;
        state.parked = newer(state.parked, event.activation);
        return;
      case 'handed_over':
        state.claims = 0;
        state.released = true;
        return;
      case 'quarantined':
        state.quarantine = { entry: event.entry, error: event.error };
        return;
      case 'released':
        state.claims = 0;
        state.quarantine = null;
        return;
      case 'pause':
      case 'drain':
        state.claims = 0;
        state.pause = {
          by: event.by,
          why: event.why,
          at: state.at,
          ...(event.scope === undefined ? {} : { scope: event.scope }),
        };
        return;
      case 'resume':
        state.claims = 0;
        state.pause = null;
        return;
      case 'decided':
        state.claims = 0;
        state.decided_at = state.at;
        return;
      default:
        state.claims = 0;
    }
  }

  /** Null while an entry is passed over: newer code must find the state before it. */
  snapshot(): RunSnapshot | null {
    if (this.poisoned !== null) return null;
    return {
      v: SNAPSHOT_VERSION,
      protocol: { ...this.state },
      value: this.value,
      context: this.context,
      loops: structuredClone(this.loops),
    };
  }

  stop(): void {
    this.actor.stop();
  }
}

function newer(known: Protocol['parked'], named: NonNullable<Protocol['parked']>): NonNullable<Protocol['parked']> {
  return known !== null && isSpent(named, known) ? known : named;
}

/** Whether an activation is not newer than the last one that a `parked` entry names (then it must not be continued). */
export function isSpent(activation: { created: string; seq: number }, parked: Protocol['parked']): boolean {
  if (parked === null) return false;
  if (activation.created !== parked.created) return activation.created < parked.created;
  return activation.seq <= parked.seq;
}

/** Parses a stored snapshot; anything that is not one of this version is null: the journal has it all. */
export function parseSnapshot(text: string): RunSnapshot | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const parsed = RunSnapshot.safeParse(value);
  return parsed.success ? parsed.data : null;
}
