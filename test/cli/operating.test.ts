import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { builtCli, type Cli, eventually, type Folder, type Ran, type Running, temporaryFolder } from './support.ts';

/** Watching, orders to many runs, and the state of the cluster, against one `proctor up`. Each command is a process. */

vi.setConfig({ testTimeout: 90_000 });

const SUM = { input: '2 + 3', plan: { steps: [{ id: 'sum', tool: 'calculate', args: { expression: '2 + 3' } }] } };

interface ToolRow {
  name: string;
}

let cli: Cli;
let folder: Folder;
let dir: string;
let up: Running;

beforeAll(async () => {
  cli = await builtCli();
  folder = await temporaryFolder();
  dir = join(folder.dir, 'data');
  up = cli.start(['up', '--dir', dir, '--port', '0', '--user', 'default', '--user', 'alice', '--name', 'one']);
  await up.says('Ctrl-C');
}, 120_000);
afterAll(async () => {
  await cli.clean();
  await folder.remove();
});

const proctor = (...args: string[]): Promise<Ran> => cli.run([...args, '--dir', dir]);

async function submitted(task: unknown, ...more: string[]): Promise<string> {
  const path = join(folder.dir, 'task.json');
  await writeFile(path, JSON.stringify(task));
  const { code, out, err } = await proctor('submit', path, ...more);
  expect(code, err).toBe(0);
  return out.trim();
}

const parked = (...more: string[]) => submitted({ ...SUM, not_before: '2090-01-01T00:00:00Z' }, ...more);

const stateOf = async (run: string): Promise<string> =>
  (JSON.parse((await proctor('show', run, '--json')).last) as { status: { state: string } }).status.state;

describe('proctor watch', () => {
  it('tells each step and the result in plain lines, and the same as JSON to a submitter', async () => {
    const run = await submitted(SUM, '--user', 'alice');
    const plain = await proctor('watch', run);
    expect([plain.code, plain.err]).toEqual([0, '']);
    expect(plain.out.match(/step \d+ {2}\w+/g)).toEqual(['step 1  tool_call', 'step 2  final_answer']);
    expect(plain.out).toMatch(/^status {2}completed$/m);
    const json = await proctor('watch', run, '--user', 'alice', '--json');
    const updates = json.out
      .trimEnd()
      .split('\n')
      .map((text) => JSON.parse(text) as { type: string });
    expect(updates.map((update) => update.type)).toEqual(['step', 'step', 'ended']);
    const other = await proctor('watch', run, '--user', 'default');
    expect([other.code, other.err]).toEqual([1, expect.stringContaining('there is no run')]);
  });

  it('ends with the run, failing when it failed', async () => {
    const run = await parked();
    const watching = cli.start(['watch', run, '--dir', dir]);
    await watching.says('idle.scheduled');
    expect((await proctor('cancel', run, '--why', 'enough')).code).toBe(0);
    const ended = await watching.ended;
    expect([ended.code, ended.out]).toEqual([1, expect.stringMatching(/^ended +cancelled/m)]);
  });

  it('is stopped by Ctrl-C, which leaves the run alone', async () => {
    const run = await parked();
    const watching = cli.start(['watch', run, '--dir', dir]);
    await watching.says('idle.scheduled');
    watching.child.kill('SIGINT');
    const { code, err } = await watching.ended;
    expect([code, err]).toEqual([130, expect.stringMatching(new RegExp(`^Stopped watching; run ${run} goes on\\.`))]);
    expect(await stateOf(run)).toBe('idle.scheduled');
  });
});

describe('proctor why', () => {
  it('says in one line what a run waits for and until when, to its submitter too', async () => {
    const run = await parked('--user', 'alice');
    await eventually('scheduled', async () => (await stateOf(run)) === 'idle.scheduled');
    const plain = await proctor('why', run);
    expect([plain.code, plain.err]).toEqual([0, '']);
    expect(plain.out).toMatch(/^.*2090-01-01.*\n$/);
    const json = JSON.parse((await proctor('why', run, '--user', 'alice', '--json')).last) as unknown;
    expect(json).toMatchObject({ run, state: 'idle.scheduled', until: Date.UTC(2090, 0, 1), orphaned: false });
    expect((await proctor('why', run, '--user', 'default')).code).toBe(1);
    await proctor('cancel', run);
  });
});

