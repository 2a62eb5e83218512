import { type AnyStateMachine, createMachine } from 'xstate';

/** A machine as users write them: 60 states, nested and parallel, history states, self transitions, timers, invokes. */
export function largeMachine(): AnyStateMachine {
  const station = (name: string, next: string) => ({
    initial: 'idle',
    on: { RESET: `.idle`, ABORT: '#plant.stopped', BACK: '.past' },
    states: {
      idle: { on: { START: 'heating', PING: { actions: 'pong' } } },
      heating: { invoke: { src: 'heat', onDone: 'working', onError: 'faulty' }, after: { 5000: 'faulty' } },
      working: {
        initial: 'first',
        on: { AGAIN: { target: 'working', reenter: true } },
        states: {
          first: { on: { NEXT: [{ guard: 'isFast', target: 'third' }, { target: 'second' }] } },
          second: { on: { NEXT: 'third', SAME: { target: 'second', reenter: true } } },
          third: { always: { guard: 'isDone', target: `#plant.${name}.done` } },
        },
      },
      faulty: { on: { REPAIR: 'past', GIVE_UP: '#plant.stopped' } },
      past: { type: 'history' as const, history: 'deep' as const },
      done: { on: { ONWARD: next } },
    },
  });
  const lane = (name: string) => ({
    initial: 'off',
    states: {
      off: { on: { [`${name}_ON`]: 'on' } },
      on: { on: { [`${name}_OFF`]: 'off', [`${name}_BLINK`]: { target: 'on', reenter: true } } },
      broken: {},
    },
  });
  return createMachine({
    id: 'plant',
    initial: 'mill',
    on: { EMERGENCY: '.stopped' },
    states: {
      mill: station('mill', '#plant.press'),
      press: station('press', '#plant.oven'),
      oven: station('oven', '#plant.lights'),
      pack: station('pack', '#plant.stopped'),
      lights: {
        type: 'parallel',
        on: { FINISH: 'pack' },
        states: { red: lane('RED'), green: lane('GREEN'), blue: lane('BLUE'), horn: lane('HORN') },
      },
      paused: { on: { RESUME: 'memory' } },
      memory: { type: 'history', history: 'shallow', target: 'mill' },
      stopped: { type: 'final' },
    },
  });
}
