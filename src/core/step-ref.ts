import { z } from 'zod';

/**
 * Where steps and results stand: entries of the run's own journal, or, with `from`, of a run that this one continues
 * (an index into the list of those, newest first).
 */

const From = z.int().min(0).optional();

/** A step: the entry of its decision and those of its outcomes. */
export const StepRef = z.strictObject({
  entry: z.int(),
  outcomes: z.array(z.int()),
  from: From,
  /** Something of what it brought may be acted on for a time only. */
  perishable: z.literal(true).optional(),
});
export type StepRef = z.infer<typeof StepRef>;

/** The result of a call, in the entry of its outcome. */
export const ResultRef = z.strictObject({ entry: z.int(), c: z.string(), from: From });
export type ResultRef = z.infer<typeof ResultRef>;

/** Calls of one run that are remembered as open. */
export const MAX_OPEN_CALLS = 16;

/**
 * A call that was given up and may have taken effect all the same. Whoever asks for the very same again is answered
 * under its key, so that it takes effect once.
 */
export const OpenCall = z.strictObject({
  c: z.string(),
  tool: z.string(),
  key: z.string(),
  /** Entry with its arguments, when an approver changed them. */
  edited: z.int().optional(),
  from: From,
});
export type OpenCall = z.infer<typeof OpenCall>;

/** A plan, in the entry that holds it; for each of its steps that is done entry, call and perhaps `from` of its result. */
export const PlanRef = z.strictObject({
  entry: z.int(),
  from: From,
  size: z.int(),
  done: z.record(z.string(), z.tuple([z.int(), z.string()], z.int())),
});
export type PlanRef = z.infer<typeof PlanRef>;
