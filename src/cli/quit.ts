import type { Stack } from '../app.ts';
import { EXIT } from './failure.ts';

/**
 * Ctrl-C and SIGTERM: the first asks to stop, a second one forces it. npm passes a Ctrl-C on to a process that got it
 * from the terminal as well, so what comes within half a second is the same Ctrl-C.
 */

const SAME_MS = 500;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export interface Quit {
  /** Resolves at the first signal; pending for ever otherwise. */
  readonly asked: Promise<'asked'>;
  readonly wasAsked: boolean;
  /** Signals do again what they do by default. */
  release(): void;
}

export function onQuit(force: () => void): Quit {
  let first: number | null = null;
  let resolve: (asked: 'asked') => void = () => {};
  const asked = new Promise<'asked'>((settle) => {
    resolve = settle;
  });
  const heard = () => {
    const now = performance.now();
    if (first === null) {
      first = now;
      resolve('asked');
    } else if (now - first > SAME_MS) force();
  };
  for (const signal of SIGNALS) process.on(signal, heard);
  return {
    asked,
    get wasAsked() {
      return first !== null;
    },
    release: () => {
      for (const signal of SIGNALS) process.off(signal, heard);
    },
  };
}

/** Leaves at once: leases run out, journals stay. The server would stay behind, so it is told to end. */
export function forceQuit(stack: Stack | null): never {
  const server = stack?.embedded?.serverPid() ?? null;
  try {
    if (server !== null) process.kill(server, 'SIGTERM');
  } catch {
    // Gone already.
  }
  process.exit(EXIT.interrupted);
}
