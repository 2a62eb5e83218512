import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TRUSTING } from '../../bench/support/trusting.ts';
import type { Embedded } from '../../src/adapters/embedded-nats/embedded.ts';
import { newNkey } from '../../src/adapters/nkeys/signing.ts';
import { type Approver, connectApprover, startApprovals } from '../../src/app/approvals.ts';
import { connectOperator } from '../../src/app/connect-client.ts';
import { connectBus, startSupervisor } from '../../src/app.ts';
import { createClient } from '../../src/client/client.ts';
import type { Operator } from '../../src/client/operator.ts';
import type { ApprovalRequest } from '../../src/core/approval-wire.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { ToolDefinition } from '../../src/core/tool.ts';
import type { SupervisorNode } from '../../src/runtime/node.ts';
import { embed, eventually, temporaryFolder } from '../adapters/embedded-nats/fixtures.ts';
import { silent } from '../runtime/support.ts';

/** Approvers over a real server with its accounts: our SDK, the example service, and a client that has none of our code. */

const root = fileURLToPath(new URL('../..', import.meta.url));
const TCP = join(root, 'examples/approvals/tcp.mjs');
const subjects = new Subjects();

let embedded: Embedded;
let dir: string;
let remove: () => Promise<void>;
let node: SupervisorNode;
let operator: Operator & { close(): Promise<void> };
let closeNode: () => Promise<void>;
const refunds: unknown[] = [];
const ends: (() => Promise<unknown> | unknown)[] = [];

beforeAll(async () => {
  const folder = await temporaryFolder();
  ({ dir, remove } = folder);
  embedded = await embed(dir, { approvers: [{ name: 'limited', groups: ['approvers'] }] });
  const bus = await connectBus(
    { url: embedded.url, nkeySeed: embedded.keys.roles.node.seed },
    'node',
    subjects,
    silent,
  );
  closeNode = () => bus.close();
  const refund = ToolDefinition.parse({
    name: 'refund',
    description: 'pays back',
    parameters: { type: 'object', properties: { amount: { type: 'number' } }, required: ['amount'] },
    amount_field: 'amount',
    idempotent: true,
  });
  node = await startSupervisor({
    bus,
    subjects,
    log: silent,
    firstPolicy: TRUSTING,
    agents: [{ name: 'refunder', model: 'plan', tools: ['refund'] }],
    tools: [
      {
        find: (name) => Promise.resolve(name === 'refund' ? refund : null),
        call: ({ args }) => {
          refunds.push(args);
          return Promise.resolve({ paid: args.amount ?? null });
        },
      },
    ],
  });
  operator = await connectOperator({
    nats: { url: embedded.url, nkeySeed: embedded.keys.roles.operator.seed },
    by: 'olga',
  });
}, 120_000);

afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  refunds.length = 0;
});

afterAll(async () => {
  await operator.close();
  await node.stop();
  await closeNode();
  await embedded.stop();
  await remove();
});

const login = () => ({ url: embedded.url, nkeySeed: embedded.keys.roles.approver.seed });

async function submit(amount: number): Promise<{ run: string; result(): Promise<{ status: string; error: unknown }> }> {
  const { password = '' } = embedded.keys.submitters.find(({ user }) => user === 'default') ?? {};
  const bus = await connectBus({ url: embedded.url, user: 'default', password }, 'submitter', subjects, silent);
  ends.push(() => bus.close());
  const client = createClient({ bus, subjects, user: 'default' });
  const task = { input: 'refund', plan: { steps: [{ id: 'r', tool: 'refund', args: { amount } }] } };
  const { run } = await client.submit(task, 'refunder');
  return { run, result: () => client.result(run, { wait: true }) };
}

let made = 0;

/** A key of ours, for somebody who has a name of their own. */
async function approver(): Promise<{ name: string; keyFile: string }> {
  const name = `person${made++}`;
  const key = newNkey();
  const keyFile = join(dir, `${name}.nk`);
  await writeFile(keyFile, key.seed);
  await operator.putApprover({ name, public_key: key.publicKey });
  return { name, keyFile };
}

async function asPerson(): Promise<Approver> {
  const connected = await connectApprover({ nats: login(), as: await approver() });
  ends.push(() => connected.close());
  return connected;
}

async function openOne(from: Approver, run: string): Promise<ApprovalRequest> {
  return eventually('an open request', async () => {
    for await (const request of from.open()) if (request.run === run) return request;
    return null;
  });
}

