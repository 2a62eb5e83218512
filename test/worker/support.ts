import type { AppError } from '../../src/core/errors.ts';
import { ToolDefinition } from '../../src/core/tool.ts';
import { encodeToolCall, type WireCall } from '../../src/core/tool-wire.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { Log } from '../../src/ports/telemetry.ts';
import type { ToolCall } from '../../src/ports/tools.ts';
import type { WorkerTool } from '../../src/worker/worker-tool.ts';

export interface RecordingLog extends Log {
  readonly events: string[];
}

export function recordingLog(): RecordingLog {
  const events: string[] = [];
  const note = (event: string): void => {
    events.push(event);
  };
  const log: RecordingLog = { events, debug: note, info: note, warn: note, error: note, child: () => log };
  return log;
}

export function toolNamed(name: string, handler: WorkerTool['handler'], more: Partial<WorkerTool> = {}): WorkerTool {
  const definition = ToolDefinition.parse({ name, description: `the tool ${name}`, parameters: { type: 'object' } });
  return { definition, handler, ...more };
}

export const RUN = '20260101-t-1';

export function wireCall(more: Partial<WireCall>): ReturnType<typeof encodeToolCall> {
  const call = {
    run: RUN,
    c: '1-0',
    agent: 'a',
    user: 'u',
    args: {},
    idempotencyKey: `${RUN}:1-0`,
    attempt: 1,
    refresh: false,
  };
  return encodeToolCall({ startBy: 0, deadline: 0, ...call, ...more });
}

/** A promise to be settled from outside. */
export function open<T>(): { promise: Promise<T>; resolve(value: T): void; reject(error: Error): void } {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

let calls = 0;

/** A call of a tool; each has a key of its own, and 10 s, unless told otherwise. */
export function toolCall(tool: string, clock: Clock, more: Partial<ToolCall> = {}): ToolCall {
  const c = `1-${calls++}`;
  const about = { run: RUN, c, agent: 'a', user: 'u', args: {}, idempotencyKey: `${RUN}:${c}`, attempt: 1 };
  const times = { startBy: clock.now() + 10_000, timeoutMs: 10_000 };
  return { tool, ...about, ...times, refresh: false, signal: new AbortController().signal, ...more };
}

/** The error that a call fails with; fails itself when it does not. */
export function failure(call: Promise<unknown>): Promise<AppError> {
  return call.then(
    (value) => Promise.reject(new Error(`expected a failure, got ${JSON.stringify(value)}`)),
    (error) => error,
  );
}
