import { chmod, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startNatsServer } from '../support/nats-server.ts';
import { builtCli, type Cli, type Folder, temporaryFolder } from './support.ts';

/** `up --once FILE`: the last line of stdout is always one JSON object. */

let cli: Cli;
let folder: Folder;

beforeAll(async () => {
  cli = await builtCli();
  folder = await temporaryFolder();
}, 120_000);
afterAll(async () => {
  await cli.clean();
  await folder.remove();
});

const once = (file: string, ...more: string[]) =>
  cli.run(['up', '--dir', join(folder.dir, 'data'), '--port', '0', '--once', file, ...more]);

async function taskFile(name: string, content: unknown): Promise<string> {
  const path = join(folder.dir, name);
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

describe('up --once', () => {
  it('runs the first example with real tools on real files, and the same again the second time', async () => {
    const first = await once('examples/tasks/first.json');
    expect(first.code, first.err).toBe(0);
    expect(first.out.trimEnd().split('\n')).toHaveLength(1);
    const outcome = JSON.parse(first.last) as Record<string, unknown>;
    expect(Object.keys(outcome)).toEqual(['status', 'outcome', 'run', 'steps', 'toolsUsed', 'answer', 'code']);
    expect(outcome).toMatchObject({
      status: 'completed',
      outcome: 'success',
      code: 'completed',
      steps: 6,
      toolsUsed: ['list_files', 'read_file', 'search_files', 'json_query', 'calculate'],
      answer: { orders: 5, pieces: 23, revenue_eur: 2324.5, average_order_eur: 464.9 },
    });
    expect(first.err).toContain('step 6');
    expect(first.err).toMatch(
      /^policy: version 1, from examples\/policies\/first\.yaml, put into force now as there was none; /m,
    );
    const second = await once('examples/tasks/first.json');
    expect(second.err).toMatch(/^policy: version 1, from examples\/policies\/first\.yaml; /m);
    expect((JSON.parse(second.last) as typeof outcome).answer).toEqual(outcome.answer);
    expect((JSON.parse(second.last) as typeof outcome).run).not.toBe(outcome.run);
  }, 120_000);

  it('runs the parallel example', async () => {
    const { code, last } = await once('examples/tasks/parallel.json');
    expect(code).toBe(0);
    expect(JSON.parse(last)).toMatchObject({ steps: 3, answer: { days_in_four_years: 1460.97, lines_about_lamps: 3 } });
  }, 120_000);

  it('exits 1 when the run fails, and says why', async () => {
    const { code, last, err } = await once('examples/tasks/fails.json');
    expect(code).toBe(1);
    expect(JSON.parse(last)).toMatchObject({ status: 'failed', outcome: 'failure', code: 'error', steps: 3 });
    expect(err).toMatch(/proctor: .*no-such-file\.json/);
  }, 120_000);

  it('exits 1 for a file that is missing or is not JSON, before anything starts', async () => {
    for (const [file, text] of [
      [join(folder.dir, 'none.json'), 'there is no file'],
      [await taskFile('broken.json', '{"input":'), 'is not JSON'],
    ] as const) {
      const { code, last, err } = await once(file);
      expect(code).toBe(1);
      expect(JSON.parse(last)).toMatchObject({ status: 'failed', outcome: 'failure', run: null, code: 'invalid_task' });
      expect(err).toContain(text);
      expect(err).toContain(file);
    }
    const made = await stat(join(folder.dir, 'data-none')).catch(() => null);
    expect(made).toBeNull();
  });

  it('exits 1 for a task that is refused, naming the field', async () => {
    const file = await taskFile('refused.json', { input: 1, plan: { steps: [{ id: 'a', tool: 'x', after: ['b'] }] } });
    const { code, last, err } = await once(file);
    expect(code).toBe(1);
    expect(JSON.parse(last)).toMatchObject({ code: 'invalid_task', error: { field: 'plan.steps.0' } });
    expect(err).toContain('depends on "b"');
    const other = await once(file, '--agent', 'nobody');
    expect(JSON.parse(other.last)).toMatchObject({ code: 'invalid_task', error: { code: 'unknown_agent' } });
  }, 120_000);

  it('exits 1 when there is no server to start', async () => {
    const path = await taskFile('nats-server', 'no program');
    await chmod(path, 0o600);
    const args = ['up', '--dir', join(folder.dir, 'other'), '--once', 'examples/tasks/first.json'];
    const { code, last, err } = await cli.run(args, { env: { PROCTOR_NATS_SERVER: path } });
    expect(code).toBe(1);
    expect(JSON.parse(last)).toMatchObject({ status: 'failed', code: 'no_nats_server' });
    expect(err).toContain('PROCTOR_NATS_SERVER');
  });

  it('uses the server of NATS_URL and leaves it running', async () => {
    const server = await startNatsServer();
    try {
      const env = { NATS_URL: server.url };
      const args = ['up', '--prefix', 'mine', '--once', 'examples/tasks/parallel.json'];
      const { code, last, err } = await cli.run(args, { env });
      expect(code, err).toBe(0);
      // What others run is left alone.
      expect(err).toMatch(
        /^policy: none was applied, so every agent only reads, until: .* policy apply FILE --why TEXT$/m,
      );
      const { run } = JSON.parse(last) as { run: string };
      const ps = await cli.run(['ps', '--prefix', 'mine'], { env });
      expect([ps.code, ps.err]).toEqual([3, expect.stringContaining('no node answers')]);
      expect(run).toMatch(/^\d{8}-/);
    } finally {
      await server.stop();
    }
  }, 120_000);
});