describe('a person over the SDK', () => {
  it('sees the request, approves it, and hears what came of it', async () => {
    const person = await asPerson();
    const { run, result } = await submit(2_000);
    const request = await openOne(person, run);
    expect(request.reason).toBe('its amount amount is 2000, more than 1000');
    expect((await operator.why(run)).text).toMatch(
      /waiting\.approval: waits for an approval of refund \(call \d+-0\);.* its amount amount is 2000.*unblock: an approver of the group approvers: proctor approvals approve\|deny /,
    );
    expect(await person.decideAndWait(request, { verdict: 'approve' })).toMatchObject({ state: 'approved' });
    expect(await result()).toMatchObject({ status: 'completed' });
    expect(refunds).toEqual([{ amount: 2_000 }]);
    const again = await eventually('a second word', async () => {
      const error = await person.decideAndWait(request, { verdict: 'approve' }).catch((thrown: unknown) => thrown);
      // The first has not left the inbox yet.
      return (error as { code: string }).code === 'taken' ? null : error;
    });
    expect(again).toMatchObject({ code: 'not_pending' });
  });

  it('is not asked about an amount that is no more than 1,000 (APPR-1)', async () => {
    const { result } = await submit(1_000);
    expect(await result()).toMatchObject({ status: 'completed' });
  });

  it('whose key is revoked decides nothing any more, and the name can have a new key', async () => {
    const who = await approver();
    const connected = await connectApprover({ nats: login(), as: who });
    ends.push(() => connected.close());
    const { run, result } = await submit(2_000);
    const request = await openOne(connected, run);
    await operator.revokeApprover(who.name, 'laptop stolen');
    await expect(connected.decideAndWait(request, { verdict: 'approve' })).rejects.toMatchObject({
      code: 'revoked_key',
    });
    const other = newNkey();
    await operator.putApprover({ name: who.name, public_key: other.publicKey });
    await expect(connected.decideAndWait(request, { verdict: 'approve' })).rejects.toMatchObject({ code: 'wrong_key' });
    const history = (await operator.approvers({ history: true })).filter(({ name }) => name === who.name);
    expect(history.map(({ revoked, by, why }) => [revoked, by, why])).toEqual([
      [false, 'olga', ''],
      [true, 'olga', 'laptop stolen'],
      [false, 'olga', ''],
    ]);
    const codes: string[] = [];
    for await (const one of operator.refusedDecisions()) if (one.run === run) codes.push(one.code);
    expect(codes).toEqual(['revoked_key', 'wrong_key']);
    await (await asPerson()).decideAndWait(request, { verdict: 'deny', why: 'enough' });
    expect(await result()).toMatchObject({ status: 'failed' });
  });

  it('cannot take the name or the key of another', async () => {
    const { name } = await approver();
    const [known] = await operator.approvers();
    await expect(operator.putApprover({ name, public_key: newNkey().publicKey })).rejects.toMatchObject({
      code: 'key_taken',
    });
    await expect(operator.putApprover({ name: 'thief', public_key: known?.public_key ?? '' })).rejects.toMatchObject({
      code: 'key_used',
    });
  });
});

describe('an approval service', () => {
  it('that starts late sees what is open, and answers what comes', async () => {
    const before = await submit(2_000);
    await openOne(await asPerson(), before.run);
    const as = await approver();
    const service = await startApprovals({
      nats: login(),
      as,
      log: silent,
      decide: ({ args }) =>
        Number(args.amount) > 5_000
          ? { verdict: 'deny', why: 'too much' }
          : { verdict: 'approve', args: { amount: 7 } },
    });
    ends.push(() => service.stop());
    expect(await before.result()).toMatchObject({ status: 'completed' });
    expect(refunds).toEqual([{ amount: 7 }]);
    const after = await submit(6_000);
    expect(await after.result()).toMatchObject({
      status: 'failed',
      error: { reason: expect.stringContaining(`${as.name} said no: too much`) },
    });
  });

  it('may decide later, and is told when it need not any more', async () => {
    const held: { say: () => Promise<void>; signal: AbortSignal }[] = [];
    const service = await startApprovals({
      nats: login(),
      as: await approver(),
      log: silent,
      decide: (_request, { later, signal }) => {
        held.push({ say: () => later({ verdict: 'approve' }), signal });
        return null;
      },
    });
    ends.push(() => service.stop());
    const first = await submit(2_000);
    await (await eventually('a request', () => held[0] ?? null)).say();
    expect(await first.result()).toMatchObject({ status: 'completed' });
    const second = await submit(3_000);
    const person = await asPerson();
    await person.decideAndWait(await openOne(person, second.run), { verdict: 'deny', why: 'no' });
    await eventually('an abort', () => (held[1]?.signal.aborted === true ? true : null));
  });

  it('is what the example is', async () => {
    const key = newNkey();
    await writeFile(join(dir, 'till.nk'), key.seed);
    await operator.putApprover({ name: 'till', public_key: key.publicKey });
    const jiti = join(dirname(createRequire(import.meta.url).resolve('jiti/package.json')), 'lib/jiti-cli.mjs');
    const service = start(
      process.execPath,
      [jiti, join(root, 'examples/approvals/service.ts'), join(dir, 'till.nk'), dir],
      {
        JITI_ALIAS: JSON.stringify({ proctor: join(root, 'src/index.ts') }),
      },
    );
    await service.says('deciding');
    const small = await submit(4_000);
    expect(await small.result()).toMatchObject({ status: 'completed' });
    const large = await submit(60_000);
    expect(await large.result()).toMatchObject({ error: { reason: expect.stringContaining('made by the bank') } });
  }, 120_000);
});

