import { z } from 'zod';
import { BeatAddress, HEARTBEAT_KEY, HeartbeatMs } from './beat-wire.ts';
import { AppError, describeFaults } from './errors.ts';
import { Json, JsonObject } from './json.ts';
import { LargeResult } from './result-wire.ts';
import { Name } from './task.ts';
import { ToolDefinition } from './tool.ts';

/**
 * What a node and a tool worker say to each other, version 1. A call is one request on the tool's subject: arguments
 * in the body, what decides about carrying it out in the headers. The answer is `{v, result}`, or a NATS service error
 * (headers, ADR-32). Workers in any language can speak it; `nats micro` can list them.
 */

export const CALL_HEADERS = {
  /** The same over all attempts of one call. */
  idempotencyKey: 'Proctor-Idempotency-Key',
  /** Epoch milliseconds after which the worker must not begin. */
  startBy: 'Proctor-Start-By',
  /** Epoch milliseconds at which the caller stops waiting. */
  deadline: 'Proctor-Deadline',
  run: 'Proctor-Run',
  call: 'Proctor-Call',
  /** 1 for the first try of this call. */
  attempt: 'Proctor-Attempt',
  /** `1`: the last try failed with `auth_error`; the worker renews its credentials before it begins. */
  refresh: 'Proctor-Refresh',
  /** Where the caller hears signs of life: below `<prefix>.beat.` */
  beat: 'Proctor-Beat',
  /** W3C trace context; lower case, as tracing tools write it. */
  traceparent: 'traceparent',
} as const;

/** Where a worker's service metadata carries the definition of its tool, as JSON. */
export const DEFINITION_KEY = 'proctor.definition';

/** The name of the NATS service that carries a tool. */
export function toolService(tool: string): string {
  return `tool_${tool}`;
}

/** The body of a call; what decides about carrying it out is in the headers. */
export const CallBody = z.strictObject({
  v: z.literal(1),
  run: z.string().min(1).max(160),
  c: z.string().min(1).max(16),
  agent: Name,
  user: Name,
  args: JsonObject,
});

const EpochMs = z
  .string()
  .regex(/^\d{1,16}$/, 'expected epoch milliseconds')
  .transform(Number);
const CallHeaders = z.object({
  [CALL_HEADERS.idempotencyKey]: z.string().min(1).max(512),
  [CALL_HEADERS.startBy]: EpochMs,
  [CALL_HEADERS.deadline]: EpochMs,
  [CALL_HEADERS.attempt]: z
    .string()
    .regex(/^[1-9]\d{0,6}$/, 'expected a number from 1')
    .transform(Number)
    .default(1),
  [CALL_HEADERS.refresh]: z.string().max(8).optional(),
  [CALL_HEADERS.beat]: BeatAddress.optional(),
  [CALL_HEADERS.traceparent]: z.string().max(128).optional(),
});

/** One call as it travels. Times are epoch milliseconds of the NATS server's clock. */
export interface WireCall {
  run: string;
  c: string;
  agent: string;
  user: string;
  args: Record<string, Json>;
  idempotencyKey: string;
  startBy: number;
  deadline: number;
  attempt: number;
  refresh: boolean;
  /** Where the caller hears signs of life; undefined: it listens to none. */
  beat?: string | undefined;
  traceparent?: string | undefined;
}

export function encodeToolCall(call: WireCall): { data: string; headers: Record<string, string> } {
  const { run, c, agent, user, args } = call;
  return {
    data: JSON.stringify({ v: 1, run, c, agent, user, args }),
    headers: {
      [CALL_HEADERS.idempotencyKey]: call.idempotencyKey,
      [CALL_HEADERS.startBy]: String(Math.floor(call.startBy)),
      [CALL_HEADERS.deadline]: String(Math.floor(call.deadline)),
      [CALL_HEADERS.run]: run,
      [CALL_HEADERS.call]: c,
      [CALL_HEADERS.attempt]: String(call.attempt),
      ...(call.refresh ? { [CALL_HEADERS.refresh]: '1' } : {}),
      ...(call.beat === undefined ? {} : { [CALL_HEADERS.beat]: call.beat }),
      ...(call.traceparent === undefined ? {} : { [CALL_HEADERS.traceparent]: call.traceparent }),
    },
  };
}

