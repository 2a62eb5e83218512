import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/clock/system-clock.ts';
import { MemoryBroker } from '../../src/adapters/memory/memory-broker.ts';
import { MemoryBus } from '../../src/adapters/memory/memory-bus.ts';
import { startSupervisor } from '../../src/app.ts';
import { createClient } from '../../src/client/client.ts';
import type { AgentInput } from '../../src/core/agent.ts';
import type { Json } from '../../src/core/json.ts';
import { journalStream, streamsOf } from '../../src/core/streams.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { PRICING } from '../adapters/ai-sdk/support.ts';
import { CountingTools, recordingLog } from '../runtime/support.ts';
import { type ModelServer, openaiReply, startModelServer, type WireReply } from '../support/model-server.ts';

/** Agents with models of providers, from the task to the result. */

const KEY = 'sk-test-abcdefghijklmnopqrstuvwxyz';
const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const call = (name: string, args: object): WireReply =>
  openaiReply({ text: `Now ${name}.`, calls: [{ name, args: JSON.stringify(args) }] });

async function provider(...replies: WireReply[]): Promise<ModelServer> {
  const server = await startModelServer(...replies);
  stops.push(() => server.stop());
  return server;
}

/** A node in this process with one agent, `ai`, whose provider is at the address. */
async function start(
  url: string,
  agent: Partial<AgentInput> = {},
  env: Record<string, string> = { OPENAI_API_KEY: KEY },
) {
  const bus = new MemoryBus(new MemoryBroker({ clock: systemClock() }), 'node');
  const subjects = new Subjects();
  const tools = new CountingTools();
  const log = recordingLog();
  const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
  tools.add('weather', ({ city }) => ({ city: city ?? null, degrees: 21 }), { parameters, effect: 'read' });
  const node = await startSupervisor({
    bus,
    subjects,
    log,
    tools: [tools],
    env: { OPENAI_BASE_URL: `${url}/v1`, COMPATIBLE_BASE_URL: `${url}/v1`, ...env },
    pricing: PRICING,
    agents: [{ name: 'ai', model: 'openai/test', tools: ['weather'], retry_backoff_ms: 10, ...agent }],
  });
  stops.push(
    () => bus.close(),
    () => node.stop(),
  );
  const client = createClient({ bus, subjects, user: 'u' });
  return {
    tools,
    /** Everything that was logged or stored about a run. */
    told: async (run: string) => {
      const texts = [JSON.stringify(log.lines)];
      const streams = [journalStream(subjects, run.slice(0, 8)), ...Object.values(streamsOf(subjects))];
      for (const { name } of streams) for await (const message of bus.scan(name, '>')) texts.push(message.data);
      return texts;
    },
    run: async (input: Json) => {
      const { run } = await client.submit({ input }, 'ai');
      return client.result(run, { wait: true });
    },
  };
}

