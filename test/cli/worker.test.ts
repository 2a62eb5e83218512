import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { builtCli, type Cli, type Folder, type Running, temporaryFolder } from './support.ts';

let cli: Cli;
let folder: Folder;
let dir: string;
let up: Running;

beforeAll(async () => {
  cli = await builtCli();
  folder = await temporaryFolder();
  dir = join(folder.dir, 'data');
  up = cli.start(['up', '--dir', dir, '--port', '0']);
  await up.says('is up.');
}, 120_000);

afterAll(async () => {
  up.child.kill('SIGTERM');
  await up.ended;
  await cli.clean();
  await folder.remove();
});

async function file(name: string, text: string): Promise<string> {
  const path = join(folder.dir, name);
  await mkdir(folder.dir, { recursive: true });
  await writeFile(path, text);
  return path;
}

const task = (tool: string, args: object): string =>
  JSON.stringify({ input: 'x', plan: { steps: [{ id: 'only', tool, args }] } });

describe('proctor worker', () => {
  it('serves a TypeScript file that finds proctor and zod without installing them, and drains at Ctrl-C', async () => {
    const path = await file(
      'shout.ts',
      `import { defineTool } from 'proctor';
       import { z } from 'zod';
       interface Shout { loud: string }
       export default [defineTool({
         name: 'shout', description: 'x', parameters: z.object({ text: z.string() }), effect: 'read',
         handler: async ({ text }): Promise<Shout> => ({ loud: text.toUpperCase() }),
       })];`,
    );
    const worker = cli.start(['worker', path, '--dir', dir]);
    await worker.says('serves shout. Stop it with Ctrl-C.');
    const ran = await cli.run(['submit', '-', '--wait', '--json', '--dir', dir], {
      input: task('shout', { text: 'hey' }),
    });
    expect(JSON.parse(ran.last)).toMatchObject({ status: 'completed', answer: { loud: 'HEY' } });
    const logged = worker
      .err()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .find((line) => line.msg === 'tool.call');
    expect(logged).toMatchObject({ tool: 'shout', run_id: JSON.parse(ran.last).run, status: 'ok' });
    worker.child.kill('SIGINT');
    expect((await worker.ended).code).toBe(0);
  }, 120_000);

  it('lets a running call end at Ctrl-C, and takes no other', async () => {
    const path = await file(
      'slow.mjs',
      `import { defineTool } from 'proctor';
       import { z } from 'zod';
       export const tools = [defineTool({
         name: 'slow', description: 'x', parameters: z.object({}), effect: 'read',
         handler: async () => {
           process.stderr.write('slow runs\\n');
           await new Promise((resolve) => setTimeout(resolve, 1500));
           return 'done in spite of it';
         },
       })];`,
    );
    const worker = cli.start(['worker', path, '--dir', dir, '--log-level', 'silent']);
    await worker.says('serves slow.');
    const running = cli.run(['submit', '-', '--wait', '--json', '--dir', dir], { input: task('slow', {}) });
    await worker.says('slow runs');
    worker.child.kill('SIGINT');
    await worker.says('Stopping: running calls may end');
    expect(JSON.parse((await running).last)).toMatchObject({ status: 'completed', answer: 'done in spite of it' });
    const { code, err } = await worker.ended;
    expect(code).toBe(0);
    expect(err).toContain('Stopped.');
  }, 120_000);

  it('serves the example', async () => {
    const worker = cli.start(['worker', 'examples/workers/orders.ts', '--dir', dir, '--json']);
    await worker.says('"tools":["find_order","refund_order"]');
    const ran = await cli.run(['submit', '-', '--wait', '--json', '--dir', dir], {
      input: task('find_order', { order: 'A-17' }),
    });
    expect(JSON.parse(ran.last)).toMatchObject({ answer: { customer: 'Ada', total: 49.9 } });
    worker.child.kill('SIGTERM');
    expect((await worker.ended).code).toBe(0);
  }, 120_000);

  it('says in one line what is wrong with a file, and exits 1', async () => {
    const none = await file('none.mjs', 'export const tool = 1;');
    const odd = await file('odd.mjs', 'export const tools = [{ name: "x" }];');
    const broken = await file('broken.ts', 'export default [;');
    const faulty = await file(
      'faulty.ts',
      `import { defineTool } from 'proctor';
       import { z } from 'zod';
       const handler = () => null;
       export default [
         defineTool({ name: 'a b', description: 'x', parameters: z.object({}), handler }),
         defineTool({ name: 'c', description: 'x', parameters: z.object({}), timeoutMs: 1, handler }),
       ];`,
    );
    const cases: [string, RegExp][] = [
      [join(folder.dir, 'missing.ts'), /there is no such file/],
      [none, /it exports no tools: write `export default/],
      [odd, /the export at index 0 is no tool/],
      [broken, /it cannot be loaded: /],
      [faulty, /tool "a b": name: .*tool "c": timeoutMs: /],
    ];
    for (const [path, said] of cases) {
      const { code, out, err } = await cli.run(['worker', path, '--dir', dir, '--log-level', 'silent']);
      expect([code, out], err).toEqual([1, '']);
      expect(err).toMatch(said);
      expect(err.trim().split('\n')).toHaveLength(1);
    }
  }, 120_000);

  it('exits 3 when nothing runs in the folder', async () => {
    const { code, err } = await cli.run(['worker', 'examples/workers/orders.ts', '--dir', join(folder.dir, 'empty')]);
    expect(code).toBe(3);
    expect(err).toContain('proctor: nothing runs in');
  }, 120_000);
});
