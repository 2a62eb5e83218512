import { ZodError } from 'zod';
import { AppError, toAppError } from '../../core/errors.ts';
import { byteLength, depthOf, type Json, MAX_DEPTH } from '../../core/json.ts';
import type { Clock } from '../../ports/clock.ts';
import type { ToolCall, ToolSource } from '../../ports/tools.ts';
import { invalidArguments, type LocalTool } from './local-tool.ts';

/** Largest result of a local tool as JSON text, bytes. */
export const MAX_RESULT_BYTES = 256 * 1024;

/**
 * Tools that run in this process, behind the port that the runtime calls.
 *
 * A call fails with `unknown_tool`, `too_late` (startBy has passed, or it was aborted before it began: nothing was
 * done), `timeout`, `aborted`, `invalid_arguments`, `result_too_large`, `bad_result` (not JSON), the tool's own
 * AppError, or `tool_error` for anything else that it throws. Throws AppError `duplicate_tool` when made.
 */
export function localToolSource(tools: LocalTool[], clock: Clock): ToolSource {
  const byName = new Map<string, LocalTool>();
  for (const tool of tools) {
    const { name } = tool.definition;
    if (byName.has(name)) throw new AppError('duplicate_tool', `Two tools are named "${name}"; rename one.`);
    byName.set(name, tool);
  }
  return {
    find: async (name) => byName.get(name)?.definition ?? null,
    list: async () => [...byName.values()].map((tool) => tool.definition),
    call: async (call) => {
      const tool = byName.get(call.tool);
      if (tool === undefined) throw new AppError('unknown_tool', `There is no tool "${call.tool}" here.`);
      if (call.signal.aborted) throw new AppError('too_late', `The call was aborted before "${call.tool}" began.`);
      if (clock.now() > call.startBy) throw new AppError('too_late', `"${call.tool}" could not begin in time.`);
      return checkedResult(call.tool, await runBounded(tool, call, clock));
    },
  };
}

/** Rejects at the timeout or the caller's abort even when the handler goes on; the handler's signal tells it to stop. */
async function runBounded(tool: LocalTool, call: ToolCall, clock: Clock): Promise<unknown> {
  const stop = new AbortController();
  const end = (code: string, message: string) => stop.abort(new AppError(code, message));
  const onAbort = () => end('aborted', `The call of "${call.tool}" was aborted.`);
  const cancelTimer = clock.after(call.timeoutMs, () =>
    end('timeout', `"${call.tool}" gave no result within ${call.timeoutMs} ms.`),
  );
  call.signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([
      new Promise<never>((_, reject) => {
        stop.signal.addEventListener('abort', () => reject(stop.signal.reason), { once: true });
      }),
      settle(tool, call.args, { idempotencyKey: call.idempotencyKey, signal: stop.signal }),
    ]);
  } finally {
    cancelTimer();
    call.signal.removeEventListener('abort', onAbort);
  }
}

async function settle(tool: LocalTool, ...input: Parameters<LocalTool['handler']>): Promise<Json> {
  try {
    return await tool.handler(...input);
  } catch (thrown) {
    throw thrown instanceof ZodError ? invalidArguments(thrown) : toAppError(thrown, 'tool_error');
  }
}

/** The result as plain JSON data: what a store would give back. */
function checkedResult(tool: string, result: unknown): Json {
  let text: string | undefined;
  try {
    text = JSON.stringify(result);
  } catch (cause) {
    throw new AppError('bad_result', `"${tool}" returned something that is not JSON.`, { cause });
  }
  if (text === undefined) throw new AppError('bad_result', `"${tool}" returned nothing; it must return a JSON value.`);
  const bytes = byteLength(text);
  if (bytes > MAX_RESULT_BYTES) {
    throw new AppError(
      'result_too_large',
      `The result of "${tool}" has ${bytes} bytes; at most ${MAX_RESULT_BYTES} are taken. Ask for less.`,
    );
  }
  const plain: Json = JSON.parse(text);
  if (depthOf(plain) > MAX_DEPTH) {
    throw new AppError('bad_result', `The result of "${tool}" is nested deeper than ${MAX_DEPTH}.`);
  }
  return plain;
}
