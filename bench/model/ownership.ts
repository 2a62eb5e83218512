/**
 * The run-ownership protocol as a model: one run, two nodes, one server. The rules are switches, so that a test can
 * take one away and see the model find what then goes wrong. What the model checks:
 *
 * - stale: no entry counts that was written under an epoch which a later claim has ended;
 * - after-end: nothing follows the terminal entry; journalled-twice: no inbox message is journalled twice;
 * - diverged: an actor in memory is a prefix of the journal;
 * - decided-twice, key-changed: a step is decided once and its call keeps its idempotency key;
 * - sent-twice, sent-after-unknown: a call that must not be repeated goes out once, and never after a person was asked;
 * - no-entry-zero: whoever is handed an activation finds entry 0, and never writes it;
 * - stuck, livelock: from wherever faults lead, the run ends, its result is stored and every queue runs empty.
 */

export interface Rules {
  /** Who wrote entry 0, and in which order a task is taken in. */
  intake: 'entry, activation, ack' | 'activation, entry, ack' | 'ack, entry, activation';
  /** A task that finds entry 0 taken publishes the activation all the same, or is only acked. */
  duplicate: 'publish' | 'ack';
  /** Messages are only sent to a run whose entry 0 was seen; or may come before it, and then wait or are dropped. */
  early: 'not sent' | 'wait' | 'drop';
  /** Who takes an inbox message looks for a live owner first, or tries to queue an activation first. */
  wake: 'offer, publish' | 'publish, offer';
  /** A node acks an activation that is not newer than any that a `parked` names, only than the last entry, or never. */
  parked: 'any' | 'tail' | 'none';
  /** An activation carries the inbox message that caused it. */
  carry: boolean;
  timers: 'before parked' | 'after parked';
  result: 'before ack' | 'after ack';
  /** A retried write repeats its bytes, and what is folded is what was read back. */
  identical: boolean;
  /** Workers refuse a call whose start-by has passed, and `outcome_unknown` is written only after it. */
  startBy: boolean;
  /** What a live owner does with its own activation when it is handed it again. */
  redelivered: 'adopt' | 'leave' | 'ack';
  /** A refused claim reads the journal again, or gives up until the lease has expired. */
  refusedClaim: 'read again' | 'stop';
  /** One activation subject a run, or one for each message that wakes it. */
  activation: 'per run' | 'per message';
}

export const DESIGN: Rules = {
  intake: 'entry, activation, ack',
  duplicate: 'publish',
  early: 'not sent',
  wake: 'offer, publish',
  parked: 'any',
  carry: true,
  timers: 'before parked',
  result: 'before ack',
  identical: true,
  startBy: true,
  redelivered: 'adopt',
  refusedClaim: 'read again',
  activation: 'per run',
};

export type FaultKind =
  | 'crash'
  | 'pause'
  /** A write is stored and its acknowledgement lost. */
  | 'lost ack'
  /** A write is held in the network while its sender tries again. */
  | 'delay'
  /** The server hands a message out although its holder gave signs of life. */
  | 'spurious'
  /** An inbox message offered to the live owner never reaches it. */
  | 'lost offer'
  /** A node stops gracefully. */
  | 'handover';

export interface Scenario {
  rules: Rules;
  /** Begin with the task, or with an accepted run whose activation waits. */
  start: 'task' | 'queued';
  /** The task is published twice under one key. */
  duplicateTask: boolean;
  /** The run makes an idempotent call, and one that must not be repeated. */
  calls: 'none' | 'once' | 'both';
  /** The run waits for an approval; for a timer. */
  approval: boolean;
  timer: boolean;
  faults: number;
  kinds: FaultKind[];
}

/** Messages as bits: two that wake a run, and the task with its duplicate. */
export const APPROVAL = 1;
export const TIMER = 2;
export const TASK = 4;
export const COPY = 8;

export type EntryKind =
  | 'accepted'
  | 'claimed'
  | 'decided'
  | 'call done'
  | 'started'
  | 'started done'
  | 'unknown'
  | 'inbox'
  | 'parked'
  | 'handed over'
  | 'ended';

export interface Entry {
  kind: EntryKind;
  /** Inbox messages that it journals. */
  inbox: number;
  epoch: number;
  writer: number;
  /** The activation that `parked` names; -1 elsewhere. */
  activation: number;
}

/** What a journal folds to. */
export interface Memory {
  length: number;
  decided: number;
  called: boolean;
  once: 'no' | 'started' | 'done' | 'unknown';
  onceEpoch: number;
  inbox: number;
  ended: boolean;
  /** The newest activation that a `parked` names, and whether that is the last entry. */
  parked: number;
  parkedLast: boolean;
  epoch: number;
  writer: number;
}

export const EMPTY: Memory = {
  length: 0,
  decided: -1,
  called: false,
  once: 'no',
  onceEpoch: -1,
  inbox: 0,
  ended: false,
  parked: -1,
  parkedLast: false,
  epoch: -1,
  writer: -1,
};

