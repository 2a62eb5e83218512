import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadAgents } from '../../../src/adapters/definition-files/load-agents.ts';
import { AppError } from '../../../src/core/errors.ts';
import { DEFAULT_LIMITS } from '../../../src/core/limits.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'proctor-agents-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function write(files: Record<string, string | Uint8Array>): Promise<void> {
  for (const [name, content] of Object.entries(files)) await writeFile(join(dir, name), content);
}

/** What a folder of these files is refused with; paths without the folder. */
async function refusal(
  files: Record<string, string | Uint8Array>,
  path = dir,
): Promise<{ code: string; lines: string[] }> {
  await write(files);
  const error = await loadAgents(path).then(
    () => new AppError('no_error', ''),
    (thrown: unknown) => thrown as AppError,
  );
  return { code: error.code, lines: error.message.replaceAll(`${dir}/`, '').split('\n') };
}

describe('agents in files', () => {
  it('are read from YAML, JSON and JavaScript, one or several a file, with defaults for what is left out', async () => {
    await write({
      'b.yaml': 'name: b\nmodel: plan\nversion: 3\nlimits: { steps: 7 }\ntools: [read_file, "git_*"]\n',
      'a.yml': '# two of them\nname: a1\nmodel: plan\n---\nname: a2\nmodel: plan\n---\n',
      'c.json': '[{"name":"c1","model":"plan"},{"name":"c2","model":"plan","version":"1.10"}]',
      'd.mjs': "const name = 'd';\nexport default { name, model: 'plan', instructions: 'You are ' + name };\n",
      '.hidden.yaml': 'not: [an agent',
      'readme.md': '# no agent',
    });
    await mkdir(join(dir, 'folder.yaml'));
    await writeFile(join(dir, 'folder.yaml', 'x.yaml'), 'nor: this');
    await symlink(join(dir, 'b.yaml'), join(dir, '..data'));
    const loaded = await loadAgents(dir);
    expect(loaded.map(({ definition, file }) => [file.slice(dir.length + 1), definition.name])).toEqual([
      ['a.yml', 'a1'],
      ['a.yml', 'a2'],
      ['b.yaml', 'b'],
      ['c.json', 'c1'],
      ['c.json', 'c2'],
      ['d.mjs', 'd'],
    ]);
    const [b] = loaded.filter(({ definition }) => definition.name === 'b');
    expect(b?.definition).toEqual({
      name: 'b',
      version: '3',
      description: '',
      model: 'plan',
      tools: ['read_file', 'git_*'],
      delegates_to: [],
      planning: false,
      review: false,
      limits: { ...DEFAULT_LIMITS, steps: 7 },
      retry_backoff_ms: 1_000,
    });
    expect(loaded.find(({ definition }) => definition.name === 'd')?.definition.instructions).toBe('You are d');
    expect(await loadAgents(join(dir, 'b.yaml'))).toEqual([b]);
  });

  it('are refused all at once: every fault of every file, with the line where the file tells it', async () => {
    const { code, lines } = await refusal({
      'a.yaml': 'name: a\nmodel: plan\nlimits:\n  steps: 0\n  tokns: 5\ntols: [x]\n',
      'b.yaml': 'name: b\n---\n- name: c\n  model: plan\n  tools:\n    - read_file\n    - "no tool"\n',
      'c.json': '[{"name":"d","model":"plan"},{"name":"e\\u0007","model":7}]',
      'd.yaml': 'name: plan\nversion: 1.10\nmodel: 3\n',
    });
    expect(code).toBe('invalid_agent');
    expect(lines).toEqual([
      'a.yaml:4: limits.steps: expected number to be >=1',
      'a.yaml:5: limits.tokns: unknown field; did you mean "tokens"?',
      'a.yaml:6: tols: unknown field; did you mean "tools"?',
      'b.yaml:1: model: expected string, but it is missing',
      expect.stringMatching(/^b\.yaml:7: tools\.1: expected the name of a tool/),
      'c.json: agent 2: name: expected no control characters',
      'c.json: agent 2: model: expected string, received number',
      'd.yaml:1: name: "plan" comes with Proctor: choose another',
      'd.yaml:2: version: expected quotes around it, such as "1.10"',
      'd.yaml:3: model: expected string, received number',
    ]);
  });

  it.each<[what: string, name: string, content: string | Uint8Array, line: RegExp]>([
    ['broken YAML', 'x.yaml', 'name: [a\nmodel: plan\n', /^x\.yaml: expected YAML: .* at line \d/],
    [
      'a tag',
      'x.yaml',
      'name: !!js/function "x"\nmodel: plan\n',
      /^x\.yaml: expected YAML without tags: .*js\/function/,
    ],
    ['a field twice', 'x.yaml', 'name: a\nname: b\nmodel: plan\n', /^x\.yaml: .*unique.*line 2/],
    ['an alias bomb', 'x.yaml', bomb(), /^x\.yaml: .*alias/i],
    ['broken JSON', 'x.json', '{"name": }', /^x\.json: expected JSON: /],
    ['an empty file', 'x.yaml', '# nothing\n', /^x\.yaml: holds no agent$/],
    ['a text', 'x.yaml', 'hello\n', /^x\.yaml:1: agent: expected object, received string$/],
    ['more than 256 KB', 'x.json', `{"name":"${'x'.repeat(262_144)}"}`, /^x\.json: has \d+ bytes; at most 262144/],
    ['other bytes than UTF-8', 'x.yaml', new Uint8Array([0x6e, 0xff, 0xfe]), /^x\.yaml: is not UTF-8$/],
    ['a number that is no version', 'x.yaml', 'name: a\nmodel: plan\nversion: 1.10\n', /^x\.yaml:3: version: .*quotes/],
    [
      'the name of the agent that comes with us',
      'x.yaml',
      'name: plan\nmodel: plan\n',
      /^x\.yaml:1: name: "plan" comes/,
    ],
    ['a module that throws', 'x.mjs', "throw new Error('boom\\nand more');\n", /^x\.mjs: boom$/],
    ['a module without default export', 'x.mjs', 'export const agent = {};\n', /^x\.mjs: expected a default export/],
    ['a module with broken syntax', 'x.ts', 'export default {\n', /^x\.ts: /],
    [
      'a module that imports what is not there',
      'x.ts',
      "import 'nowhere-to-be-found';\n",
      /^x\.ts: .*nowhere-to-be-found/,
    ],
    ['brackets without end', 'x.yaml', '['.repeat(250_000), /^x\.yaml: expected values nested at most 20 deep/],
    ['lists without end', 'x.yaml', '- '.repeat(100_000), /^x\.yaml: expected values nested at most 20 deep/],
    ['keys without end', 'x.yaml', '? '.repeat(100_000), /^x\.yaml: expected plain keys/],
    ['JSON without end', 'x.json', '['.repeat(250_000), /^x\.json: /],
    ['closed JSON without end', 'x.json', `${'['.repeat(5_000)}${']'.repeat(5_000)}`, /^x\.json: /],
  ])('with %s are refused in one line', async (_what, name, content, line) => {
    const { code, lines } = await refusal({ [name]: content });
    expect(code).toBe('invalid_agent');
    expect(lines).toEqual([expect.stringMatching(line)]);
  });

  it('of one name are refused, naming both files', async () => {
    const { lines } = await refusal({ 'a.yaml': 'name: x\nmodel: plan\n', 'b.json': '{"name":"x","model":"plan"}' });
    expect(lines).toEqual(['b.json: name: agent "x" is defined in a.yaml already']);
  });

  it('that are not there are told from faulty ones', async () => {
    expect(await refusal({ 'readme.md': '' })).toMatchObject({ code: 'no_agents' });
    expect(await refusal({}, join(dir, 'nowhere'))).toEqual({
      code: 'no_agents',
      lines: ['nowhere: there is no such file or folder'],
    });
    expect(await refusal({ 'x.txt': '' }, join(dir, 'x.txt'))).toMatchObject({ code: 'no_agents' });
  });
});

/** 20 lines that unfold into a billion names. */
function bomb(): string {
  const levels = Array.from({ length: 9 }, (_, i) => {
    const before = i === 0 ? '"x"' : `*a${i - 1}`;
    return `a${i}: &a${i} [${Array.from({ length: 10 }, () => before).join(', ')}]`;
  });
  return `name: a\nmodel: plan\n${levels.join('\n')}\n`;
}
