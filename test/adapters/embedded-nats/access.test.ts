import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { connect, type NatsConnection, nkeyAuthenticator } from '@nats-io/transport-node';
import { connect as connectLegacy } from 'nats';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Embedded } from '../../../src/adapters/embedded-nats/embedded.ts';
import { Subjects } from '../../../src/core/subjects.ts';
import { embed, eventually, temporaryFolder } from './fixtures.ts';
import { type Login, RawClient } from './raw-client.ts';

const subjects = new Subjects('proctor');
const ODD = 'Zoë "the\\ $odd" {x}.y*>';
const RUN = '20260101-abc-1';
const JOURNAL = subjects.journal(RUN, 0);

let embedded: Embedded;
let node: NatsConnection;
let remove: () => Promise<void>;
const open: RawClient[] = [];

beforeAll(async () => {
  const folder = await temporaryFolder();
  remove = folder.remove;
  embedded = await embed(folder.dir, {
    users: ['default', 'alice', 'bob', ODD],
    approvers: [{ name: 'fin@x', groups: ['finance', 'ops'] }],
  });
  node = await connect({
    servers: embedded.url,
    authenticator: nkeyAuthenticator(new TextEncoder().encode(embedded.keys.roles.node.seed)),
    noAsyncTraces: true,
  });
  const manager = await jetstreamManager(node);
  await manager.streams.add({ name: 'PROCTOR_TASKS', subjects: ['proctor.tasks.>'] });
  await manager.streams.add({ name: 'PROCTOR_JRN', subjects: ['proctor.jrn.>'], allow_direct: true });
  await manager.streams.add({ name: 'PROCTOR_IN', subjects: ['proctor.in.>'] });
  await jetstream(node).publish(JOURNAL, 'entry');
  const kv = await new Kvm(node).create('PROCTOR_CTL');
  await kv.put('global', 'stop');
});

afterAll(async () => {
  await node.close();
  await embedded.stop();
  await remove();
});

afterEach(() => {
  for (const client of open.splice(0)) client.close();
});

function login(who: string): Login {
  const { roles, submitters } = embedded.keys;
  if (who in roles) return roles[who as keyof typeof roles];
  if (who === 'fin@x') return embedded.keys.approvers[0] ?? null;
  const submitter = submitters.find((candidate) => candidate.user === who);
  if (submitter === undefined) throw new Error(`no such user: ${who}`);
  return submitter;
}

async function as(who: string): Promise<RawClient> {
  const client = await RawClient.connect(embedded.url, login(who));
  open.push(client);
  return client;
}

async function stored(stream: string): Promise<number> {
  return (await (await jetstreamManager(node)).streams.info(stream)).state.messages;
}

