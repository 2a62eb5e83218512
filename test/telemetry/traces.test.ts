import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { context, trace } from '@opentelemetry/api';
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { NatsBus } from '../../src/adapters/nats/bus.ts';
import { connectBus } from '../../src/app.ts';
import { createClient } from '../../src/client/client.ts';
import { streamsOf } from '../../src/core/streams.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { eventually } from '../cli/support.ts';
import { silent } from '../runtime/support.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';
import { type OtlpReceiver, pathOf, type ReceivedSpan, startOtlpReceiver } from './otlp-receiver.ts';

/** Traces as a collector gets them from nodes and workers in processes of their own, over a real server. */

// Four processes begin here, on whatever machine this is.
const SLOW = { timeout: 90_000 };
const LOADER = new URL('../support/typescript.mjs', import.meta.url).href;
const subjects = new Subjects();
const byName = (a: string, b: string) => a.localeCompare(b);
const children = new Set<ChildProcess>();
let server: NatsServer;
let receiver: OtlpReceiver;
let bus: NatsBus;
let folder: string;

beforeAll(async () => {
  [server, receiver] = await Promise.all([startNatsServer(), startOtlpReceiver()]);
  bus = await connectBus({ url: server.url }, 'test', subjects, silent);
  folder = await mkdtemp(join(tmpdir(), 'proctor-traces-'));
});

afterEach(async () => {
  await Promise.all([...children].map((child) => ended(child, 'SIGKILL')));
});

afterAll(async () => {
  await bus.close();
  await server.stop();
  await receiver.stop();
  await rm(folder, { recursive: true, force: true });
});

