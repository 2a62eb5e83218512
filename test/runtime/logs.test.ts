import { describe, expect, it } from 'vitest';
import { scripted } from '../../src/adapters/model/scripted.ts';
import { pinoLog } from '../../src/adapters/pino/log.ts';
import { AppError } from '../../src/core/errors.ts';
import { REDACTED } from '../../src/core/redact.ts';
import type { Telemetry } from '../../src/ports/telemetry.ts';
import { Cluster } from './support.ts';

/** What a node writes about a run at its usual level, as a collector of logs reads it. */

type Line = Record<string, unknown> & { level: number; msg: string };

const TRACED: Telemetry = { metrics: null, tracing: { sampled: () => true, report: () => {} } };
const NAMED = /^(?:agent\.|llm\.|tool\.|step_failed)/;

async function linesOf(telemetry?: Telemetry): Promise<{ lines: Line[]; run: string }> {
  const lines: Line[] = [];
  const write = (text: string) => void lines.push(JSON.parse(text) as Line);
  const cluster = await new Cluster({ name: 'clerk', model: 'clerk' }).prepare();
  cluster.tools.add('broken', () => {
    throw new AppError('tool_error', 'login with password=hunter2 failed');
  });
  const say = [
    { action: 'tool_call', calls: [{ tool: 'echo', args: {} }] },
    null,
    { action: 'tool_call', calls: [{ tool: 'broken', args: {} }] },
    { action: 'final_answer', answer: 'done' },
  ] as const;
  cluster.modelMap.clerk = {
    think: ({ step }) => {
      const said = say[step - 1];
      if (said === null || said === undefined)
        throw new AppError('bad_reply', 'the model spoke in riddles', { retryable: true });
      return Promise.resolve({
        ...scripted(said as never),
        usage: { input_tokens: 7, output_tokens: 3, cost_usd: 0.5 },
      });
    },
  };
  const log = pinoLog({ level: 'info', destination: { write } });
  await cluster.node('n1', telemetry === undefined ? { log } : { log, telemetry });
  await cluster.submit({ input: 'x' }, 'clerk', 'alice');
  const { run } = await cluster.result();
  await cluster.clock.advance(100);
  return { lines: lines.filter((line) => line.run_id === run && NAMED.test(line.msg)), run };
}

describe('the log of a run', () => {
  it('has a line for all that it does, each with its figures and naming run, user, agent and step', async () => {
    const { lines, run } = await linesOf();
    expect(lines.map((line) => line.msg)).toEqual([
      ...['agent.start', 'agent.step.start', 'llm.response', 'tool.executed'],
      ...['agent.step.start', 'step_failed'],
      ...['agent.step.start', 'llm.response', 'tool.executed'],
      ...['agent.step.start', 'llm.response', 'agent.complete'],
    ]);
    for (const line of lines) expect(line).toMatchObject({ run_id: run, user_id: 'alice', agent: 'clerk' });
    const [first, second] = lines.filter((line) => line.msg === 'tool.executed');
    expect(first).toMatchObject({ level: 30, step: 1, tool: 'echo', status: 'ok', ms: expect.any(Number) });
    expect(second).toMatchObject({
      ...{ level: 40, step: 3, tool: 'broken', status: 'error', code: 'tool_error' },
      message: `login with password=${REDACTED} failed`,
    });
    expect(lines.find((line) => line.msg === 'step_failed')).toMatchObject({ level: 40, step: 2, code: 'bad_reply' });
    expect(lines.find((line) => line.msg === 'llm.response')).toMatchObject({
      ...{ step: 1, action: 'tool_call', tokens_in: 7, tokens_out: 3, cost_usd: 0.5, ms: expect.any(Number) },
    });
    expect(lines.at(-1)).toMatchObject({
      code: 'completed',
      outcome: 'success',
      steps: 4,
      tokens_in: 21,
      cost_usd: 1.5,
    });
    expect(JSON.stringify(lines)).not.toContain('hunter2');
  });

  it('names the trace in every line when the run is traced, and none when it is not', async () => {
    const traced = await linesOf(TRACED);
    expect(new Set(traced.lines.map((line) => line.trace_id))).toEqual(
      new Set([expect.stringMatching(/^[0-9a-f]{32}$/)]),
    );
    const untraced = await linesOf();
    for (const line of untraced.lines) expect(line).not.toHaveProperty('trace_id');
  });
});
