import { randomUUID } from 'node:crypto';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LoadedAgent, loadAgents } from '../../src/adapters/definition-files/load-agents.ts';
import { loadPolicy } from '../../src/adapters/definition-files/load-policy.ts';
import type { NatsBus } from '../../src/adapters/nats/bus.ts';
import { connectNats } from '../../src/adapters/nats/connect.ts';
import { loadPricing } from '../../src/app/pricing.ts';
import { toolboxNames } from '../../src/app/toolbox-names.ts';
import { startSupervisor } from '../../src/app.ts';
import { createClient } from '../../src/client/client.ts';
import { listsTool } from '../../src/core/agent.ts';
import type { RunResult } from '../../src/core/result.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { Task } from '../../src/core/task.ts';
import type { SupervisorNode } from '../../src/runtime/node.ts';
import { silent } from '../runtime/support.ts';
import { type ModelServer, openaiReply, startModelServer } from '../support/model-server.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';

/** The agents that are shipped, with their tasks: loaded as a node loads them, run with real files and a model's replies. */

const examples = fileURLToPath(new URL('../../examples/', import.meta.url));
const subjects = new Subjects();
let root: string;
let nats: NatsServer;
let provider: ModelServer;
let bus: NatsBus;
let node: SupervisorNode;
let agents: LoadedAgent[];

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'proctor-examples-'));
  await cp(examples, join(root, 'examples'), { recursive: true });
  agents = await loadAgents(join(examples, 'agents'));
  [nats, provider] = await Promise.all([startNatsServer(), startModelServer()]);
  bus = await connectNats({ servers: nats.url, name: 'test', subjects, log: silent, random: randomUUID });
  node = await startSupervisor({
    bus,
    subjects,
    log: silent,
    firstPolicy: { ...(await loadPolicy(join(examples, 'policies/first.yaml'))), by: 'test', why: 'as up does' },
    root,
    agents: agents.map(({ definition }) => definition),
    env: { OPENAI_API_KEY: 'sk-test-000000000000000000000000', OPENAI_BASE_URL: `${provider.url}/v1` },
    pricing: loadPricing(await readFile(join(examples, 'pricing.yaml'), 'utf8')),
  });
});
afterAll(async () => {
  await node.stop();
  await bus.close();
  await Promise.all([nats.stop(), provider.stop()]);
  await rm(root, { recursive: true, force: true });
});

const call = (name: string, args: object) => openaiReply({ calls: [{ name, args: JSON.stringify(args) }] });
const answer = (text: string) => openaiReply({ text });

async function run(agent: string, task: string, ...replies: ReturnType<typeof call>[]): Promise<RunResult> {
  provider.reply(...replies);
  const client = createClient({ bus, subjects, user: 'u' });
  const body = Task.parse(JSON.parse(await readFile(join(examples, 'tasks', task), 'utf8')));
  const { run: id } = await client.submit(body, agent);
  return client.result(id, { wait: true });
}

/** What the model was shown the last time. */
const shown = () => JSON.stringify(provider.requests.at(-1)?.body);

describe('the shipped agents', () => {
  it('are four, each with instructions, limits below the default cost, and only tools that come with Proctor', () => {
    expect(agents.map(({ definition }) => definition.name)).toEqual([
      'config-auditor',
      'log-analyst',
      'release-desk',
      'repo-guide',
    ]);
    const toolbox = toolboxNames(root);
    for (const { definition } of agents) {
      expect(definition.instructions?.length, definition.name).toBeGreaterThan(500);
      expect(definition.limits.cost_usd, definition.name).toBeLessThan(1);
      for (const tool of definition.tools) expect(toolbox, definition.name).toContain(tool);
      expect(listsTool(definition, 'http_fetch'), definition.name).toBe(false);
    }
    const writers = agents.filter(({ definition }) => listsTool(definition, 'write_file'));
    expect(writers.map(({ definition }) => definition.name)).toEqual(['config-auditor']);
  });

  it('log-analyst finds the lines of an incident', async () => {
    const result = await run(
      'log-analyst',
      'log-analysis.json',
      call('search_files', { query: 'Lock on relation', path: 'examples/files/incident' }),
      call('read_file', { path: 'examples/files/incident/deploy.log', first_line: 2, max_lines: 2 }),
      answer('**Cause**: the migration held a lock: orders-db.log:2'),
    );
    expect(result).toMatchObject({ status: 'completed', tools_used: ['search_files', 'read_file'], steps: 3 });
    expect(result.cost_usd).toBeGreaterThan(0);
    expect(shown()).toContain('process 4411 acquired AccessExclusiveLock');
    expect(shown()).toContain('migration 0097_gift_note.sql done in 1162 s');
    expect(shown()).not.toContain('rolling out');
  });

  it('repo-guide reads what it cites', async () => {
    const result = await run(
      'repo-guide',
      'repo-question.json',
      call('search_files', { query: 'replicas', pattern: '**/*.json' }),
      answer('See production.json:4'),
    );
    expect(result).toMatchObject({ status: 'completed', answer: 'See production.json:4' });
    expect(shown()).toContain('production.json');
  });

  it('config-auditor writes its report, and can call nothing that it does not list', async () => {
    const report = '| rule | verdict |\n| 4 | fail: image is latest |\n';
    const result = await run(
      'config-auditor',
      'config-audit.json',
      call('http_fetch', { url: 'http://example.com/' }),
      call('read_file', { path: 'examples/files/config/production.json' }),
      call('write_file', { path: 'reports/config-audit.md', content: report }),
      answer('reports/config-audit.md: 1 failure'),
    );
    expect(result).toMatchObject({ status: 'completed', tools_used: ['read_file', 'write_file'] });
    expect(await readFile(join(root, 'reports/config-audit.md'), 'utf8')).toBe(report);
    expect(shown()).toContain('checkout:latest');
  });

  it('release-desk asks two others at the same time, none of whom can do more than itself', async () => {
    const part = (agent: string) => ({ name: 'delegate', args: JSON.stringify({ agent, input: 'look' }) });
    const result = await run(
      'release-desk',
      'release-question.json',
      openaiReply({ calls: [part('log-analyst'), part('config-auditor')] }),
      call('write_file', { path: 'reports/x.md', content: 'x' }),
      call('write_file', { path: 'reports/x.md', content: 'x' }),
      answer('orders-db.log:2 holds a lock'),
      answer('orders-db.log:2 holds a lock'),
      answer('no: orders-db.log:2'),
    );
    expect(result).toMatchObject({ status: 'completed', answer: 'no: orders-db.log:2', steps: 2 });
    expect(result.step_log[0]?.calls).toMatchObject([
      { tool: 'agent:log-analyst', status: 'ok' },
      { tool: 'agent:config-auditor', status: 'ok' },
    ]);
    const asked = JSON.stringify(provider.requests.map(({ body }) => body));
    expect(asked).toContain('agent release-desk above it does not have that tool');
    await expect(readFile(join(root, 'reports/x.md'))).rejects.toThrow('ENOENT');
  });
});
