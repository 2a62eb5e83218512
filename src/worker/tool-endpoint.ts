import type { z } from 'zod';
import { AppError, describeFaults, toAppError } from '../core/errors.ts';
import { exceedsBytes, type Json, MAX_RESULT_BYTES } from '../core/json.ts';
import { encodeResult, parseToolCall, replyWith, replyWithLarge, type WireCall } from '../core/tool-wire.ts';
import type { IncomingRequest } from '../ports/bus.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/telemetry.ts';
import { inCallSpan, traceOf } from './call-span.ts';
import type { HeardSwitches } from './heard-switches.ts';
import type { LargeResults } from './large-results.ts';
import type { Remembered } from './remembered.ts';
import type { Room } from './room.ts';
import { type CallHandle, RunningCalls } from './running-calls.ts';
import { EndpointStats } from './service-info.ts';
import type { WorkerCallContext, WorkerTool } from './worker-tool.ts';

/** Codes that tell the caller that no handler ran: a handler that did run may not use them for its own troubles. */
const NOTHING_DONE: ReadonlySet<string> = new Set([
  'no_responders',
  'no_worker',
  'too_late',
  'busy',
  'unknown_tool',
  'bad_request',
  'killed',
]);

/** When a full worker is worth asking again: after about one call's time, within these bounds. */
const RETRY_AFTER_MS = { least: 100, most: 5_000 };

export interface ToolEndpointOptions {
  tool: WorkerTool;
  /** Each must have room for a call: the tool's own, and the worker's. */
  rooms: Room[];
  large: LargeResults;
  /** For a tool that wants its calls remembered. */
  remembered: Remembered | null;
  switches: HeardSwitches;
  clock: Clock;
  log: Log;
}

/** Answers the calls of one tool, and counts them. */
export class ToolEndpoint {
  readonly tool: WorkerTool;
  readonly stats = new EndpointStats();
  readonly running: RunningCalls;
  readonly #rooms: Room[];
  readonly #large: LargeResults;
  readonly #remembered: Remembered | null;
  readonly #switches: HeardSwitches;
  readonly #clock: Clock;
  readonly #log: Log;

  constructor({ tool, rooms, large, remembered, switches, clock, log }: ToolEndpointOptions) {
    this.tool = tool;
    this.running = new RunningCalls(clock);
    this.#rooms = rooms;
    this.#large = large;
    this.#remembered = remembered;
    this.#switches = switches;
    this.#clock = clock;
    this.#log = log.child({ tool: tool.definition.name });
  }

  /** The reply to one request. Throws AppError, which the bus sends back as a service error. */
  async answer(request: IncomingRequest): Promise<string> {
    const began = this.#clock.now();
    let log = this.#log;
    try {
      const call = parseToolCall(request.data, request.headers);
      const { run: run_id, c, agent, user: user_id, attempt } = call;
      log = log.child({ run_id, call: c, agent, user_id, attempt, ...traceOf(call) });
      const { name } = this.tool.definition;
      const reply = await this.running.join(call, (handle) =>
        inCallSpan(call, name, () => this.#carryOut(call, handle, log)),
      );
      log.info('tool.call', { status: 'ok', ms: this.#clock.now() - began });
      return reply;
    } catch (thrown) {
      const error = toAppError(thrown, 'tool_error');
      this.stats.failed(error);
      const { code, message } = error;
      log.warn('tool.call', { status: 'error', ms: this.#clock.now() - began, code, message });
      throw error;
    } finally {
      this.stats.answered(this.#clock.now() - began);
    }
  }

  async #carryOut(call: WireCall, handle: CallHandle, log: Log): Promise<string> {
    const now = this.#clock.now();
    if (now > call.startBy || now >= call.deadline) {
      const late = now - Math.min(call.startBy, call.deadline);
      throw new AppError('too_late', `the call came ${late} ms after it had to begin; nothing was done`, {
        retryable: true,
      });
    }
    const refusal = this.#switches.refusal(this.tool.definition.name, call);
    if (refusal !== null) throw refusal;
    const full = this.#rooms.find((room) => room.full);
    if (full !== undefined) throw this.#busy(full);
    const args = this.#parse(call.args);
    for (const room of this.#rooms) room.enter();
    try {
      const { idempotencyKey, deadline, run, c, agent, user, attempt, traceparent } = call;
      const about = { idempotencyKey, deadline, run, call: c, agent, user, attempt, traceparent };
      const context: WorkerCallContext = { ...about, ...handle, log };
      const work = async (): Promise<string> => {
        if (call.refresh) await this.tool.refresh?.(context);
        return encodeResult(this.#checked(await this.#handle(args, context)));
      };
      if (this.#remembered === null) return this.#reply(await work(), call);
      const kept = this.#large.ofKey(idempotencyKey);
      if (kept !== null) return replyWithLarge(kept);
      return this.#reply(await this.#remembered.once(idempotencyKey, handle.signal, log, work), call);
    } finally {
      for (const room of this.#rooms) room.leave();
    }
  }

  async #handle(args: Record<string, Json>, context: WorkerCallContext): Promise<Json> {
    try {
      return await this.tool.handler(args, context);
    } catch (thrown) {
      const error = toAppError(thrown, 'tool_error');
      if (!NOTHING_DONE.has(error.code)) throw error;
      throw new AppError('tool_error', `${error.code}: ${error.message}`, { cause: error });
    }
  }

  #reply(json: string, call: WireCall): string {
    if (!exceedsBytes(json, MAX_RESULT_BYTES)) return replyWith(json);
    return replyWithLarge(this.#large.keep(json, call.idempotencyKey, call.deadline));
  }

  #busy(room: Room): AppError {
    const { least, most } = RETRY_AFTER_MS;
    const message = `the worker carries out ${room.limit} calls already, its most; nothing was done`;
    const retryAfterMs = Math.min(most, Math.max(least, this.stats.averageMs));
    return new AppError('busy', message, { retryable: true, retryAfterMs });
  }

  #parse(args: Record<string, Json>): Record<string, Json> {
    if (this.tool.parameters === undefined) return args;
    const parsed = this.tool.parameters.safeParse(args);
    if (parsed.success) return parsed.data as Record<string, Json>;
    throw invalidArguments(parsed.error);
  }

  #checked(result: Json): unknown {
    if (this.tool.result === undefined) return result;
    const parsed = this.tool.result.safeParse(result);
    if (parsed.success) return parsed.data;
    const { message, field } = describeFaults(parsed.error, 'result');
    throw new AppError('bad_result', `the tool ran, but its result does not fit its own schema: ${message}`, { field });
  }
}

function invalidArguments(error: z.ZodError): AppError {
  const { message, field } = describeFaults(error, 'args');
  return new AppError('invalid_arguments', message, { field });
}
