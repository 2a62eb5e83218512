import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { scripted } from '../../src/adapters/model/scripted.ts';
import type { NatsBus } from '../../src/adapters/nats/bus.ts';
import { connectNats } from '../../src/adapters/nats/connect.ts';
import { type SupervisorOptions, startSupervisor } from '../../src/app.ts';
import { createClient } from '../../src/client/client.ts';
import { createOperator } from '../../src/client/operator.ts';
import { defineAgent } from '../../src/core/agent-input.ts';
import { Subjects } from '../../src/core/subjects.ts';
import type { Model } from '../../src/ports/model.ts';
import type { SupervisorNode } from '../../src/runtime/node.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';
import { silent } from './support.ts';

/** Two nodes on a real server. */

const echo: Model = {
  think: (input) =>
    Promise.resolve(scripted({ action: 'final_answer', answer: `${input.agent.version} ${input.agent.instructions}` })),
};
const agent = (version: string, instructions: string) =>
  defineAgent({ name: 'a', version, model: 'echo', instructions });

let server: NatsServer;
let cluster = 0;
let subjects: Subjects;
const open: { node: SupervisorNode; bus: NatsBus }[] = [];

beforeAll(async () => {
  server = await startNatsServer();
});
afterEach(async () => {
  await Promise.all(open.splice(0).map(({ node, bus }) => node.stop().then(() => bus.close())));
});
afterAll(() => server.stop());

const connect = () => connectNats({ servers: server.url, name: 'test', subjects, log: silent, random: randomUUID });

async function node(options: Partial<SupervisorOptions> = {}): Promise<SupervisorNode> {
  const bus = await connect();
  const settings = { lease_ms: 2_000 };
  try {
    const started = await startSupervisor({ bus, subjects, log: silent, models: { echo }, settings, ...options });
    open.push({ node: started, bus });
    return started;
  } catch (thrown) {
    await bus.close();
    throw thrown;
  }
}

async function answerOf(bus: NatsBus): Promise<unknown> {
  const client = createClient({ bus, subjects, user: 'u' });
  const { run } = await client.submit({ input: 'x' }, 'a');
  return (await client.result(run, { wait: true })).answer;
}

async function withBus(use: (bus: NatsBus) => Promise<void>): Promise<void> {
  const bus = await connect();
  try {
    await use(bus);
  } finally {
    await bus.close();
  }
}

describe('agents on a real server', () => {
  beforeAll(() => {
    subjects = new Subjects(`p${++cluster}`);
  });

  it('given to one node are run by the other, a put takes effect, and a version is never written over', async () => {
    const other = await node({ name: 'other' });
    const giver = await node({ name: 'giver', agents: [agent('1', 'first')] });
    await giver.stop();
    await withBus(async (bus) => {
      expect(await answerOf(bus)).toBe('1 first');
      expect(other.agents).toEqual(['a', 'plan']);
      const operator = createOperator({ bus, subjects, by: 'olga' });
      await operator.putAgent(agent('2', 'second'), 'test');
      expect(await answerOf(bus)).toBe('2 second');
      await operator.putAgent(agent('1', 'first'));
      expect(await answerOf(bus)).toBe('1 first');
      await expect(operator.putAgent(agent('2', 'changed'))).rejects.toMatchObject({ code: 'version_taken' });
      await expect(node({ agents: [agent('1', 'changed')] })).rejects.toMatchObject({
        code: 'version_taken',
        message: 'agent "a" version 1 is already stored with other content: raise its version',
      });
    });
  });

  it('that nobody told a node of are found by the task, and by looking again within seconds', async () => {
    subjects = new Subjects(`p${++cluster}`);
    const deaf = await node();
    await withBus(async (bus) => {
      const store = (name: string) => {
        const definition = defineAgent({ name, model: 'echo', instructions: 'found' });
        const record = { v: 1, definition, by: 'somebody', source: '' };
        return bus.publish(subjects.agentVersion(name, '1'), JSON.stringify(record));
      };
      await store('a');
      expect(deaf.agents).toEqual(['plan']);
      expect(await answerOf(bus)).toBe('1 found');
      await store('b');
      await expect.poll(() => deaf.agents, { timeout: 60_000 }).toEqual(['a', 'b', 'plan']);
    });
  });
});
