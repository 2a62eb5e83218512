import { assign, setup } from 'xstate';
import type { FallbackTo } from '../../src/core/fallback.ts';
import { FAILURE_CODES, type FailureCode, type ReasonCode } from '../../src/core/reasons.ts';
import type { RunCall, RunContext } from '../../src/core/run-state.ts';
import {
  answerStep,
  beginStep,
  failedThink,
  fellBack,
  retriedThink,
  startClock,
  stopClock,
  thoughtStep,
} from './account.ts';
import { callApproved, callAsked } from './approvals.ts';
import {
  backoff,
  type CallsAre,
  callFailed,
  callRetried,
  callSucceeded,
  callsAre,
  completesStep,
  endStep,
  finishStep,
  isCall,
  resolveCall,
  withCall,
} from './calls.ts';
import { acceptedContext, type ChartEventOf, EMPTY_CONTEXT, type RunChartEvent } from './context.ts';
import { awaitsEnd, memberEnded, memberStopped } from './team.ts';

/**
 * The life of one agent run (RUN-2, RUN-3), as a chart to watch.
 *
 * It is pure: events come from the run's journal with their moment, nothing is invoked, no clock is read. What the run
 * wants done in the world follows from where it stands (`wanted.ts`). Operator and limit events are declared once, at
 * the top, and every state obeys them; only the two ends do not.
 */

/** Where a held run may go back to. */
const RESUMABLE = [
  'idle.scheduled',
  'thinking.planning',
  'thinking.deciding',
  'thinking.reviewing',
  'executing.calling',
  'executing.delegating',
  'waiting.approval',
  'waiting.person',
  'waiting.child',
  'waiting.backing_off',
  'waiting.budget',
] as const;
type Resumable = (typeof RESUMABLE)[number];

const PHASES = ['planning', 'deciding', 'reviewing'] as const;
type Phase = (typeof PHASES)[number];

/** A call that is to be made, or is being made. */
const OPEN: RunCall['status'][] = ['ready', 'started'];

