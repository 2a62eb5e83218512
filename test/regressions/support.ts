import { z } from 'zod';
import { scripted } from '../../src/adapters/model/scripted.ts';
import type { TestStack } from '../../src/app/test-stack.ts';
import type { Usage } from '../../src/core/decision.ts';
import type { Json } from '../../src/core/json.ts';
import type { RunResult } from '../../src/core/result.ts';
import type { StatusEvent } from '../../src/core/status.ts';
import { defineTool } from '../../src/worker/define-tool.ts';
import type { WorkerCallContext, WorkerTool } from '../../src/worker/worker-tool.ts';

/** What the scripts of many regressions say and call. */

export const say = (answer: Json = 'done', usage?: Usage) => scripted({ action: 'final_answer', answer }, usage);

export const use = (tool: string, args: Record<string, Json> = {}, usage?: Usage) =>
  scripted({ action: 'tool_call', calls: [{ tool, args }] }, usage);

/** A tool that takes whatever it is given. */
export function tool(
  name: string,
  handler: (args: Record<string, Json>, call: WorkerCallContext) => Promise<Json> | Json,
  more: { idempotent?: boolean; requiresApproval?: boolean; timeoutMs?: number } = {},
): WorkerTool {
  return defineTool({
    name,
    description: name,
    parameters: z.looseObject({}),
    idempotent: true,
    ...more,
    handler: (args, call) => handler(args as Record<string, Json>, call),
  });
}

/** Work that takes `ms` of simulated time and ends in `value`, unless it is aborted before. */
export function work<T>(stack: Pick<TestStack, 'clock'>, ms: number, value: () => T, signal?: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = stack.clock.after(ms, () => resolve(value()));
    signal?.addEventListener('abort', () => {
      cancel();
      reject(signal.reason as Error);
    });
  });
}

export async function statuses(stack: TestStack): Promise<StatusEvent[]> {
  const found: StatusEvent[] = [];
  await stack.until(
    (async () => {
      for await (const status of stack.operator.runs()) found.push(status);
    })(),
  );
  return found;
}

/** The run of an agent, as soon as there is one in that state. */
export async function runOf(stack: TestStack, agent: string, state = ''): Promise<string> {
  for (let waited = 0; waited < 60_000; waited += 100) {
    const found = (await statuses(stack)).find((one) => one.agent === agent && one.state.startsWith(state));
    if (found !== undefined) return found.run;
    await stack.advance(100);
  }
  throw new Error(`no run of ${agent} came to "${state}"`);
}

/** The results of all runs there are, by agent, in the order in which they ended. */
export async function results(stack: TestStack): Promise<RunResult[]> {
  const ended = [];
  for (const { run } of await statuses(stack)) {
    ended.push(await stack.until(stack.operator.result(run, { wait: true })));
  }
  return ended;
}
