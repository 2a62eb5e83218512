import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { builtCli, type Cli, type Folder, type Ran, type Running, temporaryFolder } from './support.ts';

/** The policy from the command line, against one `proctor up`. */

vi.setConfig({ testTimeout: 90_000 });

let cli: Cli;
let folder: Folder;
let up: Running;
let dir: string;
let file: string;

beforeAll(async () => {
  cli = await builtCli();
  folder = await temporaryFolder();
  dir = join(folder.dir, 'data');
  file = join(folder.dir, 'policy.yaml');
  up = cli.start(['up', '--dir', dir, '--port', '0', '--root', folder.dir]);
  await up.says('Ctrl-C');
}, 120_000);
afterAll(async () => {
  await cli.clean();
  await folder.remove();
});

const proctor = (...args: string[]): Promise<Ran> => cli.run([...args, '--dir', dir]);

const POLICY = `# Files may be read, not written.
permissions:
  - { id: reading, tool: "read_*", do: allow }
  - { id: sums, tool: calculate, do: ask }
  - { tool: "write_*", do: deny }
autonomy:
  - { agent: plan, level: autonomous }
`;

async function callFile(call: object): Promise<string> {
  const path = join(folder.dir, 'call.json');
  await writeFile(path, JSON.stringify(call));
  return path;
}

async function submit(tool: string, args: object): Promise<string> {
  const task = { input: 'x', plan: { steps: [{ id: 's', tool, args }] } };
  const { out, err, code } = await cli.run(['submit', '-', '--dir', dir], { input: JSON.stringify(task) });
  expect(code, err).toBe(0);
  return out.trim();
}

