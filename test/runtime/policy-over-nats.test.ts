import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { scripted } from '../../src/adapters/model/scripted.ts';
import type { NatsBus } from '../../src/adapters/nats/bus.ts';
import { connectNats } from '../../src/adapters/nats/connect.ts';
import { startSupervisor } from '../../src/app.ts';
import { createClient } from '../../src/client/client.ts';
import { createOperator } from '../../src/client/operator.ts';
import { BUILT_IN } from '../../src/core/policy.ts';
import { Subjects } from '../../src/core/subjects.ts';
import type { SupervisorNode } from '../../src/runtime/node.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';
import { CountingTools, silent } from './support.ts';

/** The policy on three nodes and a real server. */

const subjects = new Subjects('policed');
const denies = { permissions: [{ id: 'no-echo', tool: 'echo', do: 'deny' as const }] };
const NODES = ['n1', 'n2', 'n3'];

let server: NatsServer;
const open: { node: SupervisorNode; bus: NatsBus }[] = [];
const buses: NatsBus[] = [];
beforeAll(async () => {
  server = await startNatsServer();
});
afterEach(async () => {
  await Promise.all(open.splice(0).map(({ node, bus }) => node.stop().then(() => bus.close())));
  await Promise.all(buses.splice(0).map((bus) => bus.close()));
});
afterAll(() => server.stop());

const connect = () => connectNats({ servers: server.url, name: 'test', subjects, log: silent, random: randomUUID });

/** A node with an agent and a tool of its own: which node does a run is then no matter of chance. */
async function node(name: string, tools: CountingTools): Promise<void> {
  const bus = await connect();
  let asked = 0;
  const think = async () =>
    scripted(
      asked++ % 2 === 0
        ? { action: 'tool_call', calls: [{ tool: 'echo', args: {} }] }
        : { action: 'final_answer', answer: 'done' },
    );
  const started = await startSupervisor({
    bus,
    subjects,
    log: silent,
    name,
    models: { [name]: { think } },
    agents: [{ name, model: name, tools: ['*'] }],
    tools: [tools],
    settings: { lease_ms: 2_000 },
  });
  open.push({ node: started, bus });
}

describe('a policy on a real server', () => {
  it('is in force on every node once it was applied through any of them, and after all of them were started again', async () => {
    const tools = new CountingTools().add('echo', () => null, { effect: 'read' });
    const bus = await connect();
    buses.push(bus);
    const operator = createOperator({ bus, subjects, by: 'olga' });
    const client = createClient({ bus, subjects, user: 'u' });
    const runs = () =>
      Promise.all(
        NODES.map(async (agent) => {
          const { run } = await client.submit({ input: 'x' }, agent);
          const { step_log } = await client.result(run, { wait: true });
          return step_log[0]?.calls[0]?.status;
        }),
      );
    for (const name of NODES) await node(name, tools);
    expect(await operator.policy()).toMatchObject({ version: 0, text: BUILT_IN.text });
    expect(await runs()).toEqual(['ok', 'ok', 'ok']);
    expect(await operator.applyPolicy({ policy: denies, text: 'denies' }, 'a test')).toMatchObject({ version: 1 });
    await vi.waitFor(async () => expect(await runs()).toEqual(['refused', 'refused', 'refused']), { timeout: 60_000 });
    await Promise.all(open.splice(0).map(({ node: one, bus: its }) => one.stop().then(() => its.close())));
    for (const name of NODES) await node(name, tools);
    const before = tools.calls.length;
    expect(await runs()).toEqual(['refused', 'refused', 'refused']);
    expect(tools.calls).toHaveLength(before);
    expect(await operator.policy()).toMatchObject({ version: 1, by: 'olga', why: 'a test' });
    expect(await operator.policy(0)).toMatchObject({ at: null, current: 1 });
  }, 120_000);

  it('is refused by the door when it is no policy: with all that is wrong, and nothing is stored', async () => {
    const bus = await connect();
    buses.push(bus);
    await node('n1', new CountingTools());
    const operator = createOperator({ bus, subjects, by: 'olga' });
    const { version } = await operator.policy();
    const wrong = {
      permissions: [
        { tool: 'x', do: 'maybe' as 'deny' },
        { role: 'boss', tool: 'x', do: 'deny' as const },
      ],
    };
    await expect(operator.applyPolicy({ policy: wrong, text: '' })).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining('policy.permissions.0.do'),
    });
    await expect(operator.policy(99)).rejects.toMatchObject({ code: 'unknown_version', field: 'version' });
    expect((await operator.policy()).version).toBe(version);
  }, 120_000);
});