type Row = [verdict: 'may' | 'may not', who: string, verb: 'publish' | 'subscribe', subject: string];
const TABLE: Row[] = [
  ['may', 'alice', 'publish', subjects.task('agent', 'alice')],
  ['may', ODD, 'publish', subjects.task('agent', ODD)],
  ['may', 'default', 'publish', subjects.task('agent')],
  ['may', 'default', 'publish', subjects.task('agent', 'default')],
  ['may', 'alice', 'publish', subjects.ask('alice', 'result')],
  ['may', 'alice', 'subscribe', subjects.event('agent', 'alice', '*').replace('.agent.', '.*.')],
  ['may', 'alice', 'subscribe', '_INBOX.>'],
  ['may not', 'alice', 'publish', subjects.task('agent')],
  ['may not', 'alice', 'publish', subjects.task('agent', 'bob')],
  ['may not', 'alice', 'publish', `${subjects.task('agent', 'alice')}.more`],
  ['may not', 'default', 'publish', subjects.task('agent', 'alice')],
  ['may not', 'alice', 'publish', subjects.ask('bob', 'result')],
  ['may not', 'alice', 'publish', subjects.api('runs')],
  ['may not', 'alice', 'publish', subjects.switchOf('user:alice')],
  ['may not', 'alice', 'publish', '$JS.API.INFO'],
  ['may not', 'alice', 'publish', '$JS.API.STREAM.PURGE.PROCTOR_JRN'],
  ['may not', 'alice', 'publish', '$JS.API.DIRECT.GET.PROCTOR_JRN'],
  ['may not', 'alice', 'publish', '$KV.PROCTOR_CTL.global'],
  ['may not', 'alice', 'publish', JOURNAL],
  ['may not', 'alice', 'publish', subjects.inbox({ run: RUN, kind: 'cancel', id: 'x' })],
  ['may not', 'alice', 'publish', '_INBOX.somebody'],
  ['may not', 'alice', 'publish', subjects.event('agent', 'alice', RUN)],
  ['may not', 'alice', 'publish', subjects.toolCall('search')],
  ['may not', 'alice', 'publish', subjects.agentVersion('agent', '1')],
  ['may not', 'alice', 'publish', subjects.nodes('agents')],
  ['may not', 'alice', 'subscribe', 'proctor.evt.>'],
  ['may not', 'alice', 'subscribe', 'proctor.tasks.>'],
  ['may not', 'alice', 'subscribe', 'proctor.res.>'],
  ['may not', 'alice', 'subscribe', 'proctor.jrn.>'],
  ['may not', 'alice', 'subscribe', '>'],
  ['may', 'worker', 'subscribe', 'proctor.tool.*.call'],
  ['may', 'worker', 'subscribe', subjects.toolCall('search')],
  ['may', 'worker', 'subscribe', subjects.toolCancel('search', RUN, '1-0')],
  ['may', 'worker', 'subscribe', 'proctor.switch.>'],
  ['may', 'worker', 'subscribe', '$SRV.PING'],
  ['may', 'worker', 'subscribe', `${subjects.workerInbox}.>`],
  ['may', 'worker', 'publish', subjects.idem('search', 'begin')],
  ['may not', 'worker', 'publish', subjects.once('search', 'a'.repeat(32), 'done')],
  ['may', 'worker', 'subscribe', subjects.toolResult('search', 'w1', '*')],
  ['may not', 'worker', 'publish', subjects.blob(RUN, '1-0', 'a'.repeat(64), 0)],
  ['may', 'worker', 'publish', subjects.beat('0123456789abcdef.0123456789abcdef')],
  ['may not', 'worker', 'subscribe', subjects.beat('>')],
  ['may not', 'worker', 'subscribe', '_INBOX.>'],
  ['may not', 'worker', 'subscribe', 'proctor.>'],
  ['may not', 'worker', 'subscribe', 'proctor.jrn.>'],
  ['may not', 'worker', 'subscribe', '_R_.>'],
  ...['tasks.a', 'tasks.a.alice', 'key.a.b', 'queue.a.normal.0.r', 'in.r.cancel.x', 'evt.a.alice.r', 'res.a.alice.r']
    .concat([
      'agent.a.def.1',
      'agent.a.use.x',
      'nodes.report',
      'dead.task.x',
      'clock.n',
      'jrn.20260101.r.1',
      'snap.20260101.r',
      'tool.search.call',
      'api.runs',
      'switch.global',
      'switched.1.x',
      'present.one',
    ])
    .map((rest): Row => ['may not', 'worker', 'publish', `proctor.${rest}`]),
  ['may not', 'worker', 'publish', '$JS.API.INFO'],
  ['may not', 'worker', 'publish', '$JS.ACK.PROCTOR_TASKS.c.1.1.1.1.1'],
  ['may not', 'worker', 'publish', '$KV.PROCTOR_CTL.global'],
  ['may not', 'worker', 'publish', '_INBOX.somebody'],
  ['may', 'operator', 'publish', subjects.api('runs')],
  ['may', 'operator', 'subscribe', 'proctor.evt.>'],
  ['may', 'operator', 'publish', subjects.api('agent_put')],
  ['may', 'operator', 'publish', subjects.switchOf('agent:mail@2')],
  ['may not', 'operator', 'publish', subjects.presence('one')],
  ['may not', 'operator', 'publish', subjects.agentVersion('agent', '1')],
  ['may not', 'operator', 'publish', subjects.agentChoice('agent', 'x')],
  ['may not', 'operator', 'publish', subjects.task('agent')],
  ['may not', 'operator', 'publish', '$JS.API.INFO'],
  ['may not', 'operator', 'publish', '$KV.PROCTOR_CTL.global'],
  ['may not', 'operator', 'subscribe', 'proctor.jrn.>'],
  ['may', 'fin@x', 'publish', subjects.decision(RUN, '4-0', 'fin@x')],
  ['may', 'fin@x', 'publish', subjects.approvalsOpen('finance')],
  ['may', 'fin@x', 'subscribe', subjects.approvalRequest('ops', '*', '*')],
  ['may', 'fin@x', 'subscribe', subjects.approvalNotice('finance', '*', '*')],
  ['may not', 'fin@x', 'publish', subjects.approvalsOpen()],
  ['may not', 'fin@x', 'publish', subjects.approvalsOpen('board')],
  ['may not', 'fin@x', 'subscribe', subjects.approvalRequest('board', '*', '*')],
  ['may not', 'fin@x', 'subscribe', subjects.approvalRequest('*', '*', '*')],
  ['may not', 'fin@x', 'subscribe', 'proctor.apr.>'],
  ['may not', 'fin@x', 'publish', subjects.api('runs')],
  ['may', 'approver', 'publish', subjects.decision(RUN, '4-0', 'alice')],
  ['may', 'approver', 'publish', subjects.approvalsOpen()],
  ['may', 'approver', 'publish', subjects.approvalsOpen('finance')],
  ['may', 'approver', 'subscribe', subjects.approvalRequest('finance', '*', '*')],
  ['may', 'approver', 'subscribe', subjects.approvalNotice('*', '*', '*')],
  ['may not', 'approver', 'publish', subjects.approvalRequest('finance', RUN, '4-0')],
  ['may not', 'approver', 'publish', subjects.approvalNotice('finance', RUN, '4-0')],
  ['may not', 'approver', 'publish', subjects.approver('alice')],
  ['may not', 'approver', 'publish', subjects.audit('decision', 'x')],
  ['may not', 'approver', 'publish', subjects.clusterId],
  ['may not', 'approver', 'publish', subjects.inbox({ run: RUN, kind: 'cancel', id: 'x' })],
  ['may not', 'approver', 'publish', subjects.inbox({ run: RUN, kind: 'resolve', id: 'x' })],
  ['may not', 'approver', 'publish', subjects.api('approver_put')],
  ['may not', 'approver', 'publish', subjects.task('agent')],
  ['may not', 'approver', 'publish', subjects.switchOf('global')],
  ['may not', 'approver', 'publish', JOURNAL],
  ['may not', 'approver', 'publish', '$JS.API.INFO'],
  ['may not', 'approver', 'subscribe', 'proctor.in.>'],
  ['may not', 'approver', 'subscribe', 'proctor.evt.>'],
  ['may not', 'approver', 'subscribe', 'proctor.jrn.>'],
  ['may', 'operator', 'publish', subjects.api('approver_put')],
  ...['alice', 'worker', 'operator', 'viewer'].flatMap((who): Row[] => [
    ['may not', who, 'publish', subjects.decision(RUN, '4-0', 'alice')],
    ['may not', who, 'publish', subjects.approver('alice')],
    ['may not', who, 'publish', subjects.approvalRequest('finance', RUN, '4-0')],
    ['may not', who, 'subscribe', 'proctor.apr.>'],
  ]),
  ['may', 'node', 'publish', subjects.human('support', RUN, 1)],
  ['may', 'operator', 'publish', subjects.api('human_claim')],
  ['may', 'console', 'publish', subjects.api('human_done')],
  ['may', 'alice', 'publish', subjects.ask('alice', 'person_answer')],
  ['may not', 'alice', 'publish', subjects.ask('bob', 'person_answer')],
  ...['alice', 'worker', 'approver', 'fin@x', 'viewer'].flatMap((who): Row[] => [
    ['may not', who, 'publish', subjects.api('human_items')],
    ['may not', who, 'publish', subjects.api('human_done')],
  ]),
  ...['alice', 'worker', 'approver', 'fin@x', 'operator', 'viewer', 'console'].flatMap((who): Row[] => [
    ['may not', who, 'publish', subjects.human('support', RUN, 1)],
    ['may not', who, 'subscribe', subjects.human('*', '*', '*')],
  ]),
  ['may', 'viewer', 'subscribe', 'proctor.evt.>'],
  ['may not', 'viewer', 'subscribe', 'proctor.jrn.>'],
  ['may not', 'viewer', 'publish', subjects.api('runs')],
  ['may not', 'viewer', 'publish', subjects.switchOf('global')],
  ['may not', 'viewer', 'publish', '$JS.API.DIRECT.GET.PROCTOR_JRN'],
  ['may', 'console', 'publish', subjects.api('runs')],
  ['may', 'console', 'publish', subjects.switchOf('global')],
  ['may', 'console', 'publish', '$JS.API.DIRECT.GET.PROCTOR_JRN'],
  ['may', 'console', 'publish', '$JS.API.CONSUMER.CREATE.PROCTOR_EVT'],
  ['may', 'console', 'subscribe', 'proctor.jrn.>'],
  ['may', 'console', 'subscribe', 'proctor.insp.>'],
  ['may', 'console', 'publish', subjects.api('inspect')],
  ['may not', 'console', 'publish', subjects.inspection('n1', 'machine', ['lamp'])],
  ['may not', 'console', 'publish', subjects.node('n1', 'inspect')],
  ...['alice', 'worker', 'approver', 'operator', 'viewer'].map(
    (who): Row => ['may not', who, 'subscribe', 'proctor.insp.>'],
  ),
  ['may', 'console', 'subscribe', `${subjects.consoleInbox}.>`],
  ['may', 'console', 'publish', subjects.decision(RUN, '4-0', 'ada')],
  ['may', 'console', 'publish', subjects.approvalsOpen()],
  ['may', 'console', 'subscribe', subjects.approvalRequest('*', '*', '*')],
  ['may not', 'console', 'publish', subjects.approver('ada')],
  ['may not', 'console', 'publish', subjects.api('approver_put')],
  ['may not', 'console', 'publish', subjects.api('agent_put')],
  ['may not', 'console', 'publish', subjects.api('compensate')],
  ['may not', 'console', 'publish', subjects.journal(RUN, 7)],
  ['may not', 'console', 'publish', subjects.api('policy_put')],
  ['may not', 'console', 'publish', subjects.policy(1)],
  ['may', 'console', 'publish', subjects.api('policy')],
  ['may', 'operator', 'publish', subjects.api('policy_put')],
  ['may not', 'operator', 'publish', subjects.policy(1)],
  ['may not', 'worker', 'publish', subjects.policy(1)],
  ['may not', 'worker', 'publish', subjects.api('policy_put')],
  ['may not', 'alice', 'publish', subjects.policy(1)],
  ['may not', 'alice', 'publish', subjects.api('policy_put')],
  ['may not', 'console', 'publish', subjects.inbox({ run: RUN, kind: 'cancel', id: 'x' })],
  ['may not', 'console', 'publish', subjects.task('agent')],
  ['may not', 'console', 'publish', '$JS.API.STREAM.PURGE.PROCTOR_JRN'],
  ['may not', 'console', 'publish', '$JS.API.STREAM.MSG.DELETE.PROCTOR_JRN'],
  ['may not', 'console', 'publish', '$JS.API.CONSUMER.CREATE.PROCTOR_JRN'],
  ['may not', 'console', 'publish', '_INBOX.somebody'],
  ['may not', 'console', 'subscribe', '_INBOX.>'],
  ['may not', 'console', 'subscribe', 'proctor.in.>'],
  ['may', 'node', 'publish', subjects.journal(RUN, 7)],
  ['may', 'node', 'publish', subjects.agentVersion('agent', '1')],
  ['may', 'node', 'publish', '$JS.API.INFO'],
  ['may', 'node', 'subscribe', 'proctor.>'],
];

