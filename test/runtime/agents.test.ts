import { describe, expect, it } from 'vitest';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import { PLAN_AGENT } from '../../src/app.ts';
import { createOperator, type Operator } from '../../src/client/operator.ts';
import { AgentDefinition, type AgentInput } from '../../src/core/agent.ts';
import { AppError } from '../../src/core/errors.ts';
import { Cluster, chain, recordingLog } from './support.ts';

/** Agents are stored once for all nodes; each version is fixed; what was written last is in force. */

const agent = (more: Partial<AgentInput> = {}) =>
  AgentDefinition.parse({ name: 'a', model: 'plan', tools: ['*'], ...more });
const answering = (text: string) =>
  scriptedModel(Array.from({ length: 20 }, () => scripted({ action: 'final_answer', answer: text })));

function operatorOf(cluster: Cluster): Operator {
  return createOperator({ bus: cluster.client, subjects: cluster.subjects, by: 'olga', clock: cluster.clock });
}

async function drive<T>(cluster: Cluster, promise: Promise<T>): Promise<T> {
  let settled = false;
  const watched = promise.finally(() => {
    settled = true;
  });
  watched.catch(() => undefined);
  await cluster.until('settled promise', async () => settled);
  return watched;
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

const failure = (promise: Promise<unknown>): Promise<AppError> =>
  promise.then(
    () => new AppError('no_error', ''),
    (error: unknown) => error as AppError,
  );

/** The result of the next task of an agent. */
async function answerOf(cluster: Cluster, name: string, task: unknown = { input: 'x' }): Promise<unknown> {
  const before = (await cluster.results()).length;
  await cluster.submit(task, name);
  const results = await cluster.until('result', async () => {
    const found = await cluster.results();
    return found.length > before && found;
  });
  return results.at(-1)?.answer;
}

describe('an agent', () => {
  it('that one node brings is run by all, also when that one has gone', async () => {
    const cluster = new Cluster();
    const before = await cluster.node('n0', { given: [] });
    const first = await cluster.node('n1', { given: [agent()] });
    await first.node.stop();
    await cluster.submit(chain(1), 'a');
    expect(await cluster.result()).toMatchObject({ agent: 'a', status: 'completed' });
    await before.node.stop();
    await cluster.node('n2', { given: [] });
    await cluster.submit(chain(1), 'a');
    await cluster.until('second result', async () => (await cluster.results()).length === 2);
  });

  it('is known to a node that missed the word of it after ten seconds', async () => {
    const cluster = new Cluster();
    const deaf = await cluster.node('n0', { given: [] });
    cluster.broker.intercept = ({ kind, subject }) =>
      kind === 'emit' && /nodes\.agents/.test(subject) ? 'lost' : 'ok';
    const second = await cluster.node('n1', { given: [agent()] });
    expect(deaf.node.agents).toEqual([]);
    await second.node.stop();
    await cluster.clock.advance(10_000);
    expect(deaf.node.agents).toEqual(['a']);
    await cluster.submit(chain(1), 'a');
    await cluster.result();
  });

  it('that the node of the intake never heard of is looked for before its task is refused', async () => {
    const cluster = new Cluster();
    const deaf = await cluster.node('n0', { given: [] });
    cluster.broker.intercept = ({ kind, subject }) =>
      kind === 'emit' && /nodes\.agents/.test(subject) ? 'lost' : 'ok';
    const second = await cluster.node('n1', { given: [agent()] });
    second.kill();
    expect(deaf.node.agents).toEqual([]);
    await cluster.submit(chain(1), 'a');
    expect(await cluster.result(8_000)).toMatchObject({ agent: 'a', status: 'completed' });
  });

  it('that nobody stored is refused with the five names that come closest', async () => {
    const cluster = new Cluster();
    const names = [
      'log-analyst',
      'log-analysts',
      'repo-guide',
      'release-notes',
      'config-auditor',
      'zzzzzzzzzzzzzzzzzzzz',
    ];
    await cluster.node('n1', { given: names.map((name) => agent({ name })) });
    await cluster.submit(chain(1), 'log_analyst');
    const { error } = await cluster.status('rejected');
    expect(error).toMatchObject({ code: 'unknown_agent', field: 'agent' });
    expect(error?.message).toMatch(
      /^agent: no agent named "log_analyst" is defined; the closest of 6 are: log-analyst, log-analysts, /,
    );
    expect(error?.message).not.toContain('zzz');
  });
});

describe('a version', () => {
  it('that is stored with other content keeps a node from starting, and says what to do', async () => {
    const cluster = new Cluster();
    await cluster.node('n1', { given: [agent(), agent({ name: 'b' })] });
    await cluster.node('n2', { given: [agent()] });
    const changed = [agent({ tools: ['echo'] }), agent({ name: 'b', limits: { steps: 3 } })];
    const error = await failure(drive(cluster, cluster.node('n3', { given: changed })));
    expect(error.code).toBe('version_taken');
    for (const name of ['a', 'b']) {
      expect(error.message).toContain(
        `agent "${name}" version 1 is already stored with other content: raise its version`,
      );
    }
  });

  it('put while nodes run is what new tasks get, and a run keeps the one that it began with', async () => {
    const cluster = new Cluster();
    cluster.modelMap.one = answering('one');
    cluster.modelMap.two = answering('two');
    await cluster.node('n1', { given: [agent({ model: 'one' })] });
    await cluster.node('n2', { given: [] });
    expect(await answerOf(cluster, 'a')).toBe('one');
    const later = new Date(cluster.clock.now() + 60_000).toISOString();
    await cluster.submit({ input: 'x', not_before: later }, 'a');
    await cluster.status('idle.scheduled');
    const operator = operatorOf(cluster);
    const second = { ...agent({ model: 'two' }), version: '2' };
    expect(await drive(cluster, operator.putAgent(second, 'a.yaml'))).toEqual({
      ok: true,
      name: 'a',
      version: '2',
      stored: true,
    });
    expect(await answerOf(cluster, 'a')).toBe('two');
    const old = await cluster.until('end of the old run', async () => (await cluster.results())[2]);
    expect(old.answer).toBe('one');
    expect(await drive(cluster, operator.agent('a'))).toMatchObject({
      definition: second,
      by: 'olga',
      source: 'a.yaml',
      current: '2',
      versions: ['1', '2'],
    });
    expect(await drive(cluster, operator.agent('a', '1'))).toMatchObject({ definition: { model: 'one' }, by: 'n1' });
  });

  it('of before is in force again when it is put once more', async () => {
    const cluster = new Cluster();
    cluster.modelMap.one = answering('one');
    cluster.modelMap.two = answering('two');
    const first = await cluster.node('n1', { given: [agent({ model: 'one' })] });
    const operator = operatorOf(cluster);
    await drive(cluster, operator.putAgent(agent({ model: 'two', version: '2' })));
    expect(await drive(cluster, operator.putAgent(agent({ model: 'one' })))).toMatchObject({ stored: false });
    expect(await answerOf(cluster, 'a')).toBe('one');
    // A node that starts later reads the same history.
    await first.node.stop();
    await cluster.node('n2', { given: [] });
    expect(await answerOf(cluster, 'a')).toBe('one');
  });

  it('is not put back by a node that starts with an older one', async () => {
    const cluster = new Cluster();
    await cluster.node('n1', { given: [agent()] });
    await drive(cluster, operatorOf(cluster).putAgent(agent({ version: '2' })));
    const log = recordingLog();
    await cluster.node('n2', { given: [agent()], log });
    expect((await drive(cluster, operatorOf(cluster).agent('a'))).current).toBe('2');
    expect(log.lines).toContainEqual(expect.objectContaining({ level: 'warn', event: 'agent.other_version' }));
  });

  it('that cannot be read is passed over: the one before stays', async () => {
    const cluster = new Cluster();
    const log = recordingLog();
    await cluster.node('n1', { given: [agent()], log });
    const definition = { ...agent({ version: '2' }), of_the_future: true };
    const record = { v: 1, definition, by: 'n9', source: '' };
    await cluster.client.publish(cluster.subjects.agentVersion('a', '2'), JSON.stringify(record));
    await cluster.client.publish(cluster.subjects.agentVersion('a', '3'), 'not JSON');
    await cluster.client.publish(
      cluster.subjects.agentChoice('a', 'x'),
      JSON.stringify({ v: 1, version: '9', by: 'x' }),
    );
    await cluster.clock.advance(10_000);
    expect(await drive(cluster, operatorOf(cluster).agent('a'))).toMatchObject({ current: '1' });
    const told = log.lines.filter(({ event }) => event === 'agent.unreadable').map(({ fields }) => fields.message);
    expect(told).toEqual([expect.stringContaining('of_the_future'), expect.stringContaining('JSON')]);
  });
});

describe('an agent that a node cannot run', () => {
  const noKey = (definition: AgentDefinition) =>
    definition.model === 'paid' ? new AppError('no_key', 'OPENAI_API_KEY is not set: set it on this node') : null;

  it('keeps the node that was told to bring it from starting', async () => {
    const cluster = new Cluster();
    const error = await failure(
      drive(cluster, cluster.node('n1', { given: [agent({ model: 'paid' })], usable: noKey })),
    );
    expect(error).toMatchObject({ code: 'agent_not_usable' });
    expect(error.message).toBe('agent "a" (test): OPENAI_API_KEY is not set: set it on this node');
  });

  it('is run by the others; this one says why once, and the list says it', async () => {
    const cluster = new Cluster();
    cluster.modelMap.paid = answering('paid');
    const log = recordingLog();
    await cluster.node('poor', { given: [], usable: noKey, log });
    await cluster.node('rich', { given: [agent({ model: 'paid', description: 'd' })] });
    for (let i = 0; i < 12; i++) expect(await answerOf(cluster, 'a')).toBe('paid');
    expect(log.lines.filter(({ event }) => event === 'agent.start')).toEqual([]);
    expect(log.lines.filter(({ event }) => event === 'agent.not_usable')).toEqual([
      expect.objectContaining({ level: 'warn', fields: expect.objectContaining({ agent: 'a', code: 'no_key' }) }),
    ]);
    const [listed] = await drive(cluster, all(operatorOf(cluster).agents()));
    expect(listed).toMatchObject({
      name: 'a',
      version: '1',
      model: 'paid',
      by: 'rich',
      source: 'test',
      description: 'd',
    });
    expect(listed?.nodes).toEqual([
      { node: 'poor', slots: 10, active: 0, unusable: 'OPENAI_API_KEY is not set: set it on this node' },
      { node: 'rich', slots: 10, active: 0 },
    ]);
  });

  it('in the version that a run began with leaves the run to a node that can', async () => {
    const cluster = new Cluster();
    cluster.modelMap.paid = answering('paid');
    const rich = await cluster.node('rich', { given: [agent({ model: 'paid' })] });
    const later = new Date(cluster.clock.now() + 60_000).toISOString();
    await cluster.submit({ input: 'x', not_before: later }, 'a');
    await cluster.status('idle.scheduled');
    await drive(cluster, operatorOf(cluster).putAgent(agent({ version: '2' })));
    await rich.node.stop();
    const poor = await cluster.node('poor', { given: [], usable: noKey });
    await cluster.clock.advance(90_000);
    expect(await cluster.results()).toEqual([]);
    await cluster.node('rich2', { given: [] });
    await poor.node.stop();
    expect(await cluster.result(60_000)).toMatchObject({ answer: 'paid' });
  });
});

describe('a run that no node can take', () => {
  const noKey = (definition: AgentDefinition) =>
    definition.model === 'paid' ? new AppError('no_key', 'OPENAI_API_KEY is not set: set it on this node') : null;
  const cancel = async (cluster: Cluster) => {
    const { run } = await cluster.status('idle.accepted');
    await drive(cluster, operatorOf(cluster).cancel(run, 'not needed'));
    return run;
  };
  const queued = (cluster: Cluster) => cluster.last('QUEUE', 'proctor.queue.>', (text) => text);

  /** A task for an agent whose only version no node has the key for. */
  async function keyless(options = {}) {
    const cluster = new Cluster();
    const rich = await cluster.node('rich', { given: [agent({ model: 'paid' })] });
    const poor = await cluster.node('poor', { given: [], usable: noKey, ...options });
    await rich.node.stop();
    await cluster.submit({ input: 'x' }, 'a');
    return { cluster, poor };
  }

  it('is cancelled all the same, and leaves the queue', async () => {
    const { cluster } = await keyless();
    await cancel(cluster);
    expect(await cluster.result(30_000)).toMatchObject({ code: 'cancelled', steps: 0 });
    await cluster.until('an empty queue', async () => (await queued(cluster)).length === 0, 30_000);
  });

  it.each(['claim.written', 'end.written', 'end.result_stored'] as const)(
    'is cancelled by another one when the first dies at %s',
    async (point) => {
      const { cluster } = await keyless({ dieAt: (at: string) => at === point });
      await cancel(cluster);
      await cluster.clock.advance(20_000);
      await cluster.node('poor2', { given: [], usable: noKey });
      expect(await cluster.result(60_000)).toMatchObject({ code: 'cancelled' });
      await cluster.until('an empty queue', async () => (await queued(cluster)).length === 0, 60_000);
      expect(await cluster.results()).toHaveLength(1);
    },
  );

  it('is cancelled, or ends at its deadline, when the one that can has died and others hold a newer version', async () => {
    const cluster = new Cluster();
    cluster.modelMap.paid = { think: () => new Promise(() => {}) };
    const rich = await cluster.node('rich', { given: [agent({ model: 'paid', limits: { wall_ms: 30_000 } })] });
    for (const input of ['first', 'second']) await cluster.submit({ input }, 'a');
    await cluster.until('two in work', async () => rich.node.activeRuns === 2);
    const [one] = await cluster.statuses();
    await drive(cluster, operatorOf(cluster).putAgent(agent({ version: '2' })));
    rich.kill();
    await cluster.node('poor', { given: [], usable: noKey });
    await drive(cluster, operatorOf(cluster).cancel(one?.run ?? '', 'not needed'));
    const first = await cluster.result(20_000);
    expect(first).toMatchObject({ run: one?.run, code: 'cancelled' });
    const codes = await cluster.until('both results', async () => {
      const results = await cluster.results();
      return results.length === 2 && results.map((result) => result.code).toSorted((a, b) => (a < b ? -1 : 1));
    });
    expect(codes).toEqual(['cancelled', 'timeout']);
  });

  it('as all slots are taken is cancelled at once', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai' });
    cluster.modelMap.ai = { think: () => new Promise(() => {}) };
    const { node } = await cluster.node('n1', { settings: { slots: 1 } });
    await cluster.submit({ input: 'first' }, 'ai');
    await cluster.status('thinking.deciding');
    await cluster.submit({ input: 'second' }, 'ai');
    const run = await cancel(cluster);
    expect(await cluster.result(10_000)).toMatchObject({ run, code: 'cancelled' });
    expect(node.activeRuns).toBe(1);
  });
});

