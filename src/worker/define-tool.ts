import { z } from 'zod';
import { type Json, JsonObject } from '../core/json.ts';
import type { Volatile } from '../core/loops.ts';
import { ToolDefinition } from '../core/tool.ts';
import type { WorkerCallContext, WorkerTool } from './worker-tool.ts';

/** A tool as its author writes it. What is left out means the careful choice: a write that must not be repeated. */
export interface ToolSpec<P extends z.ZodObject, R extends z.ZodType> {
  /** 1 to 64 letters, digits, `_` or `-`. */
  name: string;
  /** Default `1.0.0`. */
  version?: string;
  /** What it does, for the model that chooses tools; at most 4096 characters. */
  description: string;
  /** Describe the fields with `.describe()`: the model reads it. */
  parameters: P;
  /** Checked before a result is sent. */
  result?: R;
  /** What it does to the world; `destructive` cannot be undone. Default `write`. */
  effect?: 'read' | 'write' | 'destructive';
  /** Default `low`. */
  risk?: 'low' | 'medium' | 'high';
  /** Default false. */
  requiresApproval?: boolean;
  /** The argument that is an amount, such as `order.total`: a large one needs an approval. Default none. */
  amountField?: string;
  /** The argument that says what the call is about, such as `path`: policies give permissions for it. Default none. */
  resourceField?: string;
  /**
   * The call that makes up for this one, when a person starts it (`proctor compensate`): its tool, and its arguments as
   * paths into those of this call, or into the result: `{ order: 'result.id', reason: 'args.note' }`. Default none.
   */
  compensation?: { tool: string; args?: Record<string, string> };
  /** True: results hold content from outside, such as web pages and mails. After one was read, writes ask. Default false. */
  untrusted?: boolean;
  /** True: the arguments reach somebody outside, whatever the effect. Default false. */
  egress?: boolean;
  /** True: the handler may run again with the same idempotency key without a second effect. Default false. */
  idempotent?: boolean;
  /**
   * True: the handler runs once a key, also when it cannot tell a repeat itself: the nodes keep for a day what was
   * begun and what came of it. Makes the tool `idempotent`. Costs two requests a call. Default false.
   */
  remember?: boolean;
  /** How long a call may take, 10 ms to a day. Default 30,000. */
  timeoutMs?: number;
  /**
   * How long a result may be acted on, milliseconds: once it is older, calls that do more than read are refused until
   * it was fetched again. Default for good.
   */
  validMs?: number;
  /**
   * How long results answer equal calls, milliseconds: nodes then do not call the tool. Only for `effect: 'read'`.
   * Default: every call is made.
   */
  cacheMs?: number;
  /** Who is answered so: `user` (default): whose task the call was made for; `shared`: everybody who may call it. */
  cacheScope?: 'user' | 'shared';
  /** Names of the tools whose results a call acts on; those of others may be old. Default all. */
  dependsOn?: string[];
  /**
   * What differs from call to call and says nothing, such as request ids and times: loop detection leaves it out. Names
   * of fields of `arguments` and of the `result`, at any depth; `result: true` for all of it.
   */
  volatile?: Volatile;
  /** Calls that one worker carries out at once; what comes above it is refused with `busy`. Default 16. */
  concurrency?: number;
  /** Runs before the handler when the last try failed with `auth_error`: renew credentials here. */
  refresh?(context: WorkerCallContext): Promise<void> | void;
  /** Throws `toolError(code, message)` to say what went wrong; anything else thrown is a `tool_error`. */
  handler(args: z.output<P>, context: WorkerCallContext): Promise<z.input<R>> | z.input<R>;
}

/** Where a field of the definition stands in a `ToolSpec`. */
const SPEC_NAMES: Record<string, string> = {
  timeout_ms: 'timeoutMs',
  requires_approval: 'requiresApproval',
  amount_field: 'amountField',
  resource_field: 'resourceField',
  valid_ms: 'validMs',
  depends_on: 'dependsOn',
  cache_ms: 'cacheMs',
  cache_scope: 'cacheScope',
};

/**
 * A tool with typed arguments. Never throws: what is wrong with it is told, with the faults of all other tools, by the
 * worker that is to serve it.
 */
export function defineTool<P extends z.ZodObject, R extends z.ZodType = z.ZodType<unknown, Json>>(
  spec: ToolSpec<P, R>,
): WorkerTool {
  const faults: string[] = [];
  const schema = (what: 'parameters' | 'result', io: 'input' | 'output'): Record<string, Json> | undefined => {
    try {
      return jsonSchema(spec[what], io);
    } catch (thrown) {
      faults.push(`${what}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
      return undefined;
    }
  };
  const result = spec.result === undefined ? undefined : schema('result', 'output');
  const definition = {
    name: spec.name,
    version: spec.version,
    description: spec.description,
    parameters: schema('parameters', 'input') ?? {},
    ...(result === undefined ? {} : { result }),
    effect: spec.effect,
    risk: spec.risk,
    requires_approval: spec.requiresApproval,
    ...(spec.amountField === undefined ? {} : { amount_field: spec.amountField }),
    ...(spec.resourceField === undefined ? {} : { resource_field: spec.resourceField }),
    ...(spec.compensation === undefined ? {} : { compensation: spec.compensation }),
    ...(spec.untrusted === undefined ? {} : { untrusted: spec.untrusted }),
    ...(spec.egress === undefined ? {} : { egress: spec.egress }),
    idempotent: spec.remember === true ? true : spec.idempotent,
    timeout_ms: spec.timeoutMs,
    ...(spec.validMs === undefined ? {} : { valid_ms: spec.validMs }),
    ...(spec.dependsOn === undefined ? {} : { depends_on: spec.dependsOn }),
    ...(spec.cacheMs === undefined ? {} : { cache_ms: spec.cacheMs }),
    ...(spec.cacheScope === undefined ? {} : { cache_scope: spec.cacheScope }),
    ...(spec.volatile === undefined ? {} : { volatile: spec.volatile }),
  };
  const parsed = ToolDefinition.safeParse(definition);
  for (const { path, message } of parsed.error?.issues ?? []) {
    const field = String(path[0] ?? '');
    faults.push(`${SPEC_NAMES[field] ?? field}: ${message}`);
  }
  if (typeof spec.handler !== 'function') faults.push('handler: expected a function');
  const { refresh } = spec;
  return {
    definition: parsed.data ?? (definition as ToolDefinition),
    parameters: spec.parameters,
    ...(spec.result === undefined ? {} : { result: spec.result }),
    ...(spec.remember === undefined ? {} : { remember: spec.remember }),
    ...(spec.concurrency === undefined ? {} : { concurrency: spec.concurrency }),
    ...(refresh === undefined ? {} : { refresh: (context) => refresh.call(spec, context) }),
    ...(faults.length === 0 ? {} : { faults }),
    // The endpoint has parsed the arguments with `parameters`, and parses what comes back with `result`.
    handler: (args, context) => spec.handler(args as z.output<P>, context) as Promise<Json>,
  };
}

function jsonSchema(type: z.ZodType | undefined, io: 'input' | 'output'): Record<string, Json> {
  // Schemas of an older zod look alike and cannot be read.
  if (type === undefined || !('_zod' in type)) throw new Error('expected a schema of zod 4');
  const { $schema: _dialect, ...schema } = z.toJSONSchema(type, { io });
  return JsonObject.parse(JSON.parse(JSON.stringify(schema)));
}
