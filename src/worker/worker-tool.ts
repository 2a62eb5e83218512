import type { z } from 'zod';
import type { Json } from '../core/json.ts';
import type { ToolDefinition } from '../core/tool.ts';

/** What a handler gets besides its arguments. */
export interface WorkerCallContext {
  /** The same over all attempts of one call: pass it on to whatever can tell a repeat by it. */
  idempotencyKey: string;
  /** Aborts at the caller's deadline, or when the caller has given up. */
  signal: AbortSignal;
}

/** A tool as a worker offers it. */
export interface WorkerTool {
  definition: ToolDefinition;
  /** Parses the arguments; the handler gets what comes out. Without it the handler gets them as they came. */
  parameters?: z.ZodType;
  /** Resolves with a JSON value of at most MAX_RESULT_BYTES; an AppError is passed on, anything else is a `tool_error`. */
  handler(args: Record<string, Json>, context: WorkerCallContext): Promise<Json> | Json;
}
