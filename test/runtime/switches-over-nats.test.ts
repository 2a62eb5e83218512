import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Embedded } from '../../src/adapters/embedded-nats/embedded.ts';
import { scripted } from '../../src/adapters/model/scripted.ts';
import type { NatsBus } from '../../src/adapters/nats/bus.ts';
import { connectNats } from '../../src/adapters/nats/connect.ts';
import { startSupervisor } from '../../src/app.ts';
import { createClient } from '../../src/client/client.ts';
import { createOperator } from '../../src/client/operator.ts';
import { defineAgent } from '../../src/core/agent-input.ts';
import { Subjects } from '../../src/core/subjects.ts';
import type { Model } from '../../src/ports/model.ts';
import type { SupervisorNode } from '../../src/runtime/node.ts';
import { embed, eventually, temporaryFolder } from '../adapters/embedded-nats/fixtures.ts';
import { RawClient } from '../adapters/embedded-nats/raw-client.ts';
import { silent } from './support.ts';

/** Two nodes on the server that Proctor runs, with the rights of its roles; in an emergency a bare socket does. */

const subjects = new Subjects();
let embedded: Embedded;
let remove: () => Promise<void>;
const open: NatsBus[] = [];
const nodes: SupervisorNode[] = [];
let asked = 0;

const hangs: Model = {
  think: ({ signal }) => {
    asked++;
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
  },
};
const answers: Model = { think: () => Promise.resolve(scripted({ action: 'final_answer', answer: 'fine' })) };

async function connect(login: { nkeySeed: string } | { user: string; password: string }): Promise<NatsBus> {
  const bus = await connectNats({
    servers: embedded.url,
    name: 't',
    subjects,
    log: silent,
    random: randomUUID,
    ...login,
  });
  open.push(bus);
  return bus;
}

beforeAll(async () => {
  const folder = await temporaryFolder();
  remove = folder.remove;
  embedded = await embed(folder.dir, { users: ['default'] });
  const agents = [defineAgent({ name: 'slow', model: 'hangs' }), defineAgent({ name: 'quick', model: 'answers' })];
  for (const name of ['one', 'two']) {
    const bus = await connect({ nkeySeed: embedded.keys.roles.node.seed });
    nodes.push(await startSupervisor({ bus, subjects, log: silent, name, agents, models: { hangs, answers } }));
  }
});

afterAll(async () => {
  await Promise.all(nodes.map((node) => node.stop()));
  await Promise.all(open.map((bus) => bus.close()));
  await embedded.stop();
  await remove();
});

async function submitter() {
  const login = embedded.keys.submitters[0];
  const bus = await connect({ user: login?.user ?? '', password: login?.password ?? '' });
  return createClient({ bus, subjects, user: 'default' });
}

describe('switches on a real server', () => {
  it('are known to every node when the order is answered, and end what runs on any', async () => {
    const client = await submitter();
    const operator = createOperator({
      bus: await connect({ nkeySeed: embedded.keys.roles.operator.seed }),
      subjects,
      by: 'olga',
    });
    const runs = await Promise.all([1, 2, 3, 4].map(() => client.submit({ input: 'x' }, 'slow')));
    await eventually('questions', () => (asked >= 4 ? true : null));
    const done = await operator.switch('agent:slow', 'kill', 'runs in circles');
    expect(done).toMatchObject({ acknowledged: true, nodes: ['one', 'two'] });
    for (const { run } of runs) {
      expect(await client.result(run, { wait: true })).toMatchObject({ code: 'killed' });
    }
    await expect(client.submit({ input: 'x' }, 'slow')).rejects.toMatchObject({ code: 'killed' });
    const other = await client.submit({ input: 'x' }, 'quick');
    expect(await client.result(other.run, { wait: true })).toMatchObject({ answer: 'fine' });
    await operator.switch('agent:slow', 'revive', 'repaired');
    const again = await client.submit({ input: 'x' }, 'slow');
    await operator.cancel(again.run, 'enough');
  });

  it('hold for a moment when they are heard and the server refuses to store them', async () => {
    const client = await submitter();
    const bus = await connect({ nkeySeed: embedded.keys.roles.operator.seed });
    const before = asked;
    const headers = { 'Nats-Expected-Last-Sequence': '1000000' };
    await expect(bus.publish(subjects.switchOf('agent:slow'), 'kill', { headers })).rejects.toThrow();
    const { run } = await client.submit({ input: 'x' }, 'slow');
    await eventually('question', () => (asked > before ? true : null));
    const operator = createOperator({ bus, subjects, by: 'olga' });
    for await (const { scope } of operator.switches()) expect(scope).not.toBe('agent:slow');
    await operator.cancel(run, 'enough');
    expect(await client.result(run, { wait: true })).toMatchObject({ code: 'cancelled' });
  });

  it('are set by one line on a bare socket, which is told that the order is stored', async () => {
    const client = await submitter();
    const before = asked;
    const { run } = await client.submit({ input: 'x' }, 'slow');
    await eventually('question', () => (asked > before ? true : null));
    const raw = await RawClient.connect(embedded.url, embedded.keys.roles.operator);
    raw.subscribe('_INBOX.mine');
    raw.publish('proctor.switch.global', 'kill', '_INBOX.mine');
    const stored = await eventually('acknowledgement', () => raw.messages[0]?.data ?? null);
    expect(JSON.parse(stored)).toMatchObject({ stream: 'PROCTOR_SWITCH' });
    expect(await client.result(run, { wait: true })).toMatchObject({ code: 'killed' });
    raw.publish('proctor.switch.global', '{"mode":"revive","by":"olga","why":"over"}', '_INBOX.mine');
    await eventually('acknowledgement', () => raw.messages[1]?.data ?? null);
    raw.close();
    const later = await eventually('an accepted task', async () => {
      return client.submit({ input: 'x' }, 'quick').catch(() => null);
    });
    expect(await client.result(later.run, { wait: true })).toMatchObject({ answer: 'fine' });
  });
});
