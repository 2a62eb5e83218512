import { z } from 'zod';
import { JsonObject } from './json.ts';
import { Volatile } from './loops.ts';

/** What a tool does to the world: `destructive` cannot be undone. */
export const Effect = z.enum(['read', 'write', 'destructive']);
export const Risk = z.enum(['low', 'medium', 'high']);

/** The call that makes up for one that took effect: its arguments come from those of that call, or from its result. */
export const Compensation = z.strictObject({
  tool: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'expected the name of a tool'),
  args: z
    .record(
      z.string().min(1).max(64),
      z
        .string()
        .max(256)
        .regex(/^(?:args|result)(?:\.[^.\s]+)*$/, 'expected a path such as args.order or result.id'),
    )
    .default({}),
});
export type Compensation = z.infer<typeof Compensation>;

/** A tool as its worker announces it (TOOL-1). Undeclared means the careful choice: a write that must not be repeated. */
export const ToolDefinition = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'expected 1 to 64 letters, digits, _ or -'),
  version: z.string().min(1).max(32).default('1.0.0'),
  description: z.string().max(4096),
  /** JSON Schema of the arguments, an object at the top. */
  parameters: JsonObject,
  /** JSON Schema of the result. */
  result: JsonObject.optional(),
  effect: Effect.default('write'),
  risk: Risk.default('low'),
  requires_approval: z.boolean().default(false),
  /** The argument that is an amount, as a dotted path such as `order.total`: a large one needs an approval (APPR-1). */
  amount_field: z
    .string()
    .regex(/^[^.\s]+(?:\.[^.\s]+)*$/, 'expected the path of an argument, such as order.total')
    .max(128)
    .optional(),
  /** The argument that says what the call is about, such as `path`: permissions are given for it (SEC-1). */
  resource_field: z
    .string()
    .regex(/^[^.\s]+(?:\.[^.\s]+)*$/, 'expected the path of an argument, such as path or order.id')
    .max(128)
    .optional(),
  /** What makes up for a call that took effect, when a person starts it (OPS-8). */
  compensation: Compensation.optional(),
  /** True: its results come from outside, such as web pages and mails, and may hold instructions of strangers (SEC-5). */
  untrusted: z.boolean().optional(),
  /** True: its arguments reach somebody outside, whatever its effect. */
  egress: z.boolean().optional(),
  /** True: the handler may run again with the same idempotency key without a second effect (TOOL-5). */
  idempotent: z.boolean().default(false),
  timeout_ms: z.int().min(10).max(86_400_000).default(30_000),
  /** What differs from call to call and says nothing; loop detection leaves it out. */
  volatile: Volatile.optional(),
});
export type ToolDefinition = z.infer<typeof ToolDefinition>;
