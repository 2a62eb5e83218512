import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import {
  builtCli,
  type Cli,
  eventually,
  type Folder,
  type Ran,
  type Running,
  temporaryFolder,
} from '../cli/support.ts';

/**
 * The services of docker-compose.yml as processes: the same commands, with folders and addresses of this machine in
 * the place of the containers'. The nats-server here is older than the one in the file, which its nodes are told to accept.
 */

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const file = fileURLToPath(new URL('../../docker-compose.yml', import.meta.url));
const { services } = parse(readFileSync(file, 'utf8'), { merge: true }) as {
  services: Record<string, { command: string[]; environment?: Record<string, string> }>;
};
const SERVERS = Object.keys(services).filter((name) => name.startsWith('nats-'));

let cli: Cli;
let folder: Folder;
const ports = new Map<string, { client: number; route: number }>();
const servers = new Map<string, ChildProcess>();
const nodes: Running[] = [];

async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** A text of the file, as it must read outside the containers. */
function here(text: string): string {
  let out = text
    .replace(/^\/keys/, join(folder.dir, 'keys'))
    .replace(/^\/data/, join(folder.dir, 'data'))
    .replace(/^\/work$/, folder.dir)
    .replace('127.0.0.1:9464', '0')
    .replace(/\$\{\w+:-([^}]*)\}/, '$1');
  for (const [name, { client, route }] of ports) {
    out = out.replace(`nats://${name}:4222`, `nats://127.0.0.1:${client}`);
    if (out === name) out = `${name}=127.0.0.1:${client}:${route}`;
  }
  return out;
}

/** The arguments of a service behind `node bin/proctor.mjs`. Three servers cannot share one monitoring port here. */
function argumentsOf(service: string): string[] {
  const [node, script, ...args] = services[service]?.command ?? [];
  expect([node, script]).toEqual(['node', 'bin/proctor.mjs']);
  const monitor = args.indexOf('--monitor');
  if (monitor >= 0) args.splice(monitor, 2);
  return args.map(here);
}

const environmentOf = (service: string): Record<string, string> =>
  Object.fromEntries(Object.entries(services[service]?.environment ?? {}).map(([name, value]) => [name, here(value)]));

async function startServer(name: string): Promise<void> {
  const child = spawn('nats-server', services[name]?.command.map(here) ?? [], { stdio: ['ignore', 'ignore', 'pipe'] });
  servers.set(name, child);
  let log = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  await eventually(`${name} is up`, async () => {
    if (child.exitCode !== null) throw new Error(log);
    return log.includes('Server is ready');
  });
}

async function joinCluster(): Promise<void> {
  const node = cli.start([...argumentsOf('supervisor'), '--allow-old-replicas'], { env: environmentOf('supervisor') });
  nodes.push(node);
  await node.says('has joined');
}

const operator = (...args: string[]): Promise<Ran> =>
  cli.run(args, {
    env: { ...environmentOf('supervisor'), PROCTOR_NKEY_FILE: join(folder.dir, 'keys/keys/operator.nk') },
  });

async function orderFound(): Promise<Ran> {
  const { password } = JSON.parse(readFileSync(join(folder.dir, 'keys/keys/submit-default.json'), 'utf8')) as {
    password: string;
  };
  const task = join(folder.dir, 'task.json');
  const plan = { steps: [{ id: 'o', tool: 'find_order', args: { order: 'A-17' } }] };
  await writeFile(task, JSON.stringify({ input: 'x', plan }));
  const url = environmentOf('supervisor').NATS_URL?.replaceAll('nats://', `nats://default:${password}@`) ?? '';
  return cli.run(['submit', task, '--wait', '--json'], { env: { NATS_URL: url } });
}

beforeAll(async () => {
  [cli, folder] = await Promise.all([builtCli(), temporaryFolder()]);
  for (const name of SERVERS) ports.set(name, { client: await freePort(), route: await freePort() });
  const made = await cli.run(argumentsOf('keys'));
  expect(made.code, made.err).toBe(0);
  await Promise.all(SERVERS.map(startServer));
});

afterAll(async () => {
  await cli.clean();
  for (const child of servers.values()) child.kill('SIGKILL');
  await folder.remove();
});

describe('the topology of docker-compose.yml', () => {
  it('refuses three replicas on old servers unless it is told to take them', async () => {
    const { code, err } = await cli.run(argumentsOf('supervisor'), { env: environmentOf('supervisor') });
    expect([code, err]).toEqual([1, expect.stringMatching(/too old for 3 replicas.*--allow-old-replicas/)]);
  });

  it('runs tasks on three servers, two nodes and a worker, also with one server gone', async () => {
    await joinCluster();
    await joinCluster();
    const worker = cli.start(argumentsOf('worker'), { env: environmentOf('worker') });
    nodes.push(worker);
    await worker.says('serves find_order');
    const listed = await operator('nodes', '--json');
    expect(JSON.parse(listed.last)).toHaveLength(2);
    const first = await orderFound();
    expect([first.code, first.out, first.err]).toEqual([0, expect.stringContaining('Ada'), expect.anything()]);

    // The port in the file may be in use here.
    const port = String(await freePort());
    const onIt = argumentsOf('console').map((arg) => (arg === '4280' ? port : arg));
    const page = cli.start(onIt, { env: environmentOf('console') });
    nodes.push(page);
    await page.says('Proctor console');
    const accounts = readFileSync(join(folder.dir, 'keys/keys/console-accounts.json'), 'utf8');
    const { token } = (JSON.parse(accounts) as { accounts: { token: string }[] }).accounts[0] ?? { token: '' };
    const address = `http://127.0.0.1:${port}`;
    const me = await fetch(`${address}/api/me`, { headers: { authorization: `Bearer ${token}` } });
    expect(await me.json()).toMatchObject({ name: 'operator', role: 'operator' });
    expect((await fetch(`${address}/api/me`)).status).toBe(401);

    servers.get('nats-2')?.kill('SIGKILL');
    const second = await orderFound();
    expect([second.code, second.out, second.err]).toEqual([0, expect.stringContaining('Ada'), expect.anything()]);

    for (const node of nodes) node.child.kill('SIGTERM');
    expect(await Promise.all(nodes.map(async (node) => (await node.ended).code))).toEqual([0, 0, 0, 0]);
  });
});
