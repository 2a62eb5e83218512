import type { StoredResult } from '../core/blob.ts';
import type { Json } from '../core/json.ts';
import type { ToolDefinition } from '../core/tool.ts';

/** One call, as the runtime hands it to whoever can carry it out. */
export interface ToolCall {
  tool: string;
  args: Record<string, Json>;
  run: string;
  c: string;
  agent: string;
  user: string;
  /** The same over all attempts of this call: `<run>:<c>`. */
  idempotencyKey: string;
  /** Epoch ms after which a worker must not begin any more. */
  startBy: number;
  timeoutMs: number;
  /** 1 for the first try of this call. */
  attempt: number;
  /** The last try failed with `auth_error`: the worker renews its credentials first. */
  refresh: boolean;
  /** W3C trace context of the call's span, when the run is traced. */
  traceparent?: string | undefined;
  signal: AbortSignal;
}

/**
 * Where tools live. A failure is an AppError whose code says what is known about the effect:
 * `tool_error`, `invalid_arguments`, `too_late`, `no_worker`, `unknown_tool`, `busy`, `rate_limit`, `auth_error`: the
 * tool did not do it, or says that it failed; `timeout`, `worker_lost`, `tool_crash`, `bad_result`: nobody knows;
 * `result_too_large`, `result_lost`: it did, and its result is lost; `outcome_unknown`: the worker's own record does not
 * say, so that not even the same key may be tried again.
 */
export interface ToolSource {
  /** The tool's definition, or null when this source has no such tool now. */
  find(name: string): Promise<ToolDefinition | null>;
  /** All tools of this source that are there now; absent when it cannot say. */
  list?(): Promise<ToolDefinition[]>;
  /** A result that is too large for a journal entry is stored first, and comes as a StoredResult. */
  call(call: ToolCall): Promise<Json | StoredResult>;
}

/** Error codes after which the effect may have happened. */
export const UNKNOWN_EFFECT: ReadonlySet<string> = new Set([
  'timeout',
  'worker_lost',
  'tool_crash',
  'bad_result',
  'result_too_large',
  'result_lost',
  'outcome_unknown',
  'aborted',
  'closed',
  'unavailable',
]);
