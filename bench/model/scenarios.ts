import type { Model } from './explore.ts';
import { DESIGN, initialState, isDone, type Rules, type Scenario, type State } from './ownership.ts';
import { keyOf } from './state-key.ts';
import { successors } from './transitions.ts';

/** The scenarios that are explored: the design under every kind of fault, and the design without one rule each. */

export function modelOf(scenario: Scenario): Model<State> {
  return {
    initial: initialState(scenario),
    successors: (state) => successors(state, scenario),
    key: keyOf,
    goal: isDone,
    broken: (state) => state.broken,
  };
}

export function scenario(changes: Partial<Omit<Scenario, 'rules'>>, rules: Partial<Rules> = {}): Scenario {
  return {
    start: 'queued',
    duplicateTask: false,
    calls: 'none',
    approval: true,
    timer: false,
    faults: 0,
    kinds: [],
    ...changes,
    rules: { ...DESIGN, ...rules },
  };
}

/** The design, explored by the tests: must come out clean. */
export const QUICK: Record<string, Scenario> = {
  'two tasks with one key are taken in, and any one thing goes wrong': scenario({
    start: 'task',
    duplicateTask: true,
    approval: false,
    faults: 1,
    kinds: ['crash', 'pause', 'lost ack', 'delay', 'spurious'],
  }),
  'a task is taken in through crashes, pauses and delayed writes': scenario({
    start: 'task',
    approval: false,
    faults: 2,
    kinds: ['crash', 'pause', 'delay'],
  }),
  'an approval comes while a task is taken in': scenario({
    start: 'task',
    faults: 1,
    kinds: ['crash', 'lost ack', 'delay', 'spurious'],
  }),
  'an approval that comes before entry 0 waits': scenario(
    { start: 'task', faults: 1, kinds: ['crash', 'delay'] },
    { early: 'wait' },
  ),
  'an approval wakes a parked run': scenario({ faults: 2, kinds: ['crash', 'pause'] }),
  'an approval is offered only after its activation was refused': scenario(
    { faults: 1, kinds: ['crash', 'pause', 'spurious', 'lost offer'] },
    { wake: 'publish, offer' },
  ),
  'an approval and a timer wake a parked run': scenario({
    timer: true,
    faults: 1,
    kinds: ['crash', 'spurious'],
  }),
  'calls are made through crashes and pauses': scenario({ calls: 'both', faults: 1, kinds: ['crash', 'pause'] }),
  'calls are made through writes that are lost and delayed': scenario({
    calls: 'once',
    faults: 1,
    kinds: ['lost ack', 'delay', 'crash'],
  }),
  'nodes stop gracefully, offers and leases go astray': scenario({
    faults: 1,
    kinds: ['handover', 'lost offer', 'spurious', 'crash'],
  }),
};

/** The design, explored by `npm run model`: must come out clean. */
export const LONG: Record<string, Scenario> = {
  'long: two tasks with one key, two faults': scenario({
    start: 'task',
    duplicateTask: true,
    approval: false,
    faults: 2,
    kinds: ['crash', 'pause', 'lost ack', 'delay', 'spurious'],
  }),
  'long: two tasks with one key, a call, an approval': scenario({
    start: 'task',
    duplicateTask: true,
    calls: 'once',
    faults: 1,
    kinds: ['crash', 'pause', 'lost ack', 'delay', 'spurious'],
  }),
  'long: a task and an approval, two faults': scenario({ start: 'task', faults: 2, kinds: ['crash', 'pause'] }),
  'long: an approval and a timer, two faults': scenario({ timer: true, faults: 2, kinds: ['crash', 'spurious'] }),
  'long: calls, two faults': scenario({ calls: 'both', faults: 2, kinds: ['crash', 'pause', 'lost ack', 'delay'] }),
  'long: graceful stops, offers and leases, two faults': scenario({
    faults: 2,
    kinds: ['crash', 'pause', 'spurious', 'handover', 'lost offer'],
  }),
  'long: an approval is offered only after its activation was refused, two faults': scenario(
    { timer: true, faults: 2, kinds: ['crash', 'lost offer'] },
    { wake: 'publish, offer' },
  ),
  'long: an approval, three faults': scenario({ faults: 3, kinds: ['crash', 'pause'] }),
};

export interface Mutant {
  scenario: Scenario;
  /** What the model must find, in alphabetical order; nothing where the rule is one of cost and not of safety. */
  finds: string[];
}

/** The design without one rule. */
export const MUTANTS: Record<string, Mutant> = {
  'the activation is published before entry 0': {
    scenario: scenario({ start: 'task', approval: false }, { intake: 'activation, entry, ack' }),
    finds: ['no-entry-zero'],
  },
  'the task is acked before entry 0 is written': {
    scenario: scenario(
      { start: 'task', approval: false, faults: 1, kinds: ['crash'] },
      { intake: 'ack, entry, activation' },
    ),
    finds: ['stuck'],
  },
  'a task that finds entry 0 taken is only acked': {
    scenario: scenario({ start: 'task', approval: false, faults: 1, kinds: ['crash'] }, { duplicate: 'ack' }),
    finds: ['stuck'],
  },
  'a message that comes before entry 0 is thrown away': {
    scenario: scenario({ start: 'task' }, { early: 'drop' }),
    finds: ['stuck'],
  },
  'activations that were parked are continued': {
    scenario: scenario({ faults: 2, kinds: ['crash', 'pause'] }, { parked: 'none' }),
    finds: ['stuck'],
  },
  'long: only the last parked entry counts': {
    scenario: scenario({ timer: true, faults: 2, kinds: ['crash', 'spurious'] }, { parked: 'tail' }),
    finds: ['stuck'],
  },
  'activations carry nothing': { scenario: scenario({}, { carry: false }), finds: ['livelock'] },
  'timers are stored after parked': {
    scenario: scenario({ timer: true, faults: 1, kinds: ['crash'] }, { timers: 'after parked' }),
    finds: ['stuck'],
  },
  'the result is stored after the ack': {
    scenario: scenario({ faults: 1, kinds: ['crash'] }, { result: 'after ack' }),
    finds: ['stuck'],
  },
  'a retried write may differ': {
    scenario: scenario({ faults: 1, kinds: ['delay', 'lost ack'] }, { identical: false }),
    finds: ['diverged', 'livelock', 'stuck'],
  },
  'workers start calls late': {
    scenario: scenario({ calls: 'once', faults: 1, kinds: ['pause'] }, { startBy: false }),
    finds: ['sent-after-unknown'],
  },
  'an owner acks its own activation when it comes again': {
    scenario: scenario({ faults: 2, kinds: ['crash', 'spurious'] }, { redelivered: 'ack' }),
    finds: ['stuck'],
  },
  'long: an owner leaves its own activation alone when it comes again': {
    scenario: scenario({ faults: 2, kinds: ['crash', 'pause', 'spurious'] }, { redelivered: 'leave' }),
    finds: [],
  },
  'long: a refused claim gives up': {
    scenario: scenario({ faults: 2, kinds: ['crash', 'pause'] }, { refusedClaim: 'stop' }),
    finds: [],
  },
  'long: each message has its own activation subject': {
    scenario: scenario({ timer: true }, { activation: 'per message' }),
    finds: ['livelock'],
  },
};
