import type { ChildRun } from '../child-spec.ts';
import { exitOf, failure, failureOf, SHUTDOWN } from '../exit-reason.ts';
import type { Ref, ResourceHandle, StartAnswer } from '../spec-types.ts';
import type { Incarnation, Voice } from './incarnation.ts';

/** A child that is anything with a start and a stop. A start that is given up too late is ended all the same. */

type ResourceRun = ChildRun & { kind: 'resource' };

export function startResource(run: ResourceRun, ref: Ref, input: unknown, voice: Voice): Incarnation {
  const abort = new AbortController();
  let handle: ResourceHandle | null = null;

  const settle = (answer: StartAnswer): void => {
    if (typeof answer !== 'object' || answer === null) {
      voice.failed(failure('bad_return', 'the start function returned neither a handle nor IGNORE; return { stop }'));
      return;
    }
    const exit = exitOf(answer);
    if (exit === 'ignore') voice.ignored();
    else if (exit !== null) voice.failed(exit);
    else if ('alreadyStarted' in answer) {
      const text = `it is already running as ${answer.alreadyStarted}`;
      voice.failed(failure('already_started', text), answer.alreadyStarted);
    } else {
      handle = answer as ResourceHandle;
      if (!voice.started(handle.info)) close(handle, () => undefined);
    }
  };
  const failed = (error: unknown): void => voice.failed(failureOf(error));
  try {
    const answer = run.start({ ref, input, signal: abort.signal, exit: (reason) => voice.exited(reason) });
    if (isThenable(answer)) answer.then(settle).catch(failed);
    else settle(answer);
  } catch (error) {
    failed(error);
  }

  return {
    shutdown: () => {
      if (handle?.stop === undefined) {
        abort.abort();
        voice.exited(SHUTDOWN);
      } else {
        close(handle, (error) => voice.exited(error === undefined ? SHUTDOWN : failureOf(error.thrown)));
      }
    },
    kill: () => abort.abort(),
    deliver: (message) => {
      try {
        handle?.receive?.(message);
      } catch (error) {
        voice.exited(failureOf(error));
      }
    },
    tree: () => null,
  };
}

/** Stops it; a stop that does so at once is heard at once. */
function close(handle: ResourceHandle, done: (error?: { thrown: unknown }) => void): void {
  try {
    const stopping = handle.stop?.();
    if (!isThenable(stopping)) done();
    else {
      stopping.then(
        () => done(),
        (thrown: unknown) => done({ thrown }),
      );
    }
  } catch (thrown) {
    done({ thrown });
  }
}

function isThenable<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