const chart = setup({
  types: { context: {} as RunContext, events: {} as RunChartEvent },
  actions: {
    accept: assign(({ event }) => acceptedContext(event as ChartEventOf<'accepted'>)),
    start: assign(({ context, event }) => ({ started_at: event.at, deadline_at: event.at + context.limits.wall_ms })),
    beginStep: assign(({ context, event }) => beginStep(context, event as ChartEventOf<'decided'>)),
    thoughtStep: assign(({ context, event }) => thoughtStep(context, event as ChartEventOf<'decided'>)),
    answerStep: assign(({ context, event }) => answerStep(context, event as ChartEventOf<'decided'>)),
    failedThink: assign(({ context, event }) => failedThink(context, event as ChartEventOf<'think_failed'>)),
    retriedThink: assign(({ context, event }) => retriedThink(context, event as ChartEventOf<'think_retry'>)),
    fellBack: assign(({ context, event }) => fellBack(context, event as ChartEventOf<'using_fallback'>)),
    askFor: assign((_, params: { phase: Phase }) => ({ think_phase: params.phase })),
    backOff: assign(({ context, event }) => ({ not_before: event.at + backoff(context, context.failing) })),
    endStep: assign(({ context, event }) => endStep(context, event.at)),
    callStarted: assign(({ context, event }) => {
      const { c, start_by, epoch } = event as ChartEventOf<'call_started'>;
      return withCall(context, c, ['ready'], () => ({ status: 'started', started: { epoch, start_by } }));
    }),
    callDone: assign(({ context, event }) => {
      const done = event as ChartEventOf<'call_done'>;
      return callSucceeded(context, done, done.ms);
    }),
    callRetried: assign(({ context, event }) => callRetried(context, event as ChartEventOf<'call_retry'>)),
    finishStep: assign(({ context, event }) => finishStep(context, event as ChartEventOf<'call_done'>)),
    callFailed: assign(({ context, event }) => {
      const failed = event as ChartEventOf<'call_failed'>;
      return callFailed(context, failed, failed.ms);
    }),
    callUnknown: assign(({ context, event }) => {
      const { c } = event as ChartEventOf<'outcome_unknown'>;
      return { ...withCall(context, c, OPEN, () => ({ status: 'person' })), unknown: [...context.unknown, c] };
    }),
    callResolved: assign(({ context, event }) => resolveCall(context, event as ChartEventOf<'resolved'>)),
    callApproved: assign(({ context, event }) => callApproved(context, event as ChartEventOf<'approval_decided'>)),
    callAsked: assign(({ context, event }) => callAsked(context, event as ChartEventOf<'approval_asked'>)),
    callRefused: assign(({ context, event }) =>
      withCall(context, (event as ChartEventOf<'approval_expired'>).c, ['approval'], () => ({
        status: 'refused',
        outcome: event.n,
      })),
    ),
    childStarted: assign(({ context, event }) => {
      const { c, run } = event as ChartEventOf<'delegated'>;
      return withCall(context, c, ['child_ready'], () => ({ status: 'child', child: run }));
    }),
    childEnded: assign(({ context, event }) => memberEnded(context, event as ChartEventOf<'child_ended'>)),
    memberStopped: assign(({ context, event }) => memberStopped(context, event as ChartEventOf<'member_stopped'>)),
    stopClock: assign(({ context, event }) => stopClock(context, event.at)),
    startClock: assign(({ context, event }) => startClock(context, event.at)),
    holdAfterStep: assign(({ context, event }) => ({
      hold: event.type === 'pause' || context.hold === 'pause' ? ('pause' as const) : ('drain' as const),
    })),
    noHold: assign({ hold: null }),
    holdStill: assign({ hold: 'pause' as const }),
    resumeTo: assign((_, params: { path: Resumable }) => ({ resume_to: params.path })),
    end: assign(({ event }, params: { code: ReasonCode }) => ({
      end: {
        code: params.code,
        detail: detailOf(event),
        at: event.at,
        ...('error' in event && event.error !== undefined ? { error: event.error } : {}),
      },
      clock_stopped_at: null,
    })),
  },
  guards: {
    alive: ({ context }) => context.end === null,
    callsAre: ({ context }, params: { are: CallsAre }) => context.calls.length > 0 && callsAre(context) === params.are,
    callsAreNot: ({ context }, params: { are: CallsAre }) => callsAre(context) !== params.are,
    lastCall: ({ context, event }) => 'c' in event && completesStep(context, event.c),
    open: ({ context, event }) => 'c' in event && isCall(context, event.c, OPEN),
    failable: ({ context, event }) =>
      'c' in event && isCall(context, event.c, ['ready', 'started', 'child_ready', 'stopping']),
    ready: ({ context, event }) => 'c' in event && isCall(context, event.c, ['ready']),
    awaitsPerson: ({ context, event }) => 'c' in event && isCall(context, event.c, ['person']),
    awaitsApproval: ({ context, event }) => 'c' in event && isCall(context, event.c, ['approval']),
    awaitsChild: ({ context, event }) => 'c' in event && isCall(context, event.c, ['child_ready']),
    awaitsEnd: ({ context, event }) => event.type === 'child_ended' && awaitsEnd(context, event),
    approved: ({ context, event }) =>
      event.type === 'approval_decided' && event.verdict === 'approved' && isCall(context, event.c, ['approval']),
    dueFor: ({ context, event }, params: { phase: Phase }) =>
      event.at >= context.not_before && context.think_phase === params.phase,
    tooEarly: ({ context, event }) => event.at < context.not_before,
    decides: ({ event }, params: { action: string }) =>
      event.type === 'decided' && event.decision.action === params.action,
    reviews: ({ context, event }) =>
      context.review && event.type === 'decided' && event.decision.action === 'final_answer',
    accepts: ({ event }) =>
      event.type === 'decided' && event.decision.action === 'review' && event.decision.verdict === 'accept',
    plans: ({ context }) => context.planning,
    isLimit: ({ context, event }, params: { code: FailureCode }) =>
      context.end === null && event.type === 'limit' && event.code === params.code,
    wasIn: ({ context }, params: { path: Resumable }) => context.resume_to === params.path,
    answersDegraded: ({ context, event }) =>
      (context.failing > 0 || context.fallback !== undefined) &&
      event.type === 'decided' &&
      event.decision.action === 'final_answer',
    degraded: ({ context }) => context.degraded !== null,
    fallsBackOn: ({ event }, params: { to: FallbackTo['to'] }) =>
      event.type === 'using_fallback' && event.link.to === params.to,
    outOfTime: ({ context, event }) =>
      context.end === null && event.type === 'using_fallback' && event.kind === 'time' && event.link.to === 'person',
    callsGivenUp: ({ context, event }) =>
      context.end === null && event.type === 'using_fallback' && event.kind === 'tool' && event.link.to === 'person',
    throttled: ({ event }) => event.type === 'think_retry' && event.error.code === 'rate_limit',
    noModel: ({ event }) => event.type === 'think_failed' && event.error.code === 'no_model',
    hopeless: ({ event }) => event.type === 'think_failed' && !event.error.retryable,
    lastFailure: ({ context }) => context.failing + 1 >= context.limits.failing_steps,
    holding: ({ context }) => context.hold !== null,
    pausing: ({ context }) => context.hold === 'pause',
  },
});

