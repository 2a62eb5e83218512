import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Ops, startOps } from '../../src/app/ops.ts';
import { type Stack, startStack } from '../../src/app.ts';
import { createClient } from '../../src/client/client.ts';
import { eventually } from '../cli/support.ts';
import { silent } from '../runtime/support.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';

/** What Prometheus reads from a node that runs on a real server, and what a load balancer is told about it. */

let server: NatsServer;
let folder: string;
let ops: Ops;
let stack: Stack;

beforeAll(async () => {
  server = await startNatsServer();
  folder = await mkdtemp(join(tmpdir(), 'proctor-figures-'));
  ops = await startOps({
    service: 'test',
    instance: 'n1',
    env: {},
    http: { host: '127.0.0.1', port: 0 },
    notReady: () => stack?.notReady() ?? ['starting'],
    log: silent,
  });
  stack = await startStack({
    dir: folder,
    prefix: 'proctor',
    users: [],
    nats: { url: server.url },
    server: { path: '' },
    root: folder,
    allowHosts: [],
    settings: { slots: 1 },
    name: 'n1',
    log: silent,
    telemetry: ops.telemetry,
  });
});

afterAll(async () => {
  await ops.stop();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** Prometheus text, format 0.0.4; throws for a line that is none of it. */
function parsePrometheus(text: string): Sample[] {
  const lines = text.split('\n').filter((line) => line !== '' && !/^# (?:HELP|TYPE|UNIT) [a-zA-Z_:]/.test(line));
  return lines.map((line) => {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: \d+)?$/.exec(line);
    if (match === null) throw new Error(`not a line of Prometheus text: ${line}`);
    const labels = [...(match[2] ?? '').matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)];
    const value = match[3] === '+Inf' ? Number.POSITIVE_INFINITY : Number(match[3]);
    if (Number.isNaN(value)) throw new Error(`no number: ${line}`);
    return { name: match[1] ?? '', labels: Object.fromEntries(labels.map(([, key, text]) => [key, text])), value };
  });
}

describe('/metrics', () => {
  it('counts what the node did, under bounded labels', async () => {
    const client = createClient({ bus: stack.bus, subjects: stack.subjects, user: 'default' });
    const plan = {
      steps: [
        { id: 'a', tool: 'calculate', args: { expression: '2 + 3' } },
        { id: 'b', tool: 'read_file', args: { path: 'missing.txt' }, after: ['a'] },
      ],
    };
    const { run } = await client.submit({ input: 'x', plan }, 'plan');
    const result = await client.result(run, { wait: true });
    expect(result.status).toBe('failed');
    // The result is there a moment before it is counted.
    await eventually('it is counted', async () =>
      (await (await fetch(`${ops.url}/metrics`)).text()).includes('agent_runs_total{'),
    );
    const answer = await fetch(`${ops.url}/metrics`);
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    const text = await answer.text();
    const samples = parsePrometheus(text);
    const value = (name: string, labels: Record<string, string>) =>
      samples.find(
        (one) => one.name === name && Object.entries(labels).every(([label, wanted]) => one.labels[label] === wanted),
      )?.value;
    expect(value('agent_tasks_total', { agent: 'plan', status: 'accepted' })).toBe(1);
    expect(value('agent_runs_total', { agent: 'plan', outcome: 'failure', reason: result.code })).toBe(1);
    expect(value('agent_step_duration_seconds_count', { tool: 'calculate', status: 'ok' })).toBe(1);
    expect(value('agent_step_duration_seconds_count', { tool: 'read_file', status: 'error' })).toBe(1);
    expect(value('agent_tool_failures_total', { tool: 'read_file' })).toBe(1);
    expect(value('agent_run_duration_seconds_bucket', { outcome: 'failure', le: '+Inf' })).toBe(1);
    expect(value('agent_run_time_seconds_total', { part: 'overhead' })).toBeGreaterThan(0);
    expect(value('agent_runs_active', { agent: 'plan' })).toBe(0);
    expect(value('agent_queue_depth', { agent: 'plan' })).toBe(0);
    expect(value('agent_queue_oldest_age_seconds', { agent: 'plan' })).toBe(0);
    expect(text).not.toContain(run);
  });

  it('shows how many runs wait, and for how long the first of them has', async () => {
    // One slot: the first of these runs keeps it until its moment has come.
    const client = createClient({ bus: stack.bus, subjects: stack.subjects, user: 'default' });
    const not_before = new Date(Date.now() + 20_000).toISOString();
    const plan = { steps: [{ id: 'a', tool: 'calculate', args: { expression: '1' } }] };
    const held = await client.submit({ input: 'later', not_before, plan }, 'plan');
    const gauge = async (name: string) =>
      parsePrometheus(await (await fetch(`${ops.url}/metrics`)).text()).find((one) => one.name === name)?.value ?? 0;
    await eventually('the slot is taken', async () => (await gauge('agent_runs_active')) === 1);
    const waiting = await Promise.all([1, 2].map((input) => client.submit({ input, plan }, 'plan')));
    await eventually('two wait', async () => (await gauge('agent_queue_depth')) === 2);
    await eventually('the first has waited', async () => (await gauge('agent_queue_oldest_age_seconds')) > 0);
    await client.cancel(held.run);
    for (const { run } of waiting) expect((await client.result(run, { wait: true })).status).toBe('completed');
    expect(await gauge('agent_queue_depth')).toBe(0);
  });
});

describe('the event loop', () => {
  it('shows how late it was since the last look', async () => {
    const longest = async () =>
      parsePrometheus(await (await fetch(`${ops.url}/metrics`)).text()).find(
        ({ name }) => name === 'nodejs_eventloop_delay_max_seconds',
      )?.value ?? 0;
    // Each look begins anew, and one that comes before the loop's own timer does not see it yet.
    await eventually('a look that shows it', async () => {
      const until = performance.now() + 400;
      while (performance.now() < until);
      return (await longest()) > 0.3;
    });
  });
});

describe('/readyz', () => {
  const ready = async () => {
    const answer = await fetch(`${ops.url}/readyz`);
    const { reasons = [] } = (await answer.json()) as { reasons?: string[] };
    return { status: answer.status, reasons };
  };

  it('says no while the server is away, and yes when it is back', async () => {
    expect(await ready()).toMatchObject({ status: 200 });
    await server.kill9();
    await eventually('not ready', async () => (await ready()).status === 503);
    expect((await ready()).reasons).toEqual([expect.stringMatching(/^nats: not connected/)]);
    // Figures do not wait for it.
    expect((await fetch(`${ops.url}/metrics`)).status).toBe(200);
    await server.restart();
    await eventually('ready again', async () => (await ready()).status === 200);
  });

  it('says no from the moment that the node begins to hand its runs over', async () => {
    const stopped = stack.stop();
    expect(await ready()).toMatchObject({ status: 503, reasons: [expect.stringMatching(/^draining/)] });
    await stopped;
  });
});
