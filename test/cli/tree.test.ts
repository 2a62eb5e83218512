import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { builtCli, type Cli, eventually, type Folder, type Ran, type Running, temporaryFolder } from './support.ts';

/** `proctor tree` over a real server, of nodes that are processes. */

vi.setConfig({ testTimeout: 120_000 });

let cli: Cli;
let folder: Folder;
let dir: string;
let up: Running;
let host: string;
/** Takes requests and never answers, so that a call stays under way. */
const silent = createServer(() => {});

beforeAll(async () => {
  cli = await builtCli();
  folder = await temporaryFolder();
  dir = join(folder.dir, 'data');
  await new Promise<void>((resolve) => void silent.listen(0, '127.0.0.1', resolve));
  host = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
  up = cli.start(['up', '--dir', dir, '--port', '0', '--name', 'first', '--lease', '1s', '--allow-host', host]);
  await up.says('Ctrl-C');
}, 120_000);
afterAll(async () => {
  silent.closeAllConnections();
  silent.close();
  await cli.clean();
  await folder.remove();
});

const proctor = (...args: string[]): Promise<Ran> => cli.run([...args, '--dir', dir]);

async function submitted(id: string): Promise<string> {
  const url = `http://${host}/${id}`;
  const file = join(folder.dir, `${id}.json`);
  const plan = { steps: [{ id: 'a', tool: 'http_fetch', args: { url } }] };
  await writeFile(file, JSON.stringify({ input: id, plan }));
  return (await proctor('submit', file)).last.trim();
}

describe('proctor tree', () => {
  it('draws every node with its parts, its runs and their calls, and a node that was killed no more', async () => {
    const options = ['--lease', '1s', '--allow-host', host, '--log-level', 'warn'];
    const second = cli.start(['supervisor', '--dir', dir, '--name', 'second', ...options]);
    await second.says('Ctrl-C hands the runs over');
    await submitted('one');
    const drawn = await eventually('a call in the tree', async () => {
      const { out } = await proctor('tree');
      return /└── (?:\S+) {2}tool http_fetch {2}for \d/.test(out) ? out : null;
    });
    expect(drawn).toMatch(/^first {2}ready .* rest_for_one {2}0 of 3 restarts in 60 s$/m);
    expect(drawn).toMatch(/^second {2}ready /m);
    expect(drawn).toMatch(/^│ {3}├── switches {2}running /m);
    expect(drawn).toMatch(/agent:plan {2}running .* dynamic {2}1 of 10 in work\n│ {7}└── \d{8}-\S+ {2}running/);
    expect(drawn).toMatch(/└── run {2}running .* executing\S* {2}step 0 {2}epoch 1\n/);

    const { code, out } = await proctor('tree', '--node', 'second', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject([{ report: { node: 'second' }, tree: { v: 1, node: 'second' } }]);
    const piped = await proctor('tree', '--node', 'first', '--watch', '--runs', '0');
    expect([piped.code, piped.out.match(/^first /gm)?.length]).toEqual([0, 1]);

    second.child.kill('SIGKILL');
    await second.ended;
    expect((await proctor('tree')).out).not.toMatch(/^second/m);
    const unknown = await proctor('tree', '--node', 'second');
    expect([unknown.code, unknown.err]).toEqual([
      1,
      expect.stringContaining('no node "second" answers; these do: first'),
    ]);
  });

  it('says how many runs it leaves out, and draws them when asked for', async () => {
    for (let i = 0; i < 4; i++) await submitted(`more-${i}`);
    await eventually('all runs', async () => (/ [45] of 10 in work/.test((await proctor('tree')).out) ? true : null));
    const few = await proctor('tree', '--runs', '2');
    expect(few.out).toMatch(/└── [23] more: --runs N, --all/);
    const all = await proctor('tree', '--all');
    expect(all.out).not.toContain('more:');
    expect(all.out.match(/^│ {7}[├└]── \d{8}-/gm)?.length).toBeGreaterThanOrEqual(4);
  });

  it('fails with what to do when nothing runs, and refuses options that are none', async () => {
    const none = await cli.run(['tree', '--dir', join(folder.dir, 'nothing')]);
    expect([none.code, none.err]).toEqual([3, expect.stringContaining('nothing runs in')]);
    const wrong = await proctor('tree', '--runs', 'many');
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('Expected a whole number from 0 to 100000.')]);
  });
});

describe('a node whose root supervisor gives up', () => {
  it('hands its runs over, says what is wrong and what to do, and exits 1', async () => {
    // A fault that no restart mends: from some time on nobody can ask the bus whether it is connected.
    const bus = pathToFileURL(
      join(dirname(cli.script), cli.script.endsWith('.mjs') ? '../dist/src' : '..', 'adapters/nats/bus.js'),
    );
    const preload = join(folder.dir, 'fault.mjs');
    await writeFile(
      preload,
      `import { NatsBus } from ${JSON.stringify(bus.href)};
       const began = Date.now();
       Object.defineProperty(NatsBus.prototype, 'connected', {
         get() {
           if (Date.now() - began > 4000) throw new Error('a fault of ours');
           return true;
         },
       });`,
    );
    const env = { NODE_OPTIONS: `--import ${pathToFileURL(preload).href}` };
    const node = cli.start(['supervisor', '--dir', dir, '--name', 'faulty', '--log-level', 'warn', '--lease', '1s'], {
      env,
    });
    const { code, err } = await node.ended;
    expect(code).toBe(1);
    const events = err
      .split('\n')
      .flatMap((text) => (text.startsWith('{') ? [JSON.parse(text) as Record<string, unknown>] : []));
    expect(events).toContainEqual(expect.objectContaining({ msg: 'child.crashed', supervisor: 'node/control' }));
    expect(events).toContainEqual(expect.objectContaining({ msg: 'supervisor.gave_up', supervisor: 'node' }));
    expect(events.find(({ msg }) => msg === 'node.gave_up')).toMatchObject({
      node: 'faulty',
      why: expect.stringMatching(
        /more than 3 restarts within 60000 ms.*the last fault: node\/control\/\w+: a fault of ours/,
      ),
      consequence: 'its runs were handed over; it ends',
      todo: expect.stringContaining('then start the node again'),
    });
    expect(err).toContain('proctor: node faulty gave up and handed its runs over');
  });
});