describe('who may do what', () => {
  it.each(TABLE)('%s: %s %s %s', async (verdict, who, verb, subject) => {
    const client = await as(who);
    const refusals = await client.refusalsOf(() =>
      verb === 'publish' ? client.publish(subject, '{}') : client.subscribe(subject),
    );
    if (verdict === 'may') expect(refusals).toEqual([]);
    else expect(refusals.join()).toMatch(/Permissions Violation/i);
  });

  it('lets nobody in without credentials or with a wrong password', async () => {
    await expect(RawClient.connect(embedded.url, null)).rejects.toThrow(/Authorization Violation/);
    await expect(RawClient.connect(embedded.url, { user: 'alice', password: 'guess' })).rejects.toThrow(
      /Authorization Violation/,
    );
    const other = { ...embedded.keys.roles.viewer, publicKey: embedded.keys.roles.node.publicKey };
    await expect(RawClient.connect(embedded.url, other)).rejects.toThrow(/Authorization Violation/);
  });
});

describe('a submitter', () => {
  it('gets the acknowledgement of the stream over a plain socket', async () => {
    const alice = await as('alice');
    alice.subscribe('_INBOX.mine');
    alice.publish(subjects.task('agent', 'alice'), '{"input":"hi"}', '_INBOX.mine');
    const reply = await eventually('an acknowledgement', () => alice.messages[0] ?? null);
    expect(JSON.parse(reply.data)).toMatchObject({ stream: 'PROCTOR_TASKS', seq: expect.any(Number) });
  });

  it('gets the acknowledgement with the current client', async () => {
    const alice = embedded.keys.submitters.find(({ user }) => user === 'alice');
    const connection = await connect({ servers: embedded.url, user: 'alice', pass: alice?.password ?? '' });
    const ack = await jetstream(connection).publish(subjects.task('agent', 'alice'), '{"input":"hi"}');
    expect(ack).toMatchObject({ stream: 'PROCTOR_TASKS', duplicate: false });
    await connection.close();
  });

  it('gets the acknowledgement with the older client', async () => {
    const submitter = embedded.keys.submitters.find(({ user }) => user === 'default');
    const connection = await connectLegacy({
      servers: embedded.url,
      user: 'default',
      pass: submitter?.password ?? '',
    });
    const ack = await connection.jetstream().publish(subjects.task('agent'), '{"input":"hi"}');
    expect(ack.stream).toBe('PROCTOR_TASKS');
    await connection.close();
  });

  it('is answered by nodes, and hears of its own runs only', async () => {
    const answering = node.subscribe('proctor.ask.*.*', {
      callback: (_error, message) => void message.respond(`about ${message.subject}`),
    });
    const [alice, bob, odd, viewer] = [await as('alice'), await as('bob'), await as(ODD), await as('viewer')];
    alice.subscribe('_INBOX.a');
    bob.subscribe('_INBOX.>');
    bob.subscribe('proctor.evt.*.bob.*');
    alice.subscribe('proctor.evt.*.alice.*');
    odd.subscribe(subjects.event('agent', ODD, '*').replace('.agent.', '.*.'));
    viewer.subscribe('proctor.evt.>');
    await Promise.all([alice, bob, odd, viewer].map((client) => client.roundTrip()));
    await node.flush();
    alice.publish(subjects.ask('alice', 'result'), '{}', '_INBOX.a');
    await eventually('an answer', () => alice.messages[0] ?? null);
    for (const user of ['alice', ODD, 'bob']) node.publish(subjects.event('agent', user, RUN), `for ${user}`);
    await eventually('all events', () => (viewer.messages.length === 3 ? true : null));
    await Promise.all([alice, bob, odd].map((client) => client.roundTrip()));
    expect(alice.messages.map(({ data }) => data)).toEqual(['about proctor.ask.alice.result', 'for alice']);
    expect(bob.messages.map(({ data }) => data)).toEqual(['for bob']);
    expect(odd.messages.map(({ data }) => data)).toEqual([`for ${ODD}`]);
    await answering.drain();
  });
});

