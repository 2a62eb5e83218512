import { z } from 'zod';
import { isRunId, MAX_RUN_ID } from './ids.ts';
import { Json, JsonObject } from './json.ts';
import { LimitOverrides } from './limits.ts';
import { Plan } from './plan.ts';

/** Largest task body, bytes. */
export const MAX_TASK_BYTES = 256 * 1024;

/** A name of an agent or a user: any text of 1 to 64 characters without control characters. */
export const Name = z
  .string()
  .min(1, 'expected 1 to 64 characters')
  .max(64, 'expected 1 to 64 characters')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is being refused
  .regex(/^[^\u0000-\u001f\u007f]+$/, 'expected no control characters')
  .refine((name) => name.isWellFormed(), 'expected well-formed Unicode');

/** The body of a task (RUN-1), version 1. */
export const Task = z.strictObject({
  v: z.literal(1).default(1),
  /** What the agent is asked: a text, or any JSON value that the agent understands. */
  input: Json,
  context: JsonObject.optional(),
  session_id: z.string().min(1).max(128).optional(),
  /** When the submitter made the task; ISO 8601. */
  created_at: z.iso.datetime({ offset: true }).optional(),
  plan: Plan.optional(),
  priority: z.enum(['high', 'normal', 'low']).default('normal'),
  /** The run does not begin before this moment; ISO 8601. */
  not_before: z.iso.datetime({ offset: true }).optional(),
  limits: LimitOverrides.optional(),
  /** Two tasks of one user with the same key are one run. */
  key: z.string().min(1).max(256).optional(),
  /** The run that had this task before: a retry by an operator. */
  retry_of: z.string().max(MAX_RUN_ID).refine(isRunId, 'expected a run id').optional(),
  /** The user; when given it must be the one that the subject names. */
  user: Name.optional(),
});
export type Task = z.infer<typeof Task>;
