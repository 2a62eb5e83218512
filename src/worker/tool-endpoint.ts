import { z } from 'zod';
import { AppError, describeFaults, toAppError } from '../core/errors.ts';
import type { Json } from '../core/json.ts';
import { encodeToolReply, parseToolCall, type WireCall } from '../core/tool-wire.ts';
import type { IncomingRequest } from '../ports/bus.ts';
import type { Clock } from '../ports/clock.ts';
import type { Log } from '../ports/telemetry.ts';
import { RunningCalls } from './running-calls.ts';
import { EndpointStats } from './service-info.ts';
import type { WorkerCallContext, WorkerTool } from './worker-tool.ts';

/** Codes that tell the caller that no handler ran: a handler that did run may not use them for its own troubles. */
const NOTHING_DONE: ReadonlySet<string> = new Set([
  'no_responders',
  'no_worker',
  'too_late',
  'unknown_tool',
  'bad_request',
]);

/** Answers the calls of one tool, and counts them. */
export class ToolEndpoint {
  readonly tool: WorkerTool;
  readonly stats = new EndpointStats();
  readonly running: RunningCalls;
  readonly #clock: Clock;
  readonly #log: Log;

  constructor(tool: WorkerTool, clock: Clock, log: Log) {
    this.tool = tool;
    this.running = new RunningCalls(clock);
    this.#clock = clock;
    this.#log = log;
  }

  /** The reply to one request. Throws AppError, which the bus sends back as a service error. */
  async answer(request: IncomingRequest): Promise<string> {
    const began = this.#clock.now();
    try {
      return await this.#carryOut(parseToolCall(request.data, request.headers));
    } catch (thrown) {
      const error = toAppError(thrown, 'tool_error');
      this.stats.failed(error);
      this.#log.warn('tool.call_failed', { tool: this.tool.definition.name, code: error.code, message: error.message });
      throw error;
    } finally {
      this.stats.answered(this.#clock.now() - began);
    }
  }

  #carryOut(call: WireCall): Promise<string> {
    return this.running.join(call, async (signal) => {
      const now = this.#clock.now();
      if (now > call.startBy || now >= call.deadline) {
        const late = now - Math.min(call.startBy, call.deadline);
        throw new AppError('too_late', `the call came ${late} ms after it had to begin; nothing was done`, {
          retryable: true,
        });
      }
      const args = this.#parse(call.args);
      const { idempotencyKey } = call;
      this.#log.debug('tool.call', { tool: this.tool.definition.name, run: call.run, c: call.c, user: call.user });
      return encodeToolReply(await this.#handle(args, { idempotencyKey, signal }));
    });
  }

  async #handle(args: Record<string, Json>, context: WorkerCallContext): Promise<Json> {
    try {
      return await this.tool.handler(args, context);
    } catch (thrown) {
      if (thrown instanceof z.ZodError) throw invalidArguments(thrown);
      const error = toAppError(thrown, 'tool_error');
      if (!NOTHING_DONE.has(error.code)) throw error;
      throw new AppError('tool_error', `${error.code}: ${error.message}`, { cause: error });
    }
  }

  #parse(args: Record<string, Json>): Record<string, Json> {
    if (this.tool.parameters === undefined) return args;
    const parsed = this.tool.parameters.safeParse(args);
    if (parsed.success) return parsed.data as Record<string, Json>;
    throw invalidArguments(parsed.error);
  }
}

function invalidArguments(error: z.ZodError): AppError {
  const { message, field } = describeFaults(error, 'args');
  return new AppError('invalid_arguments', message, { field });
}