function detailOf(event: RunChartEvent): string {
  if ('detail' in event) return event.detail;
  if ('why' in event) {
    const scope = 'scope' in event && event.scope !== undefined ? `switch ${event.scope}, ` : '';
    return `${scope}by ${event.by}: ${event.why}`;
  }
  if (event.type === 'think_failed' || event.type === 'call_failed' || event.type === 'using_fallback')
    return event.error.message;
  return '';
}

const end = (code: ReasonCode) => ({ type: 'end' as const, params: { code } });
const resumeTo = (path: Resumable) => ({ type: 'resumeTo' as const, params: { path } });
const failedBy = (code: FailureCode) => ({ target: `#run.failed.${code}` as const, actions: end(code) });

/** A state that can be left at once when an operator pauses or a fold fails. */
const holdable = (path: Resumable) => ({
  pause: { target: '#run.waiting.paused', actions: [resumeTo(path)] },
  drain: { target: '#run.waiting.paused', actions: [resumeTo(path)] },
  resume: { actions: 'noHold' as const },
  quarantined: { target: '#run.idle.held', actions: resumeTo(path) },
});

/**
 * A state in which calls may be under way: they are never cut off, the run is held when its step has ended. Drained, it
 * makes all calls of the step; paused, it begins none, so its clock stands still from then on.
 */
const heldAfterStep = (path: Resumable) => ({
  pause: { actions: ['holdAfterStep' as const, 'stopClock' as const] },
  drain: { actions: 'holdAfterStep' as const },
  resume: { actions: ['noHold' as const, 'startClock' as const] },
  quarantined: { target: '#run.idle.held', actions: resumeTo(path) },
});

const backTo = RESUMABLE.map((path) => ({
  guard: { type: 'wasIn' as const, params: { path } },
  target: `#run.${path}`,
}));
const resumes = backTo.map((arrow) => ({ ...arrow, actions: 'noHold' as const }));

