import {
  type Activation,
  APPROVAL,
  EMPTY,
  type EntryKind,
  IDLE,
  type Node,
  type Scenario,
  type State,
  TIMER,
} from './ownership.ts';

/** What the steps of the model are made of: the owner's next wish, the order of intake, and small changes of a state. */

/** What an owner does next, as a function of what it has folded. */
export type Want = { write: EntryKind } | { call: 'idempotent' | 'once' | 'timer' } | 'wait';

export function want({ rules, calls, approval, timer }: Scenario, { memory, did }: Node): Want {
  if (memory.decided < 0) return { write: 'decided' };
  if (calls === 'both' && !memory.called) return (did & 1) === 0 ? { call: 'idempotent' } : { write: 'call done' };
  if (calls !== 'none' && memory.once === 'no') return { write: 'started' };
  if (memory.once === 'started') {
    if (memory.onceEpoch !== memory.epoch) return { write: 'unknown' };
    return (did & 2) === 0 ? { call: 'once' } : { write: 'started done' };
  }
  if (approval && (memory.inbox & APPROVAL) === 0) return 'wait';
  if (timer && (memory.inbox & TIMER) === 0) {
    return rules.timers === 'before parked' && (did & 4) === 0 ? { call: 'timer' } : 'wait';
  }
  return { write: 'ended' };
}

type Taker = Node['taker'];
const ORDER: Record<string, Taker> = { entry: 'accept', activation: 'publish', ack: 'ack' };

export function first(intake: string): Taker {
  return ORDER[intake.split(', ')[0] ?? ''] ?? 'idle';
}

export function after(intake: string, done: Taker): Taker {
  const order = intake.split(', ').map((word) => ORDER[word]);
  return order[order.indexOf(done) + 1] ?? 'idle';
}

export function nodeOf(state: State, i: number): Node {
  return state.nodes[i] ?? IDLE;
}

export function lease(state: State, id: number): void {
  const found: Activation | undefined = state.activations.find((activation) => activation.id === id);
  if (found !== undefined) found.ready = false;
}

export function remove(state: State, id: number): void {
  state.activations = state.activations.filter((activation) => activation.id !== id);
}

export function storeTimer(state: State): void {
  if (state.messages[TIMER] === 'absent') state.messages[TIMER] = 'queued';
}

export function putBack(state: State, self: Node): void {
  if (state.messages[self.holds] === 'leased') state.messages[self.holds] = 'queued';
  Object.assign(self, { holds: 0, taker: 'idle' });
}

/** The owner's side of the node forgets everything. */
export function stop(self: Node): void {
  const { holds, taker } = self;
  Object.assign(self, { ...IDLE, holds, taker });
}

/** An actor in memory must be the journal's first entries folded. */
export function divergence(state: State): string | null {
  for (const { at, pos, memory } of state.nodes) {
    if (at !== 'run') continue;
    const prefix = state.folds[pos] ?? EMPTY;
    const same =
      memory.inbox === prefix.inbox &&
      memory.decided === prefix.decided &&
      memory.once === prefix.once &&
      memory.called === prefix.called;
    if (!same) return 'diverged';
  }
  return null;
}
