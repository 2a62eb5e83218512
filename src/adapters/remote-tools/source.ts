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

  /** The worker's reply. A request whose worker is lost is left behind: what still comes is nobody's. */
  const answer = (call: ToolCall, cancel: () => void): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const watch = heartbeats.watch(call.tool, known.get(call.tool)?.heartbeatMs, (silenceMs) => {
        cancel();
        reject(workerLost(call, `its worker gave no sign of life for ${silenceMs} ms`));
      });
      const deadline = clock.now() + call.timeoutMs;
      const { data, headers } = encodeToolCall({ ...call, deadline, beat: watch.address });
      const { timeoutMs, signal } = call;
      bus.request(subjects.toolCall(call.tool), data, { headers, timeoutMs, signal }).then(
        (reply) => {
          watch.stop();
          resolve(reply);
        },
        (thrown: unknown) => {
          watch.stop();
          const error = callError(call, toAppError(thrown));
          if (error.code === 'no_worker') known.delete(call.tool);
          reject(error);
        },
      );
    });

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
      const cancel = (): void => {
        try {
          bus.emit(subjects.toolCancel(call.tool, call.run, call.c), '{"v":1}');
        } catch (thrown) {
          // The worker stops at the deadline anyway.
          log.debug('tool.cancel_not_sent', { tool: call.tool, message: toAppError(thrown).message });
        }
      };
      call.signal.addEventListener('abort', cancel, { once: true });
      try {
        const said = parseToolReply((await answer(call, cancel)).data);
        return 'result' in said ? said.result : await largeResults.store(call, said.large);
      } finally {
        call.signal.removeEventListener('abort', cancel);
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