async function start(script: string, args: string[], env: Record<string, string> = {}): Promise<ChildProcess> {
  const file = fileURLToPath(new URL(`fixtures/${script}.ts`, import.meta.url));
  const child = spawn(process.execPath, ['--import', LOADER, file, server.url, ...args], {
    // biome-ignore lint/style/noProcessEnv: a child process needs PATH
    env: { ...process.env, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_METRICS_EXPORTER: 'none', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.add(child);
  child.once('exit', () => children.delete(child));
  await new Promise<void>((resolve, reject) => {
    child.stdout?.setEncoding('utf8').on('data', (text: string) => text.includes('up') && resolve());
    child.once('exit', (code) => reject(new Error(`${script} ended with ${code} before it was up`)));
  });
  return child;
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill(signal);
  await exit;
}

const steps = (...tools: string[]) =>
  tools.map((tool, i) => ({ id: `s${i}`, tool, args: {}, after: i === 0 ? [] : [`s${i - 1}`] }));

const spansOf = (run: string): ReceivedSpan[] => {
  const all = receiver.spans();
  const trace = all.find((span) => span.attributes['agent.execution_id'] === run)?.traceId;
  return all.filter((span) => span.traceId === trace);
};

describe('a submitter with an active span', () => {
  it('sends its trace context with the task', async () => {
    new NodeTracerProvider().register();
    await bus.ensureStream(streamsOf(subjects).tasks);
    const here = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', traceFlags: 1 };
    const client = createClient({ bus, subjects, user: 'alice', acceptMs: 500 });
    const submit = () => client.submit({ input: 'x' }, 'nobody').catch(() => undefined);
    await context.with(trace.setSpanContext(context.active(), here), submit);
    const stored = await bus.last(streamsOf(subjects).tasks.name, subjects.task('nobody', 'alice'));
    expect(stored?.headers).toEqual({ traceparent: `00-${here.traceId}-${here.spanId}-01` });
    await submit();
    const next = await bus.last(streamsOf(subjects).tasks.name, subjects.task('nobody', 'alice'));
    expect(next?.headers).toEqual({});
    context.disable();
    trace.disable();
  });
});

describe('the trace of a run', () => {
  it(
    'reaches through node and worker into what the worker does, with names and attributes that hold',
    SLOW,
    async () => {
      const node = await start('node', ['n1']);
      const worker = await start('worker', [join(folder, 'unused')]);
      const client = createClient({ bus, subjects, user: 'alice' });
      const { run } = await client.submit(
        { input: 'two pieces of work', plan: { steps: steps('work', 'work') } },
        'plan',
      );
      const result = await client.result(run, { wait: true });
      expect(result.status).toBe('completed');
      // Both send what they have left before they end.
      await Promise.all([ended(node, 'SIGTERM'), ended(worker, 'SIGTERM')]);

      const spans = spansOf(run);
      const paths = spans.map((span) => pathOf(span, spans).join(' > ')).toSorted(byName);
      const step = 'agent.run > agent.plan > agent.step';
      const call = `${step} > execute_tool work`;
      expect(paths).toEqual(
        [
          'agent.run',
          'agent.run > agent.plan',
          ...[step, step, step],
          ...Array.from({ length: 3 }, () => `${step} > chat plan`),
          ...[call, call],
          ...[`${call} > tool.call work`, `${call} > tool.call work`],
          ...[`${call} > tool.call work > inside the handler`, `${call} > tool.call work > inside the handler`],
        ].toSorted(byName),
      );
      const named = (name: string) => spans.filter((span) => span.name === name);
      expect(new Set(named('tool.call work').map((span) => span.service))).toEqual(new Set(['test-worker']));
      expect(named('agent.run')[0]).toMatchObject({
        service: 'test-node',
        parentSpanId: null,
        attributes: {
          'agent.execution_id': run,
          'agent.task': 'two pieces of work',
          'agent.succeeded': true,
          'agent.steps': 3,
          'gen_ai.agent.name': 'plan',
          'user.id': 'alice',
        },
        events: ['claimed'],
      });
      expect(named('chat plan')[0]?.attributes).toMatchObject({
        'gen_ai.operation.name': 'chat',
        'gen_ai.request.model': 'plan',
        'gen_ai.usage.input_tokens': 0,
      });
      for (const span of named('execute_tool work')) {
        expect(span.attributes).toMatchObject({
          'gen_ai.operation.name': 'execute_tool',
          'gen_ai.tool.name': 'work',
          'action.tool': 'work',
          'observation.status': 'ok',
        });
        expect(span.attributes['action.duration_ms']).toBe(Math.round(span.end - span.start));
      }
      for (const span of named('agent.step')) {
        const run = named('agent.run')[0];
        expect(span.start).toBeGreaterThanOrEqual(run?.start ?? Number.NaN);
        expect(span.end).toBeLessThanOrEqual(run?.end ?? Number.NaN);
      }
    },
  );

  it('is one complete tree when the node is killed in the middle and another goes on', SLOW, async () => {
    const gate = join(folder, 'gate');
    const worker = await start('worker', [gate]);
    // What it had not sent yet is lost with it.
    const first = await start('node', ['n1'], { OTEL_BSP_SCHEDULE_DELAY: '600000' });
    const client = createClient({ bus, subjects, user: 'alice' });
    const plan = { steps: steps('work', 'work', 'gate', 'work') };
    const { run } = await client.submit({ input: 'survive', plan }, 'plan');
    await eventually('the gate is reached', async () => existsSync(`${gate}.reached`));
    await ended(first, 'SIGKILL');
    expect(
      receiver.spans().some((span) => span.attributes['agent.execution_id'] === run && span.service === 'test-node'),
    ).toBe(false);
    const second = await start('node', ['n2']);
    await writeFile(gate, '');
    const result = await client.result(run, { wait: true });
    expect(result.status).toBe('completed');
    await Promise.all([ended(second, 'SIGTERM'), ended(worker, 'SIGTERM')]);

    const spans = spansOf(run);
    const paths = spans.map((span) => pathOf(span, spans).join(' > '));
    expect(paths.filter((path) => path.endsWith('> agent.step'))).toHaveLength(5);
    expect(paths.filter((path) => path.endsWith('> execute_tool work'))).toHaveLength(3);
    expect(paths.filter((path) => path.endsWith('> execute_tool gate'))).toHaveLength(1);
    expect(paths.filter((path) => path.endsWith('> tool.call work'))).toHaveLength(3);
    expect(spans.filter((span) => span.parentSpanId === null).map((span) => span.name)).toEqual(['agent.run']);
    const root = spans.find((span) => span.name === 'agent.run');
    expect(root?.events).toEqual(['claimed', 'claimed']);
    expect(root?.attributes['agent.restarts']).toBe(1);
  });
});