describe('the agent that comes with Proctor', () => {
  it('is version 1 with this content: clusters have stored it, so a change needs a new version', () => {
    expect(PLAN_AGENT).toEqual(
      AgentDefinition.parse({
        name: 'plan',
        version: '1',
        model: 'plan',
        description: 'Carries out the plan that the task brings. Needs no model and no key.',
        tools: ['*'],
        limits: { steps: 10_000, wall_ms: 86_400_000, tool_calls: 100_000 },
      }),
    );
  });
});

describe('the doors', () => {
  it('refuse an agent of the name that comes with Proctor, a wrong field, and what is not there', async () => {
    const cluster = new Cluster();
    await cluster.node('n1');
    const operator = operatorOf(cluster);
    const codeOf = async (promise: Promise<unknown>) => (await failure(drive(cluster, promise))).code;
    expect(await codeOf(operator.putAgent(agent({ name: 'plan', version: '9' })))).toBe('name_taken');
    const wrong = failure(drive(cluster, operator.putAgent({ name: 'x', model: 'm', limits: { steps: 0 } })));
    expect(await wrong).toMatchObject({ code: 'invalid_request', field: 'definition.limits.steps' });
    expect(await codeOf(operator.agent('nobody'))).toBe('unknown_agent');
    expect(await codeOf(operator.agent('plan', '7'))).toBe('unknown_version');
  });

  it('list agents in pages that fit into a message', async () => {
    const cluster = new Cluster();
    const tools = Array.from({ length: 256 }, (_, i) => `${'t'.repeat(60)}${i}`);
    const given = Array.from({ length: 60 }, (_, i) => agent({ name: `a${String(i).padStart(2, '0')}`, tools }));
    await cluster.node('n1', { given });
    const listed = await drive(cluster, all(operatorOf(cluster).agents()));
    expect(listed.map(({ name }) => name)).toEqual(given.map(({ name }) => name));
  });
});