/** What can become of the calls of a step, wherever the step stands. */
const callEvents = {
  call_started: { guard: 'ready', actions: 'callStarted' },
  call_done: [
    { guard: 'lastCall', target: '#run.thinking.deciding', actions: 'finishStep' },
    { guard: 'open', actions: 'callDone' },
  ],
  call_retry: { guard: 'open', actions: 'callRetried' },
  call_failed: { guard: 'failable', actions: 'callFailed' },
  outcome_unknown: { guard: 'open', actions: 'callUnknown' },
  resolved: { guard: 'awaitsPerson', actions: 'callResolved' },
  approval_decided: [
    { guard: 'approved', actions: 'callApproved' },
    { guard: 'awaitsApproval', actions: 'callRefused' },
  ],
  approval_asked: { guard: 'awaitsApproval', actions: 'callAsked' },
  approval_expired: { guard: 'awaitsApproval', actions: 'callRefused' },
  delegated: { guard: 'awaitsChild', actions: 'childStarted' },
  member_stopped: { actions: 'memberStopped' },
  child_ended: { guard: 'awaitsEnd', actions: 'childEnded' },
} as const;

/** In the order of how often they are taken: an arrow is only looked at when those before it were not. */
const PLACES: Record<CallsAre, { target: string; actions?: object | object[] }> = {
  done: { target: '#run.thinking.deciding', actions: [{ type: 'endStep' }] },
  failed: { target: '#run.waiting.backing_off', actions: [{ type: 'endStep' }] },
  calling: { target: '#run.executing.calling' },
  retrying: { target: '#run.executing.retrying' },
  delegating: { target: '#run.executing.delegating' },
  approval: { target: '#run.waiting.approval' },
  person: { target: '#run.waiting.person' },
  child: { target: '#run.waiting.child' },
  spent: { target: '#run.failed.max_retries', actions: [{ type: 'endStep' }, end('max_retries')] },
  handed_over: {
    target: '#run.failed.queued_for_human',
    actions: [{ type: 'endStep' }, end('queued_for_human')],
  },
  held_failed: { target: '#run.waiting.paused', actions: [{ type: 'endStep' }, resumeTo('waiting.backing_off')] },
  held: { target: '#run.waiting.paused', actions: [{ type: 'endStep' }, resumeTo('thinking.deciding')] },
};

/** The step stands somewhere else now: on to where it belongs. */
const leave = (self: CallsAre) => ({
  guard: { type: 'callsAreNot' as const, params: { are: self } },
  target: '#run.executing.settling',
});

const everyPlace = (Object.keys(PLACES) as CallsAre[]).map((are) => ({
  guard: { type: 'callsAre' as const, params: { are } },
  ...PLACES[are],
})) as never;

const decides = (action: string) => ({ type: 'decides' as const, params: { action } });

const askFor = (phase: Phase) => ({ type: 'askFor' as const, params: { phase } });

const fallsBackOn = (to: FallbackTo['to']) => ({ type: 'fallsBackOn' as const, params: { to } });

/** What a run goes on with that cannot go on as it began: the same question, or a last one without tools, or none. */
const fallsBack = (phase: Phase) =>
  ({
    using_fallback: [
      {
        guard: fallsBackOn('person'),
        target: '#run.failed.queued_for_human',
        actions: ['fellBack', end('queued_for_human')],
      },
      { guard: fallsBackOn('cached'), target: '#run.completed.degraded', actions: ['fellBack', end('completed')] },
      {
        guard: 'holding',
        target: '#run.waiting.paused',
        actions: ['fellBack', resumeTo('thinking.deciding')],
      },
      { guard: fallsBackOn('plain'), target: '#run.thinking.deciding', reenter: true, actions: ['fellBack'] },
      { target: `#run.thinking.${phase}`, reenter: true, actions: ['fellBack'] },
    ],
  }) as object;