export interface Activation {
  id: number;
  ready: boolean;
  carries: number;
  subject: number;
}

/** `absent`: not sent yet; `leased`: handed to a node. */
export type MessageState = 'absent' | 'queued' | 'leased' | 'gone';

export interface Node {
  at: 'idle' | 'read' | 'claim' | 'run' | 'store timer' | 'store result' | 'ack' | 'late result' | 'nak';
  /** The owner's side: next entry, folded journal, incarnation, activation, messages offered to it. */
  pos: number;
  memory: Memory;
  writer: number;
  activation: number;
  offered: number;
  /** What this incarnation did: 1 call made, 2 call made that must not be repeated, 4 timer stored. */
  did: number;
  /** An entry that it sent and has no answer for. */
  writing: Entry | null;
  /** The taker's side: the message it holds, and what it does with it. */
  holds: number;
  taker: 'idle' | 'accept' | 'publish' | 'ack' | 'offer';
  paused: boolean;
}

export interface State {
  journal: Entry[];
  /** `folds[n]` is the journal's first n entries folded. */
  folds: Memory[];
  activations: Activation[];
  nextActivation: number;
  nextWriter: number;
  messages: Record<number, MessageState>;
  nodes: Node[];
  result: boolean;
  /** How often the call that must not be repeated went out, and the decision that keyed the other. */
  sent: number;
  keyedBy: number;
  faults: number;
  network: { pos: number; entry: Entry }[];
  broken: string | null;
}

export const IDLE: Node = {
  at: 'idle',
  pos: 0,
  memory: EMPTY,
  writer: 0,
  activation: -1,
  offered: 0,
  did: 0,
  writing: null,
  holds: 0,
  taker: 'idle',
  paused: false,
};

export const ACCEPTED: Entry = { kind: 'accepted', inbox: 0, epoch: -1, writer: 0, activation: -1 };

export function initialState(scenario: Scenario): State {
  const queued = scenario.start === 'queued';
  return {
    journal: queued ? [ACCEPTED] : [],
    folds: queued ? [EMPTY, fold(EMPTY, ACCEPTED)] : [EMPTY],
    activations: queued ? [{ id: 0, ready: true, carries: 0, subject: 0 }] : [],
    nextActivation: 1,
    nextWriter: 1,
    messages: {
      [APPROVAL]: scenario.approval ? 'absent' : 'gone',
      [TIMER]: scenario.timer ? 'absent' : 'gone',
      [TASK]: queued ? 'gone' : 'queued',
      [COPY]: scenario.duplicateTask ? 'queued' : 'gone',
    },
    nodes: [IDLE, IDLE],
    result: false,
    sent: 0,
    keyedBy: -1,
    faults: scenario.faults,
    network: [],
    broken: null,
  };
}

export function fold(memory: Memory, entry: Entry): Memory {
  const n = memory.length;
  const next = { ...memory, length: n + 1, inbox: memory.inbox | entry.inbox, parkedLast: entry.kind === 'parked' };
  switch (entry.kind) {
    case 'claimed':
      return { ...next, epoch: n, writer: entry.writer };
    case 'decided':
      return { ...next, decided: n };
    case 'call done':
      return { ...next, called: true };
    case 'started':
      return { ...next, once: 'started', onceEpoch: entry.epoch };
    case 'started done':
      return { ...next, once: 'done' };
    case 'unknown':
      return { ...next, once: 'unknown' };
    case 'parked':
      return { ...next, parked: Math.max(memory.parked, entry.activation) };
    case 'ended':
      return { ...next, ended: true };
    default:
      return next;
  }
}

/** The journal folded. */
export function current(state: State): Memory {
  return state.folds[state.journal.length] ?? EMPTY;
}

/** A write to entry `pos`: stored when nobody wrote it before. What must never be stored is noticed here. */
export function append(state: State, pos: number, entry: Entry): boolean {
  if (pos !== state.journal.length) return false;
  const memory = current(state);
  const own = entry.kind === 'claimed' || entry.kind === 'accepted';
  if (pos === 0 && entry.kind !== 'accepted') state.broken = 'no-entry-zero';
  if (!own && (entry.epoch !== memory.epoch || entry.writer !== memory.writer)) state.broken = 'stale';
  if (memory.ended) state.broken = 'after-end';
  if ((entry.inbox & memory.inbox) !== 0) state.broken = 'journalled-twice';
  if (entry.kind === 'decided' && memory.decided >= 0) state.broken = 'decided-twice';
  state.journal = [...state.journal, entry];
  state.folds = [...state.folds, fold(memory, entry)];
  return true;
}

export function sameEntry(a: Entry, b: Entry): boolean {
  return a.kind === b.kind && a.inbox === b.inbox && a.writer === b.writer && a.activation === b.activation;
}

/** Run ended, result stored, nothing left in any queue. */
export function isDone(state: State): boolean {
  return (
    current(state).ended &&
    state.result &&
    state.activations.length === 0 &&
    [APPROVAL, TIMER, TASK, COPY].every((message) => state.messages[message] === 'gone')
  );
}
