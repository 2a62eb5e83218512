import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '../../src/adapters/clock/system-clock.ts';
import { type Embedded, startEmbedded } from '../../src/adapters/embedded-nats/embedded.ts';
import { findNatsServer } from '../../src/adapters/embedded-nats/find-server.ts';
import { newNkey, nkeySignatures, nkeySigner } from '../../src/adapters/nkeys/signing.ts';
import { connectBus, startSupervisor } from '../../src/app.ts';
import { createClient } from '../../src/client/client.ts';
import { createOperator, type Operator } from '../../src/client/operator.ts';
import type { ApprovalRequest, RefusedDecision } from '../../src/core/approval-wire.ts';
import { toAppError } from '../../src/core/errors.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { ToolDefinition } from '../../src/core/tool.ts';
import type { Bus } from '../../src/ports/bus.ts';
import { type Approver, createApprover } from '../../src/worker/approver.ts';
import { silent } from '../support/log.ts';
import { progress } from '../support/report.ts';
import { TRUSTING } from '../support/trusting.ts';
import { ATTACKS, type Attack, type Forged, type Person, type Scene } from './attacks.ts';

/**
 * Attacks on approvals, on a real server with its accounts. Each is tried on a run of its own, whose call has an effect
 * that is counted: the attack must be refused and audited, nothing may happen, and afterwards a person's approval must
 * still do what it should, once.
 */

export interface ApprovalFigures extends Record<string, unknown> {
  attacks: number;
  succeeded: number;
  notAudited: number;
  harmed: number;
  refusedAs: Record<string, string>;
}

type Role = 'node' | 'worker' | 'operator' | 'approver' | 'submitter';

interface World {
  subjects: Subjects;
  operator: Operator;
  approver: Approver;
  /** With the login of an approver: the strongest that an attacker could have. */
  attacker: Bus;
  as(role: Role): Promise<Bus>;
  submit(): Promise<string>;
  ended(run: string): Promise<boolean>;
  effects(run: string): unknown[];
  people: Pick<Scene, 'alice' | 'outsider' | 'revoked' | 'requester'> & { carol: Person };
}

interface Outcome {
  succeeded: boolean;
  audited: boolean;
  harmed: boolean;
  code: string;
}

const PATIENCE_MS = 20_000;
/** How long an effect that must not come is waited for. */
const STILL_MS = 300;
const REQUESTER = 'default';

export async function approvalDrill(rounds: number, sabotage: boolean): Promise<ApprovalFigures> {
  const dir = await mkdtemp(join(tmpdir(), 'proctor-approvals-'));
  const ends: (() => Promise<unknown>)[] = [() => rm(dir, { recursive: true, force: true, maxRetries: 5 })];
  try {
    const world = await open(dir, sabotage, ends);
    const figures: ApprovalFigures = { attacks: 0, succeeded: 0, notAudited: 0, harmed: 0, refusedAs: {} };
    const count = (name: string, { succeeded, audited, harmed, code }: Outcome): void => {
      figures.attacks++;
      if (succeeded) figures.succeeded++;
      if (!audited) figures.notAudited++;
      if (harmed) figures.harmed++;
      figures.refusedAs[name] = code;
      if (succeeded || !audited || harmed) progress(`${name}: ${JSON.stringify({ succeeded, audited, harmed, code })}`);
    };
    for (let round = 0; round < rounds; round++) {
      const tried: [string, Promise<Outcome>][] = [
        ...Object.entries(ATTACKS).map(([name, attack]): [string, Promise<Outcome>] => [
          name,
          tryAttack(world, attack),
        ]),
        ['decided twice', decidedTwice(world)],
        ['published by others', publishedByOthers(world)],
      ];
      await Promise.all(tried.map(async ([name, outcome]) => count(name, await outcome)));
      progress(`round ${round + 1}: ${figures.attacks} attacks, ${figures.succeeded} succeeded`);
    }
    return figures;
  } finally {
    for (const end of ends.toReversed()) await end().catch(() => undefined);
  }
}

/** The call and its neighbours, all waiting. */
async function scene(world: World): Promise<Scene> {
  const [run, other] = [await world.submit(), await world.submit()];
  const [request, sibling] = await requestsOf(world, run);
  const [stranger] = await requestsOf(world, other);
  if (request === undefined || sibling === undefined || stranger === undefined) throw new Error('no request came');
  return { request, sibling, stranger, ...world.people, now: Date.now() };
}