/** What a failed model call leads to: a retry comes back to the same question, and so does the step after a failed one. */
const failedAt = (phase: Phase) =>
  ({
    think_retry: [
      {
        guard: 'holding',
        target: '#run.waiting.paused',
        actions: ['retriedThink', askFor(phase), resumeTo('waiting.backing_off')],
      },
      { guard: 'throttled', target: '#run.waiting.budget', actions: ['retriedThink', askFor(phase)] },
      { target: '#run.waiting.backing_off', actions: ['retriedThink', askFor(phase)] },
    ],
    think_failed: [
      { guard: 'noModel', target: '#run.failed.no_model', actions: ['failedThink', end('no_model')] },
      { guard: 'hopeless', target: '#run.failed.error', actions: ['failedThink', end('error')] },
      { guard: 'lastFailure', target: '#run.failed.max_retries', actions: ['failedThink', end('max_retries')] },
      {
        guard: 'holding',
        target: '#run.waiting.paused',
        actions: ['failedThink', 'backOff', askFor(phase), resumeTo('waiting.backing_off')],
      },
      { target: '#run.waiting.backing_off', actions: ['failedThink', 'backOff', askFor(phase)] },
    ],
  }) as object;

const thinkingHold = (phase: Phase) => ({
  ...holdable(`thinking.${phase}`),
  drain: { actions: 'holdAfterStep' as const },
  ...failedAt(phase),
  ...fallsBack(phase),
});

/** The moment has come: back to what the model was asked for. */
const askAgain = PHASES.map((phase) => ({
  guard: { type: 'dueFor' as const, params: { phase } },
  target: `#run.thinking.${phase}` as const,
}));

