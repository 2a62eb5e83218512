import { assign, fromCallback, setup } from 'xstate';
import { type ExitReason, exitWith, IGNORE, isClean, SHUTDOWN } from '../../supervisors/exit-reason.ts';
import type { ActorChild, ChildContext, Ref, ResourceChild, StartAnswer } from '../../supervisors/spec-types.ts';
import { type FixtureChild, raise, type StartScript, type StopScript } from './fixture.ts';
import type { SteppedClock } from './stepped-clock.ts';

/** Real children that do what a case's scripts say: an XState actor, or a plain resource. */

/** What a case can do to a running one. */
export interface LiveChild {
  die(reason: ExitReason): void;
  detach(): void;
  speak(): void;
}

/** The children that really run, by ref. */
export type LiveChildren = Map<Ref, LiveChild>;

interface Context {
  start: StartScript;
  stop: StopScript;
  exit: ExitReason | 'ignore';
  detached: boolean;
  ref: Ref;
}

type Event = { type: 'die'; reason: ExitReason } | { type: 'detach' } | { type: 'shutdown' };

/** Abnormal ends are real throws inside the actor, clean ones its final state. */
export function liveActor(child: FixtureChild, live: LiveChildren): Pick<ActorChild, 'logic' | 'ready' | 'stopEvent'> {
  const chart = setup({
    types: { context: {} as Context, events: {} as Event },
    actions: {
      crash: (_, reason: ExitReason) => raise(reason),
      stopSelf: ({ self }) => {
        (self as unknown as { stop(): void }).stop();
      },
    },
    actors: {
      // Stops with the actor, however that ends: what it says about who is alive is XState's word.
      presence: fromCallback<{ type: 'none' }, Ref>(({ input }) => () => {
        live.delete(input);
      }),
    },
    delays: {
      untilUp: ({ context }) => (context.start.do === 'late' ? context.start.ms : 0),
      untilEnded: ({ context }) => (context.stop.do === 'delay' ? context.stop.ms : 0),
    },
  });
  const logic = chart.createMachine({
    context: ({ self }) => {
      const start = child.nextStart();
      if (start.do === 'error' || start.do === 'throw') raise(start.reason);
      const exit = start.do === 'ignore' ? 'ignore' : SHUTDOWN;
      return { start, stop: child.stopScript(child.tries), exit, detached: false, ref: self.id };
    },
    invoke: { src: 'presence', input: ({ context }) => context.ref },
    initial: 'begin',
    on: {
      die: [
        {
          guard: ({ event }) => isClean(event.reason) || event.reason.type === 'killed',
          target: '.ended',
          actions: assign({ exit: ({ event }) => event.reason }),
        },
        { actions: { type: 'crash', params: ({ event }) => event.reason } },
      ],
      detach: { actions: assign({ detached: true }) },
    },
    states: {
      begin: {
        always: [
          { guard: ({ context }) => context.start.do === 'ok', target: 'up' },
          { guard: ({ context }) => context.start.do === 'ignore', target: 'ended' },
          { guard: ({ context }) => context.start.do === 'late', target: 'comingUp' },
          { target: 'hanging' },
        ],
      },
      comingUp: { after: { untilUp: 'up' } },
      hanging: {},
      up: {
        tags: 'up',
        entry: ({ context, self }) => {
          live.set(context.ref, {
            die: (reason) => self.send({ type: 'die', reason }),
            detach: () => self.send({ type: 'detach' }),
            speak: () => undefined,
          });
        },
        on: {
          shutdown: [
            { guard: ({ context }) => context.detached, actions: 'stopSelf' },
            { guard: ({ context }) => context.stop.do === 'obey', target: 'ended' },
            { guard: ({ context }) => context.stop.do === 'delay', target: 'goingDown' },
            {
              guard: ({ context: { stop } }) => stop.do === 'reason' && isClean(stop.reason),
              target: 'ended',
              actions: assign({ exit: ({ context: { stop } }) => (stop.do === 'reason' ? stop.reason : SHUTDOWN) }),
            },
            {
              guard: ({ context }) => context.stop.do === 'reason',
              actions: {
                type: 'crash',
                params: ({ context: { stop } }) => (stop.do === 'reason' ? stop.reason : SHUTDOWN),
              },
            },
          ],
        },
      },
      goingDown: { after: { untilEnded: 'ended' } },
      ended: { type: 'final' },
    },
    output: ({ context }) => (context.exit === 'ignore' ? IGNORE : exitWith(context.exit)),
  });
  return {
    logic,
    ready: (snapshot) => (snapshot as { hasTag(tag: string): boolean }).hasTag('up'),
    stopEvent: { type: 'shutdown' },
  };
}

export function liveResource(
  child: FixtureChild,
  live: LiveChildren,
  clock: SteppedClock,
): Pick<ResourceChild, 'start'>['start'] {
  const after = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      clock.after(ms, resolve);
    });
  return (context) => {
    const script = child.nextStart();
    const { tries } = child;
    switch (script.do) {
      case 'ok':
        return handle(context, child.stopScript(tries), script.info, live, after);
      case 'ignore':
        return IGNORE;
      case 'already_started':
        return { alreadyStarted: script.ref };
      case 'garbage':
        return 'garbage' as unknown as StartAnswer;
      case 'hang':
        return new Promise<StartAnswer>(() => undefined);
      case 'late':
        return after(script.ms).then(() => handle(context, child.stopScript(tries), undefined, live, after));
      default:
        return raise(script.reason);
    }
  };
}

function handle(
  { ref, exit, signal }: ChildContext,
  script: StopScript,
  info: string | undefined,
  live: LiveChildren,
  after: (ms: number) => Promise<void>,
): StartAnswer {
  const end = (reason: ExitReason): void => {
    live.delete(ref);
    exit(reason);
  };
  live.set(ref, { die: end, detach: () => undefined, speak: () => exit(SHUTDOWN) });
  signal.addEventListener('abort', () => live.delete(ref));
  return {
    ...(info === undefined ? {} : { info }),
    stop: () => {
      if (script.do === 'hang') return new Promise<void>(() => undefined);
      if (script.do === 'delay') return after(script.ms).then(() => end(SHUTDOWN));
      if (script.do === 'reason' && !isClean(script.reason)) {
        live.delete(ref);
        return raise(script.reason);
      }
      end(script.do === 'reason' ? script.reason : SHUTDOWN);
      return undefined;
    },
  };
}
