import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { builtCli, type Cli, type Folder, type Ran, temporaryFolder } from './support.ts';

/** What a run did, from the command line. */

vi.setConfig({ testTimeout: 90_000 });

let cli: Cli;
let folder: Folder;
let dir: string;

beforeAll(async () => {
  cli = await builtCli();
  folder = await temporaryFolder();
  dir = join(folder.dir, 'data');
  await cli.start(['up', '--dir', dir, '--port', '0', '--root', folder.dir]).says('Ctrl-C');
}, 120_000);
afterAll(async () => {
  await cli.clean();
  await folder.remove();
});

const proctor = (...args: string[]): Promise<Ran> => cli.run([...args, '--dir', dir]);

async function submit(...steps: object[]): Promise<string> {
  const plan = { steps: steps.map((step, i) => ({ id: `s${i}`, after: i === 0 ? [] : [`s${i - 1}`], ...step })) };
  const { out, err, code } = await cli.run(['submit', '-', '--dir', dir], {
    input: JSON.stringify({ input: 'x', plan }),
  });
  expect(code, err).toBe(0);
  await proctor('result', out.trim(), '--wait');
  return out.trim();
}

describe('proctor effects', () => {
  it('lists what took effect, leaves out what only reads, and says with --all what did not', async () => {
    const run = await submit(
      { tool: 'write_file', args: { path: 'a.txt', content: 'x' } },
      { tool: 'calculate', args: { expression: '1' } },
      { tool: 'write_file', args: { path: '../a.txt', content: 'x' } },
    );
    const { effects } = JSON.parse((await proctor('effects', run, '--json')).last);
    expect(effects).toMatchObject([{ tool: 'write_file', state: 'done', args: { path: 'a.txt' } }]);
    const all = await proctor('effects', run, '--all');
    expect(all.out).toMatch(/write_file +took effect/);
    expect(all.out).toMatch(/write_file +failed /);
    const { code, err } = await proctor('compensate', run, effects[0].c);
    expect(code).toBe(1);
    expect(err).toMatch(/^proctor: the tool write_file declares no call that makes up for it/);
    expect((await proctor('compensate', run, '99-0')).err).toMatch(
      /made no call 99-0 that changes anything\. See what/,
    );
  });

  it('says so when there is nothing', async () => {
    const run = await submit({ tool: 'calculate', args: { expression: '1' } });
    expect((await proctor('effects', run)).out).toBe(`Run ${run} has asked for nothing that changes anything.\n`);
  });
});