export const agentRunMachine = chart.createMachine({
  id: 'run',
  context: EMPTY_CONTEXT,
  initial: 'idle',
  on: {
    cancel: { guard: 'alive', ...failedBy('cancelled') },
    kill: { guard: 'alive', ...failedBy('killed') },
    deadline: { guard: 'alive', ...failedBy('timeout') },
    using_fallback: [
      {
        guard: 'outOfTime',
        target: '#run.failed.queued_for_human',
        actions: ['fellBack', end('queued_for_human')],
      },
      // What its last call came to stands behind it in the same entry, and ends the run.
      { guard: 'callsGivenUp', actions: 'fellBack' },
    ],
    loop: { guard: 'alive', ...failedBy('loop_detected') },
    limit: FAILURE_CODES.map((code) => ({ guard: { type: 'isLimit' as const, params: { code } }, ...failedBy(code) })),
  },
  states: {
    idle: {
      description: 'The run is accepted and does nothing yet.',
      initial: 'accepted',
      states: {
        accepted: {
          description: 'Stored; waits for a node to take it.',
          on: {
            ...holdable('idle.scheduled'),
            accepted: { actions: 'accept' },
            claimed: [
              { guard: 'tooEarly', target: 'scheduled' },
              { guard: 'plans', target: '#run.thinking.planning', actions: 'start' },
              { target: '#run.thinking.deciding', actions: 'start' },
            ],
          },
        },
        scheduled: {
          description: 'Waits for the moment that its task named.',
          on: {
            ...holdable('idle.scheduled'),
            timer: [
              { guard: 'tooEarly' },
              { guard: 'plans', target: '#run.thinking.planning', actions: 'start' },
              { target: '#run.thinking.deciding', actions: 'start' },
            ],
          },
        },
        held: {
          description: 'An entry of its journal could not be folded; an operator decides.',
          entry: 'stopClock',
          exit: 'startClock',
          // What was on its way still counts, and so does an operator's word: it holds from the release on.
          on: {
            ...(callEvents as object),
            pause: { actions: 'holdAfterStep' },
            drain: { actions: 'holdAfterStep' },
            resume: { actions: 'noHold' },
            released: [{ guard: 'pausing', target: '#run.waiting.paused' }, ...backTo] as never,
          },
        },
      },
    },
    thinking: {
      description: 'The model is asked.',
      initial: 'deciding',
      states: {
        planning: {
          description: 'For a plan.',
          on: {
            ...thinkingHold('planning'),
            decided: { target: 'deciding', actions: 'thoughtStep' },
          },
        },
        deciding: {
          description: 'For the next action.',
          on: {
            ...thinkingHold('deciding'),
            decided: [
              { guard: decides('tool_call'), target: '#run.executing.calling', actions: 'beginStep' },
              { guard: decides('delegate'), target: '#run.executing.delegating', actions: 'beginStep' },
              { guard: decides('ask_human'), target: '#run.waiting.person', actions: 'beginStep' },
              { guard: 'reviews', target: 'reviewing', actions: 'answerStep' },
              {
                guard: 'answersDegraded',
                target: '#run.completed.degraded',
                actions: ['answerStep', end('completed')],
              },
              {
                guard: decides('final_answer'),
                target: '#run.completed.answered',
                actions: ['answerStep', end('completed')],
              },
              {
                guard: 'holding',
                target: '#run.waiting.paused',
                actions: ['thoughtStep', resumeTo('thinking.deciding')],
              },
              { target: 'deciding', reenter: true, actions: 'thoughtStep' },
            ],
          },
        },
        reviewing: {
          description: 'Whether its draft answers the task.',
          on: {
            ...thinkingHold('reviewing'),
            decided: [
              { guard: 'accepts', target: 'accepted', actions: 'thoughtStep' },
              { target: 'deciding', actions: 'thoughtStep' },
            ],
          },
        },
        accepted: {
          description: 'The review is passed.',
          always: [
            { guard: 'degraded', target: '#run.completed.degraded', actions: end('completed') },
            { target: '#run.completed.answered', actions: end('completed') },
          ],
        },
      },
    },
    executing: {
      description: 'A decision is carried out.',
      initial: 'calling',
      on: callEvents as never,
      states: {
        settling: {
          description: 'Outcomes came in: how the calls stand decides where the run goes.',
          always: everyPlace,
        },
        calling: {
          description: 'Its tool calls run, in parallel.',
          always: leave('calling'),
          on: heldAfterStep('executing.calling'),
        },
        retrying: {
          description: 'A call failed for a passing reason and is made again.',
          always: leave('retrying'),
          on: heldAfterStep('executing.calling'),
        },
        delegating: {
          description: 'Other agents are being given their parts, or told to stop.',
          always: leave('delegating'),
          on: heldAfterStep('executing.delegating'),
        },
      },
    },
    waiting: {
      description: 'Nothing runs; somebody or some moment is awaited.',
      initial: 'paused',
      on: callEvents as never,
      states: {
        approval: {
          description: 'A call needs an approval.',
          entry: 'stopClock',
          exit: 'startClock',
          always: leave('approval'),
          on: holdable('waiting.approval'),
        },
        person: {
          description: 'A person is asked, or decides what became of a call.',
          entry: 'stopClock',
          exit: 'startClock',
          always: leave('person'),
          on: holdable('waiting.person'),
        },
        child: {
          description: 'Delegated runs work, or come to their end.',
          always: leave('child'),
          on: holdable('waiting.child'),
        },
        backing_off: {
          description: 'A step or a model call failed; the next try is later.',
          on: { ...holdable('waiting.backing_off'), timer: askAgain },
        },
        budget: {
          description: 'The model or a budget has no room now.',
          on: { ...holdable('waiting.budget'), timer: askAgain },
        },
        paused: {
          description: 'An operator paused it.',
          entry: 'stopClock',
          exit: 'startClock',
          on: {
            resume: resumes as never,
            quarantined: { target: '#run.idle.held', actions: 'holdStill' },
          },
        },
      },
    },
    completed: {
      description: 'It gave its answer.',
      initial: 'answered',
      states: {
        answered: { type: 'final' },
        degraded: { type: 'final', description: 'Not in full; the result says how.' },
      },
    },
    failed: {
      description: 'It ended without an answer; the state inside names the reason.',
      initial: 'error',
      states: Object.fromEntries(FAILURE_CODES.map((code) => [code, { type: 'final' as const }])) as Record<
        FailureCode,
        { type: 'final' }
      >,
    },
  },
});
