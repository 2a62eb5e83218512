import { type AnyActorLogic, type AnyActorRef, type AnyActorScope, createActor, type EventObject } from 'xstate';
import type { ChildRun } from '../child-spec.ts';
import { type ExitReason, exitOf, failure, failureOf, NORMAL, SHUTDOWN } from '../exit-reason.ts';
import type { Ref } from '../spec-types.ts';
import type { Incarnation, SupervisorClock, TreeEnv, Voice } from './incarnation.ts';

/**
 * A child that is an XState actor: a root actor of its own, so that its crash reaches its supervisor and nobody else,
 * always with an observer that takes errors (without one the process would die).
 */

type ActorRun = ChildRun & { kind: 'actor' };

export function startActor(run: ActorRun, ref: Ref, input: unknown, env: TreeEnv, voice: Voice): Incarnation {
  const { logic, stopOrphans } = watched(run.logic);
  let up = false;
  let asked = false;
  let silent = false;
  const actor = createActor(logic, {
    id: ref,
    input,
    clock: xstateClock(env.clock),
    ...(env.inspect === null ? {} : { inspect: env.inspect }),
  });

  const ended = (reason: ExitReason): void => {
    if (silent) return;
    silent = true;
    if (up) voice.exited(reason);
    else voice.failed(reason);
  };
  const completed = (): void => {
    if (silent) return;
    const { status, output } = actor.getSnapshot();
    const own = status === 'done' ? exitOf(output) : null;
    if (!up && own === 'ignore') {
      silent = true;
      voice.ignored();
      return;
    }
    if (!up && run.ready === null && status === 'done') {
      up = true;
      voice.started();
    }
    if (status === 'done') ended(own === null || own === 'ignore' ? (asked ? SHUTDOWN : NORMAL) : own);
    else ended(asked ? SHUTDOWN : failure('stopped', 'the actor was stopped by someone other than its supervisor'));
  };

  actor.subscribe({
    next: (snapshot) => {
      if (up || silent || snapshot.status !== 'active') return;
      try {
        if (run.ready !== null && !run.ready(snapshot)) return;
      } catch (error) {
        ended(failureOf(error));
        actor.stop();
        return;
      }
      up = true;
      voice.started();
    },
    error: (error) => {
      stopOrphans(actor.getSnapshot());
      ended(failureOf(error));
    },
    complete: completed,
  });
  actor.start();

  return {
    shutdown: () => {
      if (silent) return;
      asked = true;
      if (run.stopEvent === null) actor.stop();
      else actor.send(run.stopEvent);
    },
    kill: () => {
      silent = true;
      actor.stop();
    },
    deliver: (message) => {
      if (isEvent(message)) actor.send(message);
    },
    tree: () => null,
  };
}

function isEvent(message: unknown): message is EventObject {
  return typeof message === 'object' && message !== null && 'type' in message && typeof message.type === 'string';
}

/** An actor that throws leaves its own children running (XState issue 5153); with its scope they can be stopped. */
function watched(logic: AnyActorLogic): { logic: AnyActorLogic; stopOrphans: (snapshot: unknown) => void } {
  let scope: AnyActorScope | null = null;
  const getInitialSnapshot = (given: AnyActorScope, input: unknown): unknown => {
    scope = given;
    return logic.getInitialSnapshot(given, input);
  };
  return {
    logic: Object.create(logic, { getInitialSnapshot: { value: getInitialSnapshot } }) as AnyActorLogic,
    stopOrphans: (snapshot) => {
      const { children } = snapshot as { children?: Record<string, AnyActorRef> };
      for (const child of Object.values(children ?? {})) scope?.stopChild(child);
    },
  };
}

/** So that `after` and delayed events of children run on the tree's clock. */
function xstateClock(clock: SupervisorClock): {
  setTimeout: (action: () => void, ms: number) => () => void;
  clearTimeout: (cancel: (() => void) | undefined) => void;
} {
  return {
    setTimeout: (action, ms) => clock.after(ms, action),
    clearTimeout: (cancel) => cancel?.(),
  };
}
