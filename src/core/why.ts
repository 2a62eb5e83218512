import { z } from 'zod';
import { RunId } from './events.ts';

/** Why a run stands where it stands (RUN-14). Moments are epoch milliseconds. */
export const Why = z.object({
  run: RunId,
  state: z.string(),
  /** All of it in one line. */
  text: z.string().max(2_048),
  /** What it waits for; null when it has ended, unless its task waits for a person. */
  waiting_for: z.string().max(1_024).nullable(),
  /** When it came to stand there. */
  since: z.int(),
  /** The moment at which it goes on or is given up; null when nothing is set. */
  until: z.int().nullable(),
  /** Who can unblock it, and how. */
  who: z.string().max(512),
  /** No node, no queued activation and no stored wake-up will move it: somebody must. */
  orphaned: z.boolean(),
});
export type Why = z.infer<typeof Why>;