describe('proctor policy', () => {
  it('shows the one that up put into force as there was none, and says so; before it the built-in one was', async () => {
    expect(up.out()).toMatch(
      /^policy +version 1, from examples\/policies\/first\.yaml, put into force now as there was none; .* policy promote AGENT LEVEL/m,
    );
    const shown = await proctor('policy', 'show');
    expect(shown.err).toMatch(/^applied +.* by proctor up, from examples\/policies\/first\.yaml$/m);
    expect(shown.out).toBe(await readFile('examples/policies/first.yaml', 'utf8'));
    const before = await proctor('policy', 'show', '0');
    expect(before).toMatchObject({ code: 0, err: expect.stringMatching(/^policy +the built-in one$/m) });
    expect(before.out).toMatch(/^# The policy that comes with Proctor\./m);
    // What it prints is a policy file.
    await writeFile(file, shown.out);
    expect((await cli.run(['policy', 'check', file])).code).toBe(0);
    expect((await proctor('policy', 'diff', file)).out).toMatch(/says what version 1 says\.$/m);
  });

  it('promote is the next version with one line changed, by whom and why; refused without a reason', async () => {
    const silent = await proctor('policy', 'promote', 'plan', 'supervised');
    expect([silent.code, silent.err]).toEqual([2, expect.stringContaining('--why: expected the reason')]);
    const unknown = await proctor('policy', 'promote', 'nobody', 'supervised', '--why', 'x');
    expect([unknown.code, unknown.err]).toEqual([1, expect.stringContaining('nobody')]);
    const said = await proctor('policy', 'promote', 'plan', 'read_only', '--why', 'wrote nonsense', '--by', 'olga');
    expect(said.out).toBe('plan is read_only by version 2 for runs that begin now; those at work keep theirs\n');
    const shown = await proctor('policy', 'show');
    expect(shown.out).toContain('- { id: plan, agent: plan, level: read_only } # does what the plan of its task says');
    expect(shown.err).toMatch(/^applied +.* by olga, from promote plan read_only\nwhy +wrote nonsense$/m);
    const run = await submit('write_file', { path: 'a.txt', text: 'x' });
    expect((await proctor('result', run, '--wait')).code).toBe(1);
    expect((await proctor('trace', run)).out).toContain('policy promote plan supervised --why TEXT');
    const back = await proctor('policy', 'promote', 'plan', 'autonomous', '--why', 'better now');
    expect(back.out).toMatch(/^plan is autonomous by version 3 /);
    const again = await proctor('policy', 'promote', 'plan', 'autonomous', '--why', 'better now');
    expect(again.out).toBe('plan is autonomous already, by version 3\n');
  });

  it('check tells every fault with its line, and what to do', async () => {
    await writeFile(file, 'permissions:\n  - { tool: x, do: alow }\n  - { role: boss, tool: x, do: deny }\n');
    const { code, out, err } = await cli.run(['policy', 'check', file]);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err.replaceAll(file, 'policy.yaml').trimEnd().split('\n')).toEqual([
      expect.stringMatching(/^proctor: policy\.yaml:2: permissions\.0\.do: /),
      '  policy.yaml:3: permissions.1.role: no role has this name; there are: *, user.',
      expect.stringMatching(/^Correct the file; check again with: .*policy check FILE\.$/),
    ]);
  });

  it('diff, apply, show: in force for new runs at once, and explain names rule and line', async () => {
    const before = await submit('calculate', { expression: '1 + 1' });
    expect((await proctor('result', before, '--wait')).code).toBe(0);
    await writeFile(file, POLICY);
    expect((await proctor('policy', 'diff', file)).out.split('\n')).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^- permissions listed: /),
        expect.stringMatching(/^\+ permissions sums: /),
      ]),
    );
    const applied = await proctor('policy', 'apply', file, '--why', 'a test', '--by', 'olga');
    expect(applied).toMatchObject({
      code: 0,
      out: 'version 4 is in force for runs that begin now; those at work keep theirs\n',
    });
    expect((await proctor('policy', 'apply', file)).out).toBe('version 4 says the same and is in force\n');
    const shown = await proctor('policy');
    expect(shown.out.trimEnd()).toBe(POLICY.trimEnd());
    expect(shown.err).toMatch(/^applied +.* by olga, from .*policy\.yaml\nwhy +a test$/m);

    const run = await submit('write_file', { path: 'a.txt', text: 'x' });
    expect((await proctor('result', run, '--wait')).code).toBe(1);
    const explained = await proctor('policy', 'explain', run);
    expect(explained.out).toMatch(/^\S+ {2}agent plan for default, begun under policy 4$/m);
    expect(explained.out).toMatch(/write_file .* denied$/m);
    expect(explained.out).toContain(
      'permission: rule permissions.2 in line 5 of policy 4 says deny: - { tool: "write_*", do: deny }',
    );
    const old = JSON.parse((await proctor('policy', 'explain', before, '--json')).last);
    expect(old).toMatchObject({
      policy: 3,
      calls: [
        {
          tool: 'calculate',
          verdict: 'allowed',
          policy: 3,
          rules: [{ gate: 'permission', says: 'allow', rule: 'listed', line: 5 }],
        },
      ],
    });
    const waits = await submit('calculate', { expression: '6 * 7' });
    await vi.waitFor(
      async () => {
        const { calls } = JSON.parse((await proctor('policy', 'explain', waits, '--json')).last);
        expect(calls).toMatchObject([
          { verdict: 'asked', rules: [{ rule: 'sums', line: 4 }], reasons: [{ rule: 'permission' }] },
        ]);
      },
      { timeout: 60_000, interval: 200 },
    );
    expect((await proctor('policy', 'explain', waits, '99-0')).err).toMatch(/has no call 99-0; its calls are: \d+-0/);
  });

  it('test says what the gate would say, and calls nothing', async () => {
    const call = await callFile({ agent: 'plan', tool: 'write_file', args: { path: 'b.txt', text: 'x' } });
    const denied = JSON.parse((await proctor('policy', 'test', call, '--json')).last);
    expect(denied).toMatchObject({
      verdict: 'deny',
      code: 'not_permitted',
      policy: { version: 4, rules: [{ line: 5 }] },
    });
    const other = join(folder.dir, 'other.yaml');
    await writeFile(other, 'permissions: [{ id: all, tool: "*", do: allow }]\n');
    const level = await proctor('policy', 'test', call, '--policy', other);
    expect(level.out).toMatch(/^gate +autonomy_level: write_file on b\.txt is not allowed: agent plan only reads/m);
    const asks = await callFile({ agent: 'plan', tool: 'calculate', args: { expression: '1' } });
    expect((await proctor('policy', 'test', asks)).out).toMatch(/^verdict +needs an approval$/m);
    const reads = await callFile({ agent: 'plan', tool: 'read_file', args: { path: 'policy.yaml' } });
    expect((await proctor('policy', 'test', reads)).out).toMatch(/^verdict +allowed$/m);
    const wrong = await callFile({ agent: 'plan', tool: 'read_file', args: {} });
    expect((await proctor('policy', 'test', wrong)).out).toMatch(/^gate +invalid_arguments: /m);
    const unlisted = await callFile({ agent: 'nobody', tool: 'read_file' });
    expect((await proctor('policy', 'test', unlisted)).err).toMatch(/no agent named "nobody" is defined/);
    const faulty = await callFile({ agent: 'plan' });
    expect(await proctor('policy', 'test', faulty)).toMatchObject({
      code: 2,
      err: expect.stringMatching(/call\.json: .*tool/),
    });
  });

  it('apply --expect refuses when somebody else was faster', async () => {
    await writeFile(file, `${POLICY}# changed\n`);
    const { code, err } = await proctor('policy', 'apply', file, '--expect', '0');
    expect(code).toBe(1);
    expect(err).toMatch(/^proctor: version 4 is in force, by olga, and not 0: .*policy diff FILE\.$/m);
    expect((await proctor('policy', 'apply', file, '--expect', '4', '--running')).out).toBe(
      'version 5 is in force for all runs\n',
    );
    expect((await proctor('policy', 'show', '1')).err).toMatch(/version 5 is in force/);
    expect((await proctor('policy', 'show', '7')).err).toMatch(/there is no version 7 of the policy; the newest is 5/);
  });
});