async function tryAttack(world: World, { forge, codes }: Attack): Promise<Outcome> {
  const at = await scene(world);
  const { run } = at.request;
  await publish(world, forge(at));
  const refused = await until(async () => (await refusals(world, run))[0]);
  await delay(STILL_MS);
  const succeeded = world.effects(run).length > 0 || (await decisions(world, run)).length > 0;
  const audited = refused !== undefined && codes.includes(refused.code);
  return { succeeded, audited, harmed: !succeeded && !(await goesOn(world, at, 2)), code: refused?.code ?? 'none' };
}

/** The first word counts, whatever the same approver says after it. */
async function decidedTwice(world: World): Promise<Outcome> {
  const at = await scene(world);
  const { run } = at.request;
  const word = ATTACKS.forged?.forge(at).to as Forged['to'];
  const say = async (verdict: 'approve' | 'deny'): Promise<string> => {
    const answer = until(async () => {
      const said = verdict === 'deny' ? { verdict, why: 'second thoughts' } : { verdict };
      const error = await world.approver.decideAndWait(at.request, said).then(
        () => 'counted',
        (thrown: unknown) => toAppError(thrown).code,
      );
      return error === 'taken' ? undefined : error;
    });
    return (await answer) ?? 'none';
  };
  const [first, second, third] = [await say('approve'), await say('approve'), await say('deny')];
  await delay(STILL_MS);
  const about = (await decisions(world, run)).filter((c) => c === word.c);
  const succeeded = about.length > 1 || world.effects(run).length > 1 || second === 'counted' || third === 'counted';
  const audited = (await refusals(world, run)).length === 2;
  const harmed = first !== 'counted' || !(await goesOn(world, at, 2));
  return { succeeded, audited, harmed, code: second };
}

/** The server itself lets nobody else publish a decision; so it never comes, and there is nothing to audit. */
async function publishedByOthers(world: World): Promise<Outcome> {
  const at = await scene(world);
  const { body, to } = {
    to: { run: at.request.run, c: at.request.c, approver: at.alice.name },
    body: ATTACKS.expired?.forge({ ...at, now: Date.now() + 600_000 }).body ?? '',
  };
  let came = 0;
  for (const role of ['worker', 'operator', 'submitter'] as const) {
    const bus = await world.as(role);
    const signal = AbortSignal.timeout(1_000);
    came += await bus.publish(world.subjects.decision(to.run, to.c, to.approver), body, { signal }).then(
      () => 1,
      () => 0,
    );
    await bus.close();
  }
  await delay(STILL_MS);
  const succeeded = came > 0 || world.effects(at.request.run).length > 0;
  return { succeeded, audited: true, harmed: !(await goesOn(world, at, 2)), code: 'forbidden' };
}

/** Whether a person's approvals of what still waits bring the run to its end, with so many effects. */
async function goesOn(world: World, { request: { run } }: Scene, effects: number): Promise<boolean> {
  const { carol } = world.people;
  for await (const request of world.approver.open()) {
    if (request.run !== run) continue;
    const { cluster, c, digest, policy, deadline } = request;
    const payload = JSON.stringify({
      ...{ v: 1, type: 'proctor.decision', cluster, run, c, digest, policy },
      ...{ approver: carol.name, verdict: 'approve', why: '', expires_at: deadline },
    });
    const body = JSON.stringify({ v: 1, key: carol.signer.publicKey, payload, signature: carol.signer.sign(payload) });
    await publish(world, { to: { run, c, approver: carol.name }, body });
  }
  const ended = await until(async () => ((await world.ended(run)) ? true : undefined));
  return ended === true && world.effects(run).length === effects;
}

async function publish({ attacker, subjects }: World, { to, body }: Forged): Promise<void> {
  await attacker.publish(subjects.decision(to.run, to.c, to.approver), body);
}

async function requestsOf({ approver }: World, run: string): Promise<ApprovalRequest[]> {
  const found = await until(async () => {
    const requests: ApprovalRequest[] = [];
    for await (const request of approver.open()) if (request.run === run) requests.push(request);
    return requests.length === 2 ? requests : undefined;
  });
  return found ?? [];
}

async function refusals({ operator }: World, run: string): Promise<RefusedDecision[]> {
  const found: RefusedDecision[] = [];
  for await (const one of operator.refusedDecisions()) if (one.run === run) found.push(one);
  return found;
}

