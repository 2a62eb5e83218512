import { progress } from './report.ts';

/**
 * Gives the whole program so long, milliseconds; then it ends with 1. Its server, its children and its browser end with
 * it: a process that died, or a page that hangs, leaves nobody waiting for ever.
 */
export function endAfter(ms: number): void {
  const timer = setTimeout(() => {
    progress(`VIOLATED: not over after ${Math.round(ms / 60_000)} minutes`);
    process.exit(1);
  }, ms);
  timer.unref();
}
