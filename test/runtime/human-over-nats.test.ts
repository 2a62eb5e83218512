import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Embedded } from '../../src/adapters/embedded-nats/embedded.ts';
import type { NatsBus } from '../../src/adapters/nats/bus.ts';
import { connectNats } from '../../src/adapters/nats/connect.ts';
import { startSupervisor } from '../../src/app.ts';
import { createClient } from '../../src/client/client.ts';
import { createOperator, type Operator } from '../../src/client/operator.ts';
import { defineAgent } from '../../src/core/agent-input.ts';
import { AppError, toAppError } from '../../src/core/errors.ts';
import { StatusEvent } from '../../src/core/status.ts';
import { Subjects } from '../../src/core/subjects.ts';
import type { Model } from '../../src/ports/model.ts';
import type { SupervisorNode } from '../../src/runtime/node.ts';
import { embed, eventually, temporaryFolder } from '../adapters/embedded-nats/fixtures.ts';
import { silent } from './support.ts';

/** People at two nodes, on the server that Proctor runs, with the rights of its roles. */

const subjects = new Subjects();
let embedded: Embedded;
let remove: () => Promise<void>;
const open: NatsBus[] = [];
const nodes: SupervisorNode[] = [];

const down: Model = {
  think: () => Promise.reject(new AppError('quota_exceeded', 'no credit left')),
};

async function connect(login: { nkeySeed: string } | { user: string; password: string }): Promise<NatsBus> {
  const common = { servers: embedded.url, name: 't', subjects, log: silent, random: randomUUID };
  const bus = await connectNats({ ...common, ...login });
  open.push(bus);
  return bus;
}

beforeAll(async () => {
  const folder = await temporaryFolder();
  remove = folder.remove;
  embedded = await embed(folder.dir, { users: ['default', 'eve'] });
  const agents = [defineAgent({ name: 'desk', model: 'down', fallback: { person: { queue: 'support' } } })];
  for (const name of ['one', 'two']) {
    const bus = await connect({ nkeySeed: embedded.keys.roles.node.seed });
    nodes.push(await startSupervisor({ bus, subjects, log: silent, name, agents, models: { down } }));
  }
});

afterAll(async () => {
  await Promise.all(nodes.map((node) => node.stop()));
  await Promise.all(open.map((bus) => bus.close()));
  await embedded.stop();
  await remove();
});

async function submitter(user: string) {
  const login = embedded.keys.submitters.find((one) => one.user === user);
  const bus = await connect({ user, password: login?.password ?? '' });
  return { bus, client: createClient({ bus, subjects, user }) };
}

async function person(by: string): Promise<Operator> {
  return createOperator({ bus: await connect({ nkeySeed: embedded.keys.roles.operator.seed }), subjects, by });
}

describe('two people on a real server', () => {
  it('who claim a run at once: one has it, the other is told who', async () => {
    const { client } = await submitter('default');
    const people = await Promise.all(['ann', 'bea'].map(person));
    for (let round = 0; round < 20; round++) {
      const { run } = await client.submit({ input: { round } }, 'desk');
      expect(await client.result(run, { wait: true })).toMatchObject({ code: 'queued_for_human' });
      const claims = await Promise.allSettled(people.map((one) => one.queueClaim(run)));
      const [item] = await Promise.all([people[0]?.queueItem(run)]);
      const holder = item?.standing.by ?? '';
      expect(item?.words.map(({ kind, by }) => [kind, by])).toEqual([['claimed', holder]]);
      expect(claims.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
      const lost = claims.find((one) => one.status === 'rejected');
      expect(toAppError(lost?.reason)).toMatchObject({
        code: 'already_claimed',
        message: expect.stringContaining(`${holder} has claimed run ${run}`),
      });
    }
  });

  it('of whom one answers: the submitter hears it and reads it, another does not', async () => {
    const [mine, other] = [await submitter('default'), await submitter('eve')];
    const ann = await person('ann');
    const { run } = await mine.client.submit({ input: 'x' }, 'desk');
    await mine.client.result(run, { wait: true });
    expect(await mine.client.personAnswer(run)).toBeNull();
    const heard: StatusEvent[] = [];
    mine.bus.subscribe(
      subjects.anyEvent(run, 'default'),
      ({ data }) => void heard.push(StatusEvent.parse(JSON.parse(data))),
    );
    await mine.bus.flush();
    await ann.queueDone(run, { answer: { refund: 12 } });
    const told = await eventually('the answer', () => heard.find((one) => one.person !== undefined) ?? null);
    expect(told.person).toMatchObject({ queue: 'support', by: 'ann', outcome: 'solved' });
    expect(await mine.client.personAnswer(run)).toMatchObject({ by: 'ann', answer: { refund: 12 } });
    await expect(other.client.personAnswer(run)).rejects.toMatchObject({ code: 'unknown_run' });
    for await (const one of ann.runs()) if (one.run === run) expect(one.person?.by).toBe('ann');
    let all = 0;
    for await (const one of ann.queue({ all: true })) all += one.run === run ? 1 : 0;
    expect(all).toBe(1);
    for await (const one of ann.queue()) expect(one.run).not.toBe(run);
  });
});