/** Calls about which the journal has a decision. */
async function decisions({ operator }: World, run: string): Promise<string[]> {
  const calls: string[] = [];
  for await (const { events } of operator.journal(run)) {
    for (const event of events) if (event.type === 'approval_decided') calls.push(event.c);
  }
  return calls;
}

async function until<T>(look: () => Promise<T | undefined>): Promise<T | undefined> {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; ) {
    const found = await look();
    if (found !== undefined) return found;
    await delay(30);
  }
  return undefined;
}

async function open(dir: string, sabotage: boolean, ends: (() => Promise<unknown>)[]): Promise<World> {
  // biome-ignore lint/style/noProcessEnv: where the server is found is the environment's word
  const { PATH = '', PROCTOR_NATS_SERVER } = process.env;
  const embedded = await startEmbedded({
    dir,
    prefix: 'proctor',
    users: [REQUESTER],
    serverPath: await findNatsServer(PATH, PROCTOR_NATS_SERVER),
    log: silent,
    random: (bytes) => randomBytes(bytes),
    preferPort: 0,
  });
  ends.push(() => embedded.stop());
  const subjects = new Subjects();
  const as = async (role: Role): Promise<Bus> => {
    const bus = await connectBus(loginOf(embedded, role, subjects), role, subjects, silent);
    ends.push(() => bus.close());
    return bus;
  };
  const effects = new Map<string, unknown[]>();
  await startNode(await as('node'), subjects, effects, sabotage, ends);
  const attacker = await as('approver');
  const operator = createOperator({ bus: await as('operator'), subjects, by: 'drill' });
  const person = async (name: string, groups = ['approvers']): Promise<Person> => {
    const key = newNkey();
    await operator.putApprover({ name, public_key: key.publicKey, groups });
    return { name, signer: nkeySigner(key.seed) };
  };
  const people = {
    alice: await person('alice'),
    carol: await person('carol'),
    outsider: await person('outsider', ['others']),
    revoked: await person('rose'),
    requester: await person(REQUESTER),
  };
  await operator.revokeApprover('rose', 'a drill');
  const client = createClient({ bus: await as('submitter'), subjects, user: REQUESTER });
  const args = { amount: 2_000 };
  const steps = ['a', 'b'].map((id) => ({ id, tool: 'transfer', args }));
  return {
    subjects,
    operator,
    attacker,
    as,
    approver: createApprover({
      bus: attacker,
      subjects,
      clock: systemClock(),
      signatures: nkeySignatures,
      as: people.alice,
    }),
    submit: async () => (await client.submit({ input: 'pay', plan: { steps } }, 'payer')).run,
    ended: async (run) => (await client.status(run)).code !== undefined,
    effects: (run) => effects.get(run) ?? [],
    people,
  };
}

function loginOf({ url, keys }: Embedded, role: Role, { workerInbox }: Subjects) {
  if (role !== 'submitter') {
    return { url, nkeySeed: keys.roles[role].seed, ...(role === 'worker' ? { inboxPrefix: workerInbox } : {}) };
  }
  return { url, user: REQUESTER, password: keys.submitters.find(({ user }) => user === REQUESTER)?.password ?? '' };
}

async function startNode(
  bus: Bus,
  subjects: Subjects,
  effects: Map<string, unknown[]>,
  sabotage: boolean,
  ends: (() => Promise<unknown>)[],
): Promise<void> {
  const definition = ToolDefinition.parse({
    name: 'transfer',
    description: 'moves money',
    parameters: { type: 'object', properties: { amount: { type: 'number' } }, required: ['amount'] },
    requires_approval: true,
    idempotent: true,
  });
  const node = await startSupervisor({
    bus,
    subjects,
    firstPolicy: TRUSTING,
    log: silent,
    agents: [{ name: 'payer', model: 'plan', tools: ['transfer'] }],
    tools: [
      {
        find: (name) => Promise.resolve(name === 'transfer' ? definition : null),
        call: ({ run, args }) => {
          effects.set(run, [...(effects.get(run) ?? []), args]);
          return Promise.resolve(null);
        },
      },
    ],
    ...(sabotage ? { signatures: { ...nkeySignatures, verify: () => true } } : {}),
  });
  ends.push(() => node.stop());
}
