import { ToolDefinition } from '../../src/core/tool.ts';
import { encodeToolCall, type WireCall } from '../../src/core/tool-wire.ts';
import type { Log } from '../../src/ports/telemetry.ts';
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
