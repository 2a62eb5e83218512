import { z } from 'zod';
import { RunId } from './events.ts';

/** The message of the queue that makes its holder the owner of a run. Version 1. */
export const ActivationBody = z.strictObject({
  v: z.literal(1),
  run: RunId,
  /** Set on the one that intake writes: there is no snapshot to look for. */
  first: z.boolean().optional(),
  /** Sequences of inbox messages that the owner must journal before it may park again. */
  carry: z.array(z.int().min(0)).max(64).optional(),
});
export type ActivationBody = z.infer<typeof ActivationBody>;
