import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { builtCli, type Cli, type Folder, type Ran, type Running, temporaryFolder } from './support.ts';

/** Agents from files: checked, brought by `up`, listed, shown, put. */

let cli: Cli;
let folder: Folder;
let dir: string;
let agents: string;
let up: Running;

const proctor = (...args: string[]): Promise<Ran> => cli.run([...args, '--dir', dir]);

beforeAll(async () => {
  cli = await builtCli();
  folder = await temporaryFolder();
  dir = join(folder.dir, 'data');
  agents = join(folder.dir, 'agents');
  await mkdir(agents);
  await writeFile(join(agents, 'adder.yaml'), 'name: adder\nmodel: plan\ntools: [calculate]\nlimits: { steps: 9 }\n');
  await writeFile(
    join(agents, 'clock.ts'),
    "import { defineAgent } from 'proctor';\nimport { TOOLS } from './clock-tools/list.ts';\n" +
      "export default defineAgent({ name: 'clock', model: 'plan', tools: TOOLS as string[] });\n",
  );
  await mkdir(join(agents, 'clock-tools'));
  await writeFile(join(agents, 'clock-tools/list.ts'), "export const TOOLS: string[] = ['current_time'];\n");
  up = cli.start(['up', '--dir', dir, '--port', '0', '--agents', agents]);
  await up.says('Ctrl-C');
}, 120_000);
afterAll(async () => {
  await cli.clean();
  await folder.remove();
});

const task = { input: 'x', plan: { steps: [{ id: 'sum', tool: 'calculate', args: { expression: '6 * 7' } }] } };

describe('up --agents', () => {
  it('brings agents from YAML and TypeScript, which tasks can be given to', async () => {
    expect(up.out()).toMatch(/^agents +adder, clock, plan$/m);
    const file = join(folder.dir, 'task.json');
    await writeFile(file, JSON.stringify(task));
    const { code, out, err } = await proctor('submit', file, '--agent', 'adder', '--wait', '--json');
    expect(code, err).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ agent: 'adder', status: 'completed' });
    const refused = await proctor('submit', file, '--agent', 'addr');
    expect(refused.code).toBe(1);
    expect(refused.err).toMatch(/no agent named "addr" is defined; defined are: adder, plan, clock\. List them with/);
  });

  it('does not start with faulty files: exit 1, a line for each fault, and no server stays', async () => {
    const bad = join(folder.dir, 'bad.yaml');
    await writeFile(bad, 'name: bad\nmodle: plan\ntols: []\n');
    const { code, err, out } = await cli.run(['up', '--dir', join(folder.dir, 'other'), '--agents', bad]);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err.replaceAll(bad, 'bad.yaml').split('\n').slice(0, 2)).toEqual([
      'proctor: bad.yaml:1: model: expected string, but it is missing.',
      '  bad.yaml:2: modle: unknown field; did you mean "model"?',
    ]);
  });

  it('does not start with an agent whose model this node lacks: exit 1, and what is missing', async () => {
    const lacking = join(folder.dir, 'lacking.yaml');
    await writeFile(lacking, 'name: lacking\nmodel: nobody/nothing\n');
    const place = join(folder.dir, 'other');
    const { code, err } = await cli.run([
      'up',
      '--dir',
      place,
      '--port',
      '0',
      '--agents',
      lacking,
      '--log-level',
      'error',
    ]);
    expect(code).toBe(1);
    expect(err).toMatch(/^proctor: agent "lacking" \(.*lacking\.yaml\): .*nobody/);
  });
});

describe('agents', () => {
  it('lists them for people and for programs', async () => {
    const { out } = await proctor('agents');
    expect(out).toMatch(/^NAME +VERSION +MODEL +TOOLS +SLOTS$/m);
    expect(out).toMatch(/^adder +1 +plan +calculate +0 of 10 on 1 node$/m);
    const listed = JSON.parse((await proctor('agents', '--json')).out) as { name: string; source: string }[];
    expect(listed.map(({ name, source }) => [name, source])).toEqual([
      ['adder', agents],
      ['clock', agents],
      ['plan', 'built in'],
    ]);
  });

  it('show prints a whole definition', async () => {
    const { out } = await proctor('agents', 'show', 'adder');
    expect(out).toMatch(/^version +1, in force$/m);
    expect(out).toMatch(/^limits +steps 9, wall_ms 300000/m);
    const { code, err } = await proctor('agents', 'show', 'adder', '7');
    expect(code).toBe(1);
    expect(err).toContain('agent adder has no version 7; stored are: 1');
  });

  it('check tells faults without a server, and what it found', async () => {
    const good = await cli.run(['agents', 'check', agents, '--json']);
    expect((JSON.parse(good.out) as { definition: { name: string } }[]).map((one) => one.definition.name)).toEqual([
      'adder',
      'clock',
    ]);
    const none = await cli.run(['agents', 'check', join(folder.dir, 'nowhere')]);
    expect(none).toMatchObject({ code: 1, err: expect.stringContaining('there is no such file or folder') });
  });

  it('put stores a new version, refuses a changed old one, and brings a stored one back', async () => {
    const file = join(folder.dir, 'adder.yaml');
    const put = async (text: string) => {
      await writeFile(file, `name: adder\nmodel: plan\n${text}`);
      return proctor('agents', 'put', file, '--by', 'olga');
    };
    expect(await put('version: 2\ntools: [calculate, json_query]\n')).toMatchObject({
      code: 0,
      out: 'adder version 2 is stored and in force\n',
    });
    const taken = await put('version: 2\ntools: []\n');
    expect(taken.code).toBe(1);
    expect(taken.err).toBe(
      'proctor: agent "adder" version 2 is already stored with other content: raise its version.\n',
    );
    expect((await put('tools: [calculate]\nlimits: { steps: 9 }\n')).out).toBe(
      'adder version 1 was stored before and is in force\n',
    );
    expect((await proctor('agents', 'show', 'adder', '2')).out).toMatch(/by olga, from .*adder\.yaml$/m);
  });
});