describe('an agent with a model', () => {
  it('calls a tool twice and answers; tokens and cost stand in the result', async () => {
    const server = await provider(
      call('weather', { city: 'Oslo' }),
      call('weather', { city: 'Rome' }),
      call('final_answer', { answer: { warmer: 'neither' } }),
    );
    const { run, tools } = await start(server.url);
    expect(await run('Which one is warmer?')).toMatchObject({
      status: 'completed',
      answer: { warmer: 'neither' },
      steps: 3,
      tools_used: ['weather'],
      input_tokens: 300,
      output_tokens: 60,
      cost_usd: expect.closeTo(0.0012, 10) as number,
    });
    expect(tools.calls.map(({ args }) => args)).toEqual([{ city: 'Oslo' }, { city: 'Rome' }]);
    expect(server.requests).toHaveLength(3);
    expect(JSON.stringify(server.requests[2]?.body)).toContain('degrees');
  });

  it('plans first and has its answer reviewed', async () => {
    const step = (id: string, city: string) => ({ id, tool: 'weather', args: { city } });
    const server = await provider(
      call('make_plan', { steps: [step('oslo', 'Oslo'), step('rome', 'Rome')] }),
      openaiReply({ calls: ['Oslo', 'Rome'].map((city) => ({ name: 'weather', args: JSON.stringify({ city }) })) }),
      openaiReply({ text: 'Oslo.' }),
      call('review', { verdict: 'revise', comment: 'Both are at 21.' }),
      openaiReply({ text: 'Neither.' }),
      call('review', { verdict: 'accept' }),
    );
    const { run, tools } = await start(server.url, { planning: true, review: true });
    expect(await run('Which one is warmer?')).toMatchObject({
      status: 'completed',
      answer: 'Neither.',
      steps: 6,
      input_tokens: 600,
      output_tokens: 120,
    });
    expect(tools.calls).toHaveLength(2);
    expect(JSON.stringify(server.requests[4]?.body)).toContain('Both are at 21.');
  });

  it('sees what was wrong with its last reply and does better', async () => {
    const server = await provider(
      openaiReply({ calls: [{ name: 'weather', args: '{city: Oslo}' }] }),
      openaiReply({ text: 'Warm.' }),
    );
    const { run } = await start(server.url);
    expect(await run('Is it warm?')).toMatchObject({ status: 'completed', answer: 'Warm.', input_tokens: 200 });
    expect(JSON.stringify(server.requests[1]?.body)).toContain('Your last reply could not be used (bad_decision)');
  });

  it('is asked again when its provider was away or asked to be left alone', async () => {
    const server = await provider(
      { status: 503, body: 'away' },
      { status: 429, headers: { 'retry-after-ms': '20' }, body: {} },
      openaiReply({ text: 'Warm.' }),
    );
    const { run } = await start(server.url);
    expect(await run('Is it warm?')).toMatchObject({ status: 'completed', answer: 'Warm.', steps: 1 });
    expect(server.requests).toHaveLength(3);
  });

  it('ends with the reason when its key is refused, and the key is told nowhere', async () => {
    const refused = { status: 401, body: { error: { message: `Incorrect API key provided: ${KEY}`, type: 'x' } } };
    const server = await provider(refused);
    const { run, told } = await start(server.url);
    const result = await run('Is it warm?');
    expect(result).toMatchObject({
      status: 'failed',
      code: 'error',
      error: { reason: expect.stringContaining('check OPENAI_API_KEY') },
    });
    expect(server.requests).toHaveLength(1);
    const texts = await told(result.run);
    expect(texts.filter((text) => text.includes('check OPENAI_API_KEY')).length).toBeGreaterThan(2);
    expect(texts.join('\n')).not.toContain(KEY);
  });

  it('is refused at the start without its key, or without a price', async () => {
    await expect(start('http://127.0.0.1:1', {}, {})).rejects.toThrow(/OPENAI_API_KEY/);
    await expect(start('http://127.0.0.1:1', { model: 'mistral/large' })).rejects.toThrow(/mistral\/large/);
  });
});

describe('the stand-in for a provider', () => {
  async function standIn(): Promise<string> {
    const script = fileURLToPath(new URL('../../examples/model-server.mjs', import.meta.url));
    const child: ChildProcess = spawn(process.execPath, [script, '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    stops.push(async () => {
      child.kill();
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    });
    const [line] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
    return /http:\S+(?=\/v1)/.exec(line.toString())?.[0] ?? '';
  }

  it.each([
    ['deciding alone', {}],
    ['streaming', { model_options: { stream: true } }],
    ['planning and reviewing', { planning: true, review: true }],
  ])('calls the tool that a task has the arguments for and answers with its result: %s', async (_, more) => {
    const { run, tools } = await start(await standIn(), { model: 'compatible/stand-in', ...more });
    expect(await run({ city: 'Oslo' })).toMatchObject({ status: 'completed', answer: { city: 'Oslo', degrees: 21 } });
    expect(await run('Good morning')).toMatchObject({ status: 'completed' });
    expect(tools.calls.map(({ args }) => args)[0]).toEqual({ city: 'Oslo' });
  });
});
