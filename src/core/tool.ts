import { z } from 'zod';
import { JsonObject } from './json.ts';
import { Volatile } from './loops.ts';

/** What a tool does to the world: `destructive` cannot be undone. */
export const Effect = z.enum(['read', 'write', 'destructive']);
export const Risk = z.enum(['low', 'medium', 'high']);

const ToolName = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'expected 1 to 64 letters, digits, _ or -');

/** Names of tools whose results a call acts on. */
export const DependsOn = z.array(ToolName).max(32);

/** A tool as its worker announces it (TOOL-1). Undeclared means the careful choice: a write that must not be repeated. */
export const ToolDefinition = z.strictObject({
  name: ToolName,
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
  /** True: its results come from outside, such as web pages and mails, and may hold instructions of strangers (SEC-5). */
  untrusted: z.boolean().optional(),
  /** True: its arguments reach somebody outside, whatever its effect. */
  egress: z.boolean().optional(),
  /** True: the handler may run again with the same idempotency key without a second effect (TOOL-5). */
  idempotent: z.boolean().default(false),
  timeout_ms: z.int().min(10).max(86_400_000).default(30_000),
  /** How long a result may be acted on after it was fetched (TOOL-9), milliseconds; absent: for good. */
  valid_ms: z.int().min(1).max(2_592_000_000).optional(),
  /** Whose results a call of it acts on: an old one of another tool is nothing to it. Absent: all. */
  depends_on: DependsOn.optional(),
  /** What differs from call to call and says nothing; loop detection leaves it out. */
  volatile: Volatile.optional(),
});
export type ToolDefinition = z.infer<typeof ToolDefinition>;