/** The call that a worker received. Throws AppError `bad_request` naming what is wrong; nothing was done then. */
export function parseToolCall(data: string, headers: Record<string, string>): WireCall {
  const body = CallBody.safeParse(parseJson(data, 'bad_request', 'the call'));
  if (!body.success) throw badRequest(body.error, 'body');
  const head = CallHeaders.safeParse(headers);
  if (!head.success) throw badRequest(head.error, 'headers');
  const { v: _v, ...call } = body.data;
  return {
    ...call,
    idempotencyKey: head.data[CALL_HEADERS.idempotencyKey],
    startBy: head.data[CALL_HEADERS.startBy],
    deadline: head.data[CALL_HEADERS.deadline],
    attempt: head.data[CALL_HEADERS.attempt],
    refresh: head.data[CALL_HEADERS.refresh] === '1',
    beat: head.data[CALL_HEADERS.beat],
    traceparent: head.data[CALL_HEADERS.traceparent],
  };
}

/** The JSON text of what a handler returned. Throws AppError `bad_result` for what JSON cannot say. */
export function encodeResult(result: unknown): string {
  try {
    return JSON.stringify(Json.parse(result ?? null));
  } catch (cause) {
    throw new AppError('bad_result', 'the tool ran, but its result is not JSON: return plain data', { cause });
  }
}

/** The reply that holds a result of at most MAX_RESULT_BYTES. */
export function replyWith(json: string): string {
  return `{"v":1,"result":${json}}`;
}

/** The reply that says where to fetch a larger one. */
export function replyWithLarge(large: LargeResult): string {
  return JSON.stringify({ v: 1, large });
}

/** The body of a reply that is no error. */
export const ReplyBody = z.union([
  z.object({ v: z.literal(1), large: LargeResult }),
  z.object({ v: z.literal(1), result: Json }),
]);

/** A worker's reply: the result, or where to fetch it. Throws AppError `bad_result`: the tool may have done its work. */
export function parseToolReply(data: string): { result: Json } | { large: LargeResult } {
  const body = ReplyBody.safeParse(parseJson(data, 'bad_result', 'the reply of the worker'));
  if (body.success) return body.data;
  throw new AppError('bad_result', `the reply of the worker: ${describeFaults(body.error, 'body').message}`);
}

const ServiceInfo = z.object({
  name: z.string(),
  id: z.string(),
  version: z.string(),
  metadata: z.record(z.string(), z.string()).nullish(),
});

/** What a worker says about its tool. */
export interface Announcement {
  definition: ToolDefinition;
  /** How often it shows that a call is in work, milliseconds; undefined: it does not. */
  heartbeatMs: number | undefined;
}

/** The answer of a worker to `$SRV.INFO`. Throws AppError `bad_definition`. */
export function parseAnnouncement(data: string, tool: string): Announcement {
  const info = ServiceInfo.safeParse(parseJson(data, 'bad_definition', 'the announcement'));
  const metadata = info.data?.metadata ?? {};
  const text = metadata[DEFINITION_KEY];
  if (text === undefined) {
    throw new AppError('bad_definition', `the service ${toolService(tool)} announces no ${DEFINITION_KEY}`);
  }
  const definition = ToolDefinition.safeParse(parseJson(text, 'bad_definition', DEFINITION_KEY));
  if (!definition.success) {
    throw new AppError('bad_definition', describeFaults(definition.error, 'definition').message);
  }
  if (definition.data.name !== tool) {
    throw new AppError('bad_definition', `${toolService(tool)} announces the tool "${definition.data.name}"`);
  }
  return { definition: definition.data, heartbeatMs: HeartbeatMs.safeParse(metadata[HEARTBEAT_KEY]).data };
}

function parseJson(text: string, code: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AppError(code, `${what} is not JSON`, { cause });
  }
}

function badRequest(error: z.ZodError, root: string): AppError {
  const { message, field } = describeFaults(error, root);
  return new AppError('bad_request', `the call is not one that this worker understands: ${message}`, { field });
}