interface Started {
  says(text: string): Promise<void>;
  lines(): string[];
}

function start(command: string, args: string[], more: Record<string, string> = {}): Started {
  const child: ChildProcess = spawn(command, args, {
    // biome-ignore lint/style/noProcessEnv: a child process needs PATH and HOME as they are
    env: { ...process.env, ...more },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let text = '';
  const hear = (chunk: Buffer): void => {
    text += chunk.toString();
  };
  child.stdout?.on('data', hear);
  child.stderr?.on('data', hear);
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  ends.push(() => {
    child.kill('SIGKILL');
    return ended;
  });
  return {
    says: async (wanted) =>
      void (await eventually(`${wanted} among: ${text}`, () => (text.includes(wanted) ? true : null))),
    lines: () => text.split('\n').filter((line) => line.startsWith('{')),
  };
}

describe('a client without any of our code', () => {
  const CASES: [verdict: string, paid: unknown[], outcome: string][] = [
    ['approve', [{ amount: 2_500 }], 'completed'],
    ['deny', [], 'failed'],
    ['{"amount": 10}', [{ amount: 10 }], 'completed'],
  ];

  it.each(CASES)('says %s over a socket', async (verdict, paid, outcome) => {
    const key = JSON.parse(execFileSync(process.execPath, [TCP, 'key'], { encoding: 'utf8' })) as Record<
      string,
      string
    >;
    const name = `foreign${made++}`;
    await operator.putApprover({ name, public_key: key.publicKey ?? '' });
    await writeFile(join(dir, `${name}.nk`), key.seed ?? '');
    await writeFile(join(dir, 'login.nk'), embedded.keys.roles.approver.seed);
    const foreign = start(process.execPath, [
      TCP,
      embedded.url,
      join(dir, 'login.nk'),
      join(dir, `${name}.nk`),
      name,
      verdict,
    ]);
    await foreign.says('listening');
    const { run, result } = await submit(2_500);
    const ended = await result();
    expect(ended.status).toBe(outcome);
    expect(refunds).toEqual(paid);
    if (verdict === 'deny') expect(JSON.stringify(ended.error)).toContain(`said by ${name} over a socket`);
    await foreign.says(verdict === 'deny' ? '"rejected"' : '"approved"');
    const entries: unknown[] = [];
    for await (const entry of operator.journal(run)) entries.push(...entry.events);
    expect(entries).toContainEqual(
      expect.objectContaining({
        type: 'approval_decided',
        by: name,
        signed: expect.objectContaining({ key: key.publicKey }),
      }),
    );
  });

  it('that signs with a key nobody knows changes nothing', async () => {
    const key = JSON.parse(execFileSync(process.execPath, [TCP, 'key'], { encoding: 'utf8' })) as Record<
      string,
      string
    >;
    const { name } = await approver();
    await writeFile(join(dir, 'forged.nk'), key.seed ?? '');
    await writeFile(join(dir, 'login.nk'), embedded.keys.roles.approver.seed);
    const foreign = start(process.execPath, [
      TCP,
      embedded.url,
      join(dir, 'login.nk'),
      join(dir, 'forged.nk'),
      name,
      'approve',
    ]);
    await foreign.says('listening');
    const { run, result } = await submit(2_500);
    await foreign.says('"wrong_key"');
    expect(refunds).toEqual([]);
    const person = await asPerson();
    await person.decideAndWait(await openOne(person, run), { verdict: 'deny', why: 'forged' });
    await result();
  });
});

describe('a login for some groups', () => {
  it('sees and decides what they are asked, and nothing else', async () => {
    const { name, keyFile } = await approver();
    const [own] = embedded.keys.approvers;
    const nats = { url: embedded.url, nkeySeed: own?.seed ?? '' };
    const limited = await connectApprover({ nats, groups: ['approvers'], as: { name, keyFile } });
    ends.push(() => limited.close());
    const { run, result } = await submit(2_000);
    const request = await openOne(limited, run);
    expect(await limited.decideAndWait(request, { verdict: 'approve' })).toMatchObject({ state: 'approved', by: name });
    expect(await result()).toMatchObject({ status: 'completed' });
    const curious = await connectApprover({ nats, groups: ['board'] });
    ends.push(() => curious.close());
    await expect(curious.open()[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'forbidden' });
  });
});
