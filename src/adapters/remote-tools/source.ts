import { LRUCache } from 'lru-cache';
import { AppError, toAppError } from '../../core/errors.ts';
import type { Subjects } from '../../core/subjects.ts';
import type { ToolDefinition } from '../../core/tool.ts';
import {
  type Announcement,
  encodeToolCall,
  parseAnnouncement,
  parseToolReply,
  toolService,
} from '../../core/tool-wire.ts';
import type { Bus, Reply } from '../../ports/bus.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/telemetry.ts';
import type { ToolCall, ToolSource } from '../../ports/tools.ts';
import { Heartbeats } from './heartbeats.ts';
import { LargeResultStore } from './large-result.ts';

/**
 * Tools that workers offer on the bus. Nothing is registered: a tool exists while a worker answers for it, and what it
 * is comes from the worker's own announcement, kept for a few seconds. A tool that nobody offers is asked for anew
 * each time, so a worker that has just started is found at once.
 */

export interface RemoteToolOptions {
  bus: Bus;
  subjects: Subjects;
  clock: Clock;
  log: Log;
  /** Source of fresh ids: letters and digits, not to be guessed. */
  random: () => string;
  /** How long an announcement is believed, milliseconds; default 5000. */
  ttlMs?: number;
  /** How long a worker may take to announce its tool, milliseconds; default 2000. */
  findTimeoutMs?: number;
}

const TOOL_NAME = /^[A-Za-z0-9_-]{1,64}$/;
const CACHED_TOOLS = 1000;

/**
 * `find` throws AppError `timeout` or `unavailable` when nobody can say whether the tool exists. `call` throws what
 * the worker answered, or: `no_worker` (nothing was done); `timeout`, `worker_lost`, `bad_result` (nobody knows);
 * `result_lost` (it was done).
 */
export function remoteToolSource(options: RemoteToolOptions): ToolSource {
  const { bus, subjects, clock, log, ttlMs = 5000, findTimeoutMs = 2000 } = options;
  const known = new LRUCache<string, Announcement & { until: number }>({ max: CACHED_TOOLS });
  const heartbeats = new Heartbeats(options);
  const largeResults = new LargeResultStore(bus, subjects);
  const asking = new Map<string, Promise<ToolDefinition | null>>();

  const ask = async (name: string): Promise<ToolDefinition | null> => {
    let reply: Reply;
    try {
      reply = await bus.request(`$SRV.INFO.${toolService(name)}`, '', { timeoutMs: findTimeoutMs });
    } catch (thrown) {
      const error = toAppError(thrown);
      if (error.code !== 'no_responders') throw error;
      if (!bus.connected) {
        const message = `no connection to NATS: whether the tool "${name}" is offered is not known`;
        throw new AppError('unavailable', message, { retryable: true, cause: error });
      }
      known.delete(name);
      return null;
    }
    try {
      const announcement = parseAnnouncement(reply.data, name);
      known.set(name, { ...announcement, until: clock.now() + ttlMs });
      return announcement.definition;
    } catch (thrown) {
      log.warn('tool.bad_definition', { tool: name, message: toAppError(thrown).message });
      return null;
    }
  };

  return {
    find(name) {
      if (!TOOL_NAME.test(name)) return Promise.resolve(null);
      const entry = known.get(name);
      if (entry !== undefined && clock.now() < entry.until) return Promise.resolve(entry.definition);
      let answer = asking.get(name);
      if (answer === undefined) {
        answer = ask(name).finally(() => asking.delete(name));
        asking.set(name, answer);
      }
      return answer;
    },

    async call(call) {
      const controller = new AbortController();
      const stop = (why: unknown): void => {
        try {
          bus.emit(subjects.toolCancel(call.tool, call.run, call.c), '{"v":1}');
        } catch (thrown) {
          // The worker stops at the deadline anyway.
          log.debug('tool.cancel_not_sent', { tool: call.tool, message: toAppError(thrown).message });
        }
        controller.abort(why);
      };
      const giveUp = (): void => stop(call.signal.reason);
      if (call.signal.aborted) controller.abort(call.signal.reason);
      else call.signal.addEventListener('abort', giveUp, { once: true });
      let lost: AppError | undefined;
      const watch = heartbeats.watch(call.tool, known.get(call.tool)?.heartbeatMs, (silenceMs) => {
        lost = workerLost(call, `its worker gave no sign of life for ${silenceMs} ms`);
        stop(lost);
      });
      const refused = (thrown: unknown): never => {
        const error = lost ?? callError(call, toAppError(thrown));
        if (error.code === 'no_worker') known.delete(call.tool);
        throw error;
      };
      const deadline = clock.now() + call.timeoutMs;
      const { data, headers } = encodeToolCall({ ...call, deadline, beat: watch.address });
      const { signal } = controller;
      try {
        const { timeoutMs } = call;
        const request = bus.request(subjects.toolCall(call.tool), data, { headers, timeoutMs, signal });
        const said = parseToolReply((await request.catch(refused)).data);
        if ('result' in said) return said.result;
        watch.stop();
        return await largeResults.store(call, said.large, signal);
      } finally {
        watch.stop();
        call.signal.removeEventListener('abort', giveUp);
      }
    },
  };
}

function workerLost(call: ToolCall, why: string, cause?: unknown): AppError {
  const message = `the tool "${call.tool}": ${why}; it may have done its work`;
  return new AppError('worker_lost', message, { retryable: true, cause });
}

function callError(call: ToolCall, error: AppError): AppError {
  switch (error.code) {
    case 'no_responders':
      return new AppError(
        'no_worker',
        `no worker took the call of "${call.tool}", so nothing was done (${error.message}): is one running?`,
        {
          retryable: true,
          cause: error,
        },
      );
    case 'timeout':
      return new AppError(
        'timeout',
        `the tool "${call.tool}" did not answer within ${call.timeoutMs} ms; it may have done its work`,
        { retryable: true, cause: error },
      );
    case 'unavailable':
      return workerLost(call, `the call broke off (${error.message})`, error);
    default:
      return error;
  }
}
