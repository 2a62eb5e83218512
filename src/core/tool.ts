import { z } from 'zod';
import { JsonObject } from './json.ts';
import { Volatile } from './loops.ts';

/** What a tool does to the world: `destructive` cannot be undone. */
export const Effect = z.enum(['read', 'write', 'destructive']);
export const Risk = z.enum(['low', 'medium', 'high']);

/** Where an argument stands, as a dotted path such as `order.total`. */
export const ArgumentPath = z
  .string()
  .regex(/^[^.\s]+(?:\.[^.\s]+)*$/, 'expected the path of an argument, such as order.total')
  .max(128);

const ToolName = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'expected 1 to 64 letters, digits, _ or -');

/** Names of tools whose results a call acts on. */
export const DependsOn = z.array(ToolName).max(32);

/** The call that makes up for one that took effect: its arguments come from those of that call, or from its result. */
export const Compensation = z.strictObject({
  tool: ToolName,
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

/** What a tool says of itself. */
export const ToolFields = z.strictObject({
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
  /** The argument that is an amount: a large one needs an approval (APPR-1), caps in USD count it (TOOL-13). */
  amount_field: ArgumentPath.optional(),
  /** The argument that says what the call is about, such as `path`: permissions are given for it (SEC-1). */
  resource_field: ArgumentPath.optional(),
  /** What makes up for a call that took effect, when a person starts it (OPS-8). */
  compensation: Compensation.optional(),
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
  /** How long its results answer equal calls (TOOL-10), milliseconds; absent: every call is made. Only for `read`. */
  cache_ms: z.int().min(1).max(2_592_000_000).optional(),
  /** Who is answered so: the user whose task the call was made for, or everybody who may call the tool. */
  cache_scope: z.enum(['user', 'shared']).optional(),
  /** What differs from call to call and says nothing; loop detection leaves it out. */
  volatile: Volatile.optional(),
});

/** A tool as its worker announces it (TOOL-1). Undeclared means the careful choice: a write that must not be repeated. */
export const ToolDefinition = ToolFields.check((ctx) => {
  const { effect, cache_ms, cache_scope } = ctx.value;
  const fault = (field: string, message: string) =>
    void ctx.issues.push({ code: 'custom', input: ctx.value, path: [field], message });
  if (cache_ms !== undefined && effect !== 'read') {
    fault('cache_ms', `expected nothing, as the effect is ${effect}: only results of tools that read are cached`);
  }
  if (cache_scope !== undefined && cache_ms === undefined) {
    fault('cache_scope', 'expected cache_ms beside it: nothing is cached without');
  }
});
export type ToolDefinition = z.infer<typeof ToolDefinition>;