describe('a forged reply subject', () => {
  const FORGED = [
    '$JS.API.STREAM.PURGE.PROCTOR_JRN',
    '$JS.API.STREAM.DELETE.PROCTOR_JRN',
    '$JS.API.STREAM.MSG.DELETE.PROCTOR_JRN',
    '$KV.PROCTOR_CTL.global',
    subjects.journal(RUN, 1),
    subjects.inbox({ run: RUN, kind: 'decision', id: 'x' }),
  ];

  it.each(FORGED)('on a task has no effect: %s', async (reply) => {
    const [journal, inbox, tasks] = [
      await stored('PROCTOR_JRN'),
      await stored('PROCTOR_IN'),
      await stored('PROCTOR_TASKS'),
    ];
    const alice = await as('alice');
    alice.publish(subjects.task('agent', 'alice'), '{"input":"hi"}', reply);
    await alice.roundTrip();
    await eventually('the task is stored', async () => ((await stored('PROCTOR_TASKS')) === tasks + 1 ? true : null));
    // The server sends the acknowledgement after it has stored; one more stored task puts it behind us.
    await jetstream(node).publish(subjects.task('agent', 'bob'), '{}');
    expect(await stored('PROCTOR_JRN')).toBe(journal);
    expect(await stored('PROCTOR_IN')).toBe(inbox);
    const kv = await new Kvm(node).open('PROCTOR_CTL');
    expect((await kv.get('global'))?.string()).toBe('stop');
  });

  it.each(FORGED)('on a decision has no effect: %s', async (reply) => {
    const [journal, inbox] = [await stored('PROCTOR_JRN'), await stored('PROCTOR_IN')];
    const approver = await as('approver');
    approver.publish(subjects.decision(RUN, '4-0', 'alice'), '{}', reply);
    await approver.roundTrip();
    await eventually('the decision is stored', async () => ((await stored('PROCTOR_IN')) === inbox + 1 ? true : null));
    await jetstream(node).publish(subjects.task('agent', 'bob'), '{}');
    expect(await stored('PROCTOR_JRN')).toBe(journal);
    expect(await stored('PROCTOR_IN')).toBe(inbox + 1);
    const kv = await new Kvm(node).open('PROCTOR_CTL');
    expect((await kv.get('global'))?.string()).toBe('stop');
  });

  it('on a request to the nodes has no effect', async () => {
    const answering = node.subscribe('proctor.ask.*.*', { callback: (_error, message) => void message.respond('{}') });
    await node.flush();
    const before = await stored('PROCTOR_JRN');
    const alice = await as('alice');
    alice.subscribe('_INBOX.after');
    alice.publish(subjects.ask('alice', 'result'), '', '$JS.API.STREAM.PURGE.PROCTOR_JRN');
    alice.publish(subjects.ask('alice', 'result'), '', '_INBOX.after');
    await eventually('the second answer', () => alice.messages[0] ?? null);
    expect(await stored('PROCTOR_JRN')).toBe(before);
    await answering.drain();
  });

  it('would purge a stream from within the account of the nodes, which is why accounts are apart', async () => {
    await (await jetstreamManager(node)).streams.add({ name: 'VICTIM', subjects: ['proctor.victim'] });
    await jetstream(node).publish('proctor.victim', 'x');
    node.publish(subjects.task('agent', 'alice'), '{}', { reply: '$JS.API.STREAM.PURGE.VICTIM' });
    await eventually('the stream is purged', async () => ((await stored('VICTIM')) === 0 ? true : null));
  });
});

describe('a worker', () => {
  it('answers a call once, and cannot use the reply subject for more', async () => {
    const worker = await as('worker');
    worker.subscribe('proctor.tool.*.call');
    await worker.roundTrip();
    const answer = node.request(subjects.toolCall('search'), '{"q":1}', { timeout: 5_000 });
    const call = await eventually('the call', () => worker.messages[0] ?? null);
    const reply = call.reply ?? '';
    expect(await worker.refusalsOf(() => worker.publish(reply, 'found'))).toEqual([]);
    expect((await answer).string()).toBe('found');
    expect((await worker.refusalsOf(() => worker.publish(reply, 'again'))).join()).toMatch(/Permissions Violation/);
  });

  it('that is not there is told to the caller at once, for both are in one account', async () => {
    // Workers of the tests before may still be leaving.
    const refusal = await eventually('a refusal', () =>
      node.request(subjects.toolCall('nowhere'), '', { timeout: 1_000 }).then(
        () => null,
        (error: unknown) => (String(error).includes('no responders') ? error : null),
      ),
    );
    expect(refusal).toBeInstanceOf(Error);
  });
});