describe('an order to many runs', () => {
  it('shows what matches, and does it with --yes', async () => {
    const runs = [await parked('--user', 'alice'), await parked('--user', 'alice')];
    const other = await parked();
    for (const run of runs) await eventually('idle', async () => (await stateOf(run)) === 'idle.scheduled');
    const preview = await proctor('pause', '--user', 'alice', '--state', 'idle');
    expect(preview.code).toBe(0);
    expect(preview.out).toContain('This would pause 2 runs. Nothing was done: add --yes to do it.');
    expect(await stateOf(runs[0] ?? '')).toBe('idle.scheduled');
    const young = await proctor('cancel', '--user', 'alice', '--older-than', '1h');
    expect(young.out).toContain('No run matches');
    const paused = await proctor('pause', '--user', 'alice', '--state', 'idle', '--why', 'look', '--yes', '--json');
    const answer = JSON.parse(paused.last) as { given: string[] };
    expect(new Set(answer.given)).toEqual(new Set(runs));
    for (const run of runs) await eventually('paused', async () => (await stateOf(run)) === 'waiting.paused');
    expect((await proctor('resume', '--agent', 'plan', '--yes')).last).toBe('resume: 2 of 2 runs.');
    expect((await proctor('cancel', '--agent', 'plan', '--why', 'enough', '--yes')).code).toBe(0);
    const result = await proctor('result', other, '--wait', '--json');
    expect(JSON.parse(result.last)).toMatchObject({ code: 'cancelled' });
  });

  it('retries failed runs, each as a new one that names the old', async () => {
    const run = await submitted({
      input: 'x',
      plan: { steps: [{ id: 'r', tool: 'read_file', args: { path: 'nowhere.txt' } }] },
    });
    expect((await proctor('result', run, '--wait')).code).toBe(1);
    const retried = await proctor('retry', run, '--why', 'once more', '--json');
    const fresh = JSON.parse(retried.last) as { run: string; retry_of: string };
    expect([retried.code, fresh.retry_of]).toEqual([0, run]);
    expect((JSON.parse((await proctor('show', fresh.run, '--json')).last) as { task: unknown }).task).toMatchObject({
      retry_of: run,
    });
    await proctor('result', fresh.run, '--wait');
    const preview = await proctor('retry', '--agent', 'plan', '--error', 'error');
    expect(preview.out).toMatch(/This would retry \d+ runs?\. Nothing was done/);
    const waiting = await parked();
    expect((await proctor('retry', waiting)).err).toMatch(/^proctor: run .* has not ended/);
  });

  it('retries dead letters by their code', async () => {
    await proctor('submit', join(folder.dir, 'task.json'), '--agent', 'nobody');
    const preview = await proctor('deadletter', 'retry', '--code', 'unknown_agent');
    expect(preview.out).toContain('This would retry 1 dead letters.');
    const done = await proctor('deadletter', 'retry', '--code', 'unknown_agent', '--yes');
    expect(done.out).toContain('published again on proctor.tasks.nobody');
  });

  it('lets a run that reached its limit go on with more', async () => {
    const steps = [1, 2, 3].map((n) => ({ id: `s${n}`, tool: 'current_time', after: n === 1 ? [] : [`s${n - 1}`] }));
    const run = await submitted({ input: 'x', plan: { steps }, limits: { steps: 2 } });
    expect((await proctor('result', run, '--wait')).code).toBe(1);
    const again = await proctor('continue', run, '--steps', '20', '--time', '5m', '--why', 'nearly there', '--json');
    expect([again.code, again.err]).toEqual([0, '']);
    const { run: fresh } = JSON.parse(again.last) as { run: string };
    expect(JSON.parse((await proctor('result', fresh, '--wait', '--json')).last)).toMatchObject({
      status: 'completed',
    });
  });
});

describe('the cluster', () => {
  it('is well, with its nodes and queues', async () => {
    const { code, out } = await proctor('health');
    expect([code, out]).toEqual([0, expect.stringContaining('All is well.')]);
    expect(out).toMatch(/^one +\S+ +\d+\.\d+\.\d+ +ready +\d+ +10 per agent +plan +\S+$/m);
    const json = JSON.parse((await proctor('health', '--json')).last) as { ok: boolean; queues: { name: string }[] };
    expect(json.ok).toBe(true);
    expect(json.queues.map(({ name }) => name)).toEqual(['tasks', 'inbox', 'agent:plan']);
  });

  it('has tools, listed and shown one by one', async () => {
    const { out } = await proctor('tools', 'ls');
    expect(out).toMatch(/^calculate +\S+ +node +read +low +yes/m);
    expect((await proctor('tools', 'show', 'calculate')).out).toMatch(/^parameters {2}\{/m);
    const worker = cli.start(['worker', 'examples/workers/orders.ts', '--dir', dir]);
    const listed = async (): Promise<ToolRow | undefined> => {
      const rows = JSON.parse((await proctor('tools', 'ls', '--json')).last) as ToolRow[];
      return rows.find((row) => row.name === 'find_order');
    };
    await eventually('the tool of the worker', listed);
    const plan = { steps: [{ id: 'o', tool: 'find_order', args: { order: 'A-17' } }] };
    const run = await submitted({ input: 'x', plan });
    expect((await proctor('result', run, '--wait')).code).toBe(0);
    expect(await listed()).toMatchObject({ from: 'worker', workers: 1, calls: 1, errors: 0, effect: 'read' });
    worker.child.kill('SIGTERM');
    await worker.ended;
    const none = await proctor('tools', 'show', 'nothing');
    expect([none.code, none.err]).toEqual([1, expect.stringContaining('no tool "nothing" is offered')]);
  });
});
