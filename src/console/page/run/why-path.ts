import type { Fault, RunHead, Why } from '../../wire.ts';

/**
 * Where a node is asked what a run waits for; null while nobody needs to be. That costs the node a reading of the journal,
 * so it is not done for each entry of a run that works: what that has under way stands in its head. When all of it should
 * have been given up, only a node can tell whether anybody has the run.
 */
export function whyPath(
  {
    run,
    n,
    reading,
    ended_at,
    pause,
    working,
  }: Pick<RunHead, 'run' | 'n' | 'reading' | 'ended_at' | 'pause' | 'working'>,
  now: number,
): string | null {
  if (ended_at !== null || reading) return null;
  const isUnderWay = working.some(({ until }) => now < until);
  return isUnderWay && pause === null ? null : `/api/runs/${run}/why?n=${n}`;
}

/** The answer, as far as it is a word on where the run stands now: one of before, kept until the next is there, may not be. */
export function whyNow({ state }: Pick<RunHead, 'state'>, data: Why | null, fault: Fault | null): Why | null {
  return fault === null && (data?.state === state || data?.state === 'unreadable') ? data : null;
}
