import type { z } from 'zod';
import type { Json } from '../core/json.ts';
import type { ToolDefinition } from '../core/tool.ts';
import type { Log } from '../ports/telemetry.ts';

/** What a handler gets besides its arguments. */
export interface WorkerCallContext {
  /** The same over all attempts of one call: pass it on to whatever can tell a repeat by it. */
  idempotencyKey: string;
  /** Aborts at the caller's deadline, or when the caller has given up. */
  signal: AbortSignal;
  /** Epoch milliseconds at which the caller stops waiting. */
  deadline: number;
  run: string;
  /** The call within the run. */
  call: string;
  agent: string;
  user: string;
  /** 1 for the first try of this call. */
  attempt: number;
  /** W3C trace context of the call, when the run is traced. */
  traceparent?: string | undefined;
  /** Structured log; every line names the run, the call and the tool. */
  log: Log;
  /** Says how far the call is, 0 to 1, and what it is at (at most 200 characters); goes out with the next sign of life. */
  progress(fraction: number, text?: string): void;
}

/** A tool as a worker offers it; `defineTool` makes one from zod schemas. */
export interface WorkerTool {
  definition: ToolDefinition;
  /** Parses the arguments; the handler gets what comes out. Without it the handler gets them as they came. */
  parameters?: z.ZodType;
  /** Parses what the handler returns; a value that does not fit fails the call with `bad_result`. */
  result?: z.ZodType;
  /** Renews credentials: runs before the handler when the last try of the call failed with `auth_error`. */
  refresh?: (context: WorkerCallContext) => Promise<void> | void;
  /** The nodes keep what was begun and what came of it, so the handler runs once a key; the tool must be `idempotent`. */
  remember?: boolean;
  /** Calls that one worker carries out at once; what comes above it is refused with `busy`. Default 16. */
  concurrency?: number;
  /** What is wrong with the definition; a worker that has such a tool does not start. */
  faults?: readonly string[];
  /** Resolves with a JSON value of at most MAX_RESULT_BYTES; an AppError is passed on, anything else is a `tool_error`. */
  handler(args: Record<string, Json>, context: WorkerCallContext): Promise<Json> | Json;
}
