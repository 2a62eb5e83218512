import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { builtCli, type Cli, eventually, type Folder, type Ran, type Running, temporaryFolder } from './support.ts';

/** Nodes that join a server that is there: `proctor supervisor` and `proctor nodes`, each a process. */

vi.setConfig({ testTimeout: 90_000 });

let cli: Cli;
let folder: Folder;
let dir: string;
let up: Running;

beforeAll(async () => {
  cli = await builtCli();
  folder = await temporaryFolder();
  dir = join(folder.dir, 'data');
  up = cli.start(['up', '--dir', dir, '--port', '0', '--name', 'first']);
  await up.says('Ctrl-C');
}, 120_000);
afterAll(async () => {
  await cli.clean();
  await folder.remove();
});

const proctor = (...args: string[]): Promise<Ran> => cli.run([...args, '--dir', dir]);

const joined = async (...args: string[]): Promise<Running> => {
  const node = cli.start(['supervisor', '--dir', dir, '--log-level', 'warn', ...args]);
  await node.says('Ctrl-C hands the runs over');
  return node;
};

const environment = async (role: string) => {
  const { url } = JSON.parse(await readFile(join(dir, 'connection.json'), 'utf8')) as { url: string };
  return { NATS_URL: url, PROCTOR_NKEY_FILE: join(dir, 'keys', `${role}.nk`) };
};

describe('proctor supervisor', () => {
  it('joins the Proctor of a folder, is named after its host, and leaves at SIGTERM', async () => {
    const node = await joined();
    const name = /Node (\S+) has joined/.exec(node.out())?.[1] ?? '';
    expect(name).toMatch(/-[0-9a-f]{8}$/);
    const listed = await proctor('nodes');
    expect(listed.out).toMatch(new RegExp(`^${name} +\\S+ +\\d+\\.\\d+\\.\\d+ +ready +0 +10 per agent +plan +20`, 'm'));
    expect(listed.out).toMatch(/^first /m);
    node.child.kill('SIGTERM');
    const { code, err } = await node.ended;
    expect([code, err]).toEqual([0, expect.stringContaining('What is not done goes on at another node.')]);
    expect((await proctor('nodes')).out).not.toContain(name);
  });

  it('joins the server of NATS_URL with the key of a node, and says which key that is', async () => {
    const env = await environment('node');
    const node = cli.start(['supervisor', '--name', 'remote', '--json'], { env });
    await node.says('"node":"remote"');
    node.child.kill('SIGINT');
    expect((await node.ended).code).toBe(0);
    const wrong = await cli.run(['supervisor'], { env: await environment('operator') });
    expect([wrong.code, wrong.err]).toEqual([
      1,
      expect.stringContaining('a node logs in with the seed in keys/node.nk'),
    ]);
  });

  it('says what to do when there is no server, and when its name is taken', async () => {
    const none = await cli.run(['supervisor', '--dir', join(folder.dir, 'nothing')]);
    expect([none.code, none.err]).toEqual([3, expect.stringMatching(/nothing runs in .*nothing: start it with/)]);
    const taken = await proctor('supervisor', '--name', 'first');
    expect([taken.code, taken.err]).toEqual([1, expect.stringContaining('a node named "first" runs already on')]);
  });
});

describe('proctor nodes', () => {
  it('cordons, drains and uncordons a node, with who and why for all to see', async () => {
    const node = await joined('--name', 'second', '--http', '0');
    const cordoned = await proctor('nodes', 'cordon', 'second', '--by', 'olga', '--why', 'odd noises');
    expect([cordoned.code, cordoned.out]).toEqual([0, 'second is cordoned; 0 runs in work there\n']);
    const health = await proctor('health');
    expect(health.out).toMatch(/^second .* cordoned by olga .* ago: odd noises/m);
    const http = /http:\/\/127\.0\.0\.1:\d+/.exec(node.out())?.[0] ?? '';
    const ready = await fetch(`${http}/readyz`);
    expect([ready.status, await ready.json()]).toEqual([
      503,
      { status: 'not_ready', reasons: ['cordon: told so by olga'] },
    ]);
    const last = await proctor('nodes', 'drain', 'first', '--why', 'both');
    expect(last.err).toBe('No other node takes runs of plan now: they wait until one does.\n');
    const sick = await proctor('health');
    expect([sick.code, sick.out]).toEqual([1, expect.stringContaining('agent plan: no node takes runs of it')]);
    for (const name of ['first', 'second']) {
      expect((await proctor('nodes', 'uncordon', name)).out).toContain(`${name} is ready`);
    }
    expect((await fetch(`${http}/readyz`)).status).toBe(200);
    const unknown = await proctor('nodes', 'drain', 'third');
    expect([unknown.code, unknown.err]).toEqual([1, expect.stringContaining('no node "third" answers')]);
    node.child.kill('SIGKILL');
    await eventually('one node', async () => !(await proctor('nodes')).out.includes('second'));
  });
});
