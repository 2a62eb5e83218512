import { z } from 'zod';
import { AppError, describeFaults, toAppError } from '../../core/errors.ts';
import type { Json } from '../../core/json.ts';
import { ToolDefinition } from '../../core/tool.ts';

export interface ToolContext {
  /** The same over all attempts of one call. */
  idempotencyKey: string;
  signal: AbortSignal;
}

/** A tool that runs inside this process. */
export interface LocalTool {
  definition: ToolDefinition;
  /** Failures are AppErrors; arguments that do not fit are `invalid_arguments` with the path of the first fault. */
  handler(args: Record<string, Json>, ctx: ToolContext): Promise<Json>;
}

/** What a tool declares of itself (`ToolDefinition`), with zod objects in the place of JSON Schemas. */
export interface ToolSpec<P extends z.ZodObject> extends Omit<z.input<typeof ToolDefinition>, 'parameters' | 'result'> {
  parameters: P;
  result?: z.ZodType;
  run(args: z.output<P>, ctx: ToolContext): Promise<Json>;
}

/**
 * A tool from a zod object: its JSON Schema goes into the definition, and each call's arguments are parsed with it.
 * Throws a ZodError on a definition that is not valid.
 */
export function defineLocalTool<P extends z.ZodObject>(spec: ToolSpec<P>): LocalTool {
  const { parameters, result, run, ...declared } = spec;
  return {
    definition: ToolDefinition.parse({
      ...declared,
      parameters: schemaOf(parameters, 'input'),
      ...(result === undefined ? {} : { result: schemaOf(result, 'output') }),
    }),
    handler: async (args, ctx) => {
      const parsed = parameters.safeParse(args);
      if (!parsed.success) throw invalidArguments(parsed.error);
      return await run(parsed.data, ctx);
    },
  };
}

/** All faults of a call's arguments as one AppError; `field` is the path of the first. */
export function invalidArguments(error: z.ZodError): AppError {
  const { message, field } = describeFaults(error, 'args');
  return new AppError('invalid_arguments', message, { field });
}

/** Why a call was aborted, as an AppError; `aborted` unless the signal says more. */
export function abortReason(signal: AbortSignal): AppError {
  return toAppError(signal.reason, 'aborted');
}

function schemaOf(type: z.ZodType, io: 'input' | 'output'): Record<string, Json> {
  // What zod cannot express (any JSON value) is left open; the dialect is left to whoever checks.
  const { $schema: _, ...schema } = z.toJSONSchema(type, { io, unrepresentable: 'any' });
  return JSON.parse(JSON.stringify(schema));
}
