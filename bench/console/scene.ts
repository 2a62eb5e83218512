import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '../../src/adapters/clock/system-clock.ts';
import type { NatsBus } from '../../src/adapters/nats/bus.ts';
import { newNkey } from '../../src/adapters/nkeys/signing.ts';
import { type OpenConsole, openConsole } from '../../src/app/console.ts';
import { connectBus, startSupervisor } from '../../src/app.ts';
import { type Client, createClient } from '../../src/client/client.ts';
import { createOperator, type Operator } from '../../src/client/operator.ts';
import { Subjects } from '../../src/core/subjects.ts';
import type { SupervisorNode } from '../../src/runtime/node.ts';
import { serveTools, type Worker } from '../../src/worker/serve-tools.ts';
import { silent } from '../support/log.ts';
import { type DrillServer, startServer } from '../support/server.ts';
import { TRUSTING } from '../support/trusting.ts';
import { AGENTS, actors, away, TOOLS } from './cast.ts';

/** A whole cluster on a real server for the page to look at: two nodes, a worker, agents that follow a script. */
export interface Scene {
  readonly server: DrillServer;
  readonly client: Client;
  readonly operator: Operator;
  readonly subjects: Subjects;
  readonly bus: NatsBus;
  readonly nodes: SupervisorNode[];
  /** File with the key of the approver `ada`. */
  readonly keyFile: string;
  /** Accounts by role; each one's token is `TOKENS[role]`. */
  console(port?: number): Promise<OpenConsole>;
  stop(): Promise<void>;
}

export const TOKENS = {
  viewer: 'viewer-token-0123456789',
  approver: 'approver-token-0123456789',
  operator: 'operator-token-0123456789',
} as const;

export interface SceneOptions {
  /** Folder of the built page; default what `npm run build` made. */
  assets?: string;
  nodes?: number;
}

export async function openScene({ assets, nodes = 2 }: SceneOptions = {}): Promise<Scene> {
  const server = await startServer();
  const subjects = new Subjects();
  const buses: NatsBus[] = [];
  const connect = async (name: string, inbox = '_INBOX') => {
    const bus = await connectBus({ url: server.url, inboxPrefix: inbox }, name, subjects, silent);
    buses.push(bus);
    return bus;
  };
  const started: SupervisorNode[] = [];
  for (let n = 1; n <= nodes; n++) {
    const node = await startSupervisor({
      bus: await connect(`node-${n}`),
      subjects,
      firstPolicy: TRUSTING,
      log: silent,
      name: `node-${n}`,
      host: `host-${n}`,
      agents: AGENTS,
      models: { script: actors, away },
      root: server.dir,
      settings: { lease_ms: 2_000, slots: 20 },
    });
    started.push(node);
  }
  const worker: Worker = await serveTools({
    bus: await connect('worker', subjects.workerInbox),
    subjects,
    clock: systemClock(),
    log: silent,
    id: 'desk-worker',
    tools: TOOLS,
  });
  const bus = await connect('client');
  const tokenFile = join(server.dir, 'accounts.json');
  const accounts = Object.entries(TOKENS).map(([role, token]) => ({
    name: role === 'operator' ? 'olga' : `a-${role}`,
    role,
    token,
  }));
  await writeFile(tokenFile, JSON.stringify({ accounts }));
  const operator = createOperator({ bus, subjects, by: 'scene' });
  const key = newNkey();
  const keyFile = join(server.dir, 'ada.nk');
  await writeFile(keyFile, `${key.seed}\n`);
  await operator.putApprover({ name: 'ada', public_key: key.publicKey, groups: ['approvers'], users: [] });
  const consoles = new Set<OpenConsole>();
  return {
    ...{ server, subjects, bus, nodes: started, keyFile },
    client: createClient({ bus, subjects, user: 'alice' }),
    operator,
    console: async (port = 0) => {
      const opened = await openConsole({
        host: '127.0.0.1',
        port,
        tokenFile,
        proxy: null,
        dir: null,
        person: { name: 'olga', role: 'operator' },
        source: { address: { url: server.url }, subjects },
        ...(assets === undefined ? {} : { assets }),
        log: silent,
      });
      consoles.add(opened);
      return {
        ...opened,
        stop: async () => {
          consoles.delete(opened);
          await opened.stop();
        },
      };
    },
    stop: async () => {
      for (const opened of consoles) await opened.stop();
      await Promise.all(started.map((node) => node.stop()));
      await worker.stop();
      for (const one of buses) await one.close();
      await server.stop();
    },
  };
}

/** Runs in every state, so that each view has something to show. Resolves with their ids by what they show. */
export async function playScene({ client, operator }: Scene): Promise<Record<string, string>> {
  const submit = async (agent: string, input: unknown, more: object = {}) =>
    (await client.submit({ input: input as never, ...more }, agent)).run;
  const runs: Record<string, string> = {};
  for (let n = 0; n < 14; n++) await submit('log-analyst', { file: `service-${n}.log` });
  for (let n = 0; n < 5; n++) await submit('invoice-clerk', { invoice: `R-${2040 + n}` });
  for (let n = 0; n < 3; n++) await submit('invoice-clerk', { invoice: `broken-${n}` });
  runs.done = await submit('log-analyst', { file: 'checkout.log', question: 'Why did checkout fail at 09:12?' });
  runs.failed = await submit('invoice-clerk', { invoice: 'broken-17' });
  runs.person = await submit('concierge', 'Refund order A-17: the customer says that it never came.');
  runs.parent = await submit('concierge', 'delegate');
  runs.unknown = await submit('refund-desk', { order: 'A-21', amount: 40 });
  runs.queued = await submit('estimator', { machine: 'press 4', fault: 'leaks oil' });
  runs.approval = await submit('voucher-desk', { order: 'A-31', amount: 25 });
  runs.paused = await submit('slow', { seconds: 600 });
  runs.executing = await submit('slow', { seconds: 600 });
  runs.later = await submit(
    'log-analyst',
    { file: 'later.log' },
    { not_before: new Date(Date.now() + 3_600_000).toISOString() },
  );
  await submit('log-analyst', { file: 'x' }, { limits: { steps: 1 } });
  await operator.pause(runs.paused, 'look at the upstream first');
  await operator.switch('tool:send_mail', 'pause', 'the mail provider refuses us');
  await until(operator, runs.person, 'waiting');
  await until(operator, runs.approval, 'waiting.approval');
  await until(operator, runs.queued, 'failed');
  await until(operator, runs.done, 'completed');
  await until(operator, runs.failed, 'failed');
  await until(operator, runs.parent, 'completed');
  return runs;
}

export async function until(operator: Operator, run: string, state: string): Promise<void> {
  for (;;) {
    const { status } = await operator.run(run);
    if (status.state.startsWith(state)) return;
    if (/^(?:completed|failed)/.test(status.state))
      throw new Error(`run ${run} ended ${status.state}, before ${state}`);
    await delay(50);
  }
}
