import { setup } from 'xstate';
import { type Decision, decide } from '../core.ts';
import type { ExitReason } from '../exit-reason.ts';
import { type Input, type Phase, phaseOf, type SupervisorState } from '../state.ts';

/**
 * A supervisor as a state chart, for whoever watches: its states are the phases of the decision core, its events the
 * core's inputs with the time they came. What is decided is emitted, for the host to carry out.
 */

/** @param now epoch milliseconds */
export type SupervisorEvent = Input & { readonly now: number };

export interface SupervisorContext {
  readonly core: SupervisorState;
}

const chart = setup({
  types: {
    context: {} as SupervisorContext,
    input: {} as SupervisorContext,
    events: {} as SupervisorEvent,
    output: {} as { reason: ExitReason | null },
    emitted: {} as { type: 'decided'; decision: Decision },
  },
  guards: {
    phaseIs: ({ context }, phase: Phase) => phaseOf(context.core) === phase,
  },
});

const step = {
  actions: chart.enqueueActions(({ context, event, enqueue }) => {
    const decision = decide(context.core, event, event.now);
    enqueue.assign({ core: decision.state });
    enqueue.emit({ type: 'decided', decision });
  }),
} as const;

const to = <const P extends Phase>(phase: P) =>
  ({ guard: { type: 'phaseIs', params: phase }, target: `#supervisor.${phase}` }) as const;

export const supervisorMachine = chart.createMachine({
  id: 'supervisor',
  context: ({ input }) => input,
  initial: 'idle',
  on: {
    start: step,
    started: step,
    ignored: step,
    start_failed: step,
    exited: step,
    spoke: step,
    tick: step,
    stop: step,
    kill: step,
    message: step,
    call: step,
  },
  states: {
    idle: { always: [to('starting'), to('running'), to('stopping'), to('ended')] },
    starting: { always: [to('running'), to('restarting'), to('stopping'), to('ended')] },
    running: { always: [to('restarting'), to('stopping'), to('ended')] },
    restarting: { always: [to('running'), to('stopping'), to('ended')] },
    stopping: { always: [to('ended')] },
    ended: { type: 'final' },
  },
  output: ({ context }) => ({ reason: context.core.ended }),
});
