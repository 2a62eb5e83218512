import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/clock/system-clock.ts';
import { connectBus } from '../../src/app/connect.ts';
import { connectClient, connectOperator } from '../../src/app/connect-client.ts';
import { readConnection, readSeed, SILENT } from '../../src/app/local.ts';
import type { RunUpdate } from '../../src/client/watch.ts';
import { DecisionTrace } from '../../src/core/decision-trace.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { ToolDefinition } from '../../src/core/tool.ts';
import { serveTools } from '../../src/worker/serve-tools.ts';
import type { WorkerTool } from '../../src/worker/worker-tool.ts';
import {
  builtCli,
  type Cli,
  eventually,
  type Folder,
  loginUrl,
  type Ran,
  type Running,
  temporaryFolder,
} from './support.ts';

/** All commands against one `proctor up`, as a person would use them. */

const root = fileURLToPath(new URL('../..', import.meta.url));
const SUM = { input: '2 + 3', plan: { steps: [{ id: 'sum', tool: 'calculate', args: { expression: '2 + 3' } }] } };

let cli: Cli;
let folder: Folder;
let dir: string;
let up: Running;

beforeAll(async () => {
  cli = await builtCli();
  folder = await temporaryFolder();
  dir = join(folder.dir, 'data');
  up = cli.start(['up', '--dir', dir, '--port', '0', '--user', 'default', '--user', 'alice@example.com']);
  await up.says('Ctrl-C');
}, 120_000);
afterAll(async () => {
  await cli.clean();
  await folder.remove();
});

const proctor = (...args: string[]): Promise<Ran> => cli.run([...args, '--dir', dir]);

async function file(name: string, content: unknown): Promise<string> {
  const path = join(folder.dir, name);
  await writeFile(path, JSON.stringify(content));
  return path;
}

async function submitted(task: unknown, ...more: string[]): Promise<string> {
  const { code, out, err } = await proctor('submit', await file('task.json', task), ...more);
  expect(code, err).toBe(0);
  expect(out).toMatch(/^\d{8}-[A-Za-z0-9-]+\n$/);
  return out.trim();
}

interface JournalLine {
  n: number;
  events: { type: string }[];
}

function parsed<T>(text: string): T {
  return JSON.parse(text) as T;
}

interface Status {
  run: string;
  agent: string;
  user: string;
  state: string;
}

const list = async (...args: string[]): Promise<Status[]> =>
  JSON.parse((await proctor('ps', '--json', ...args)).last) as Status[];

/** A run that waits until 2090, for orders. */
const parked = () => submitted({ ...SUM, not_before: '2090-01-01T00:00:00Z' });

const inState = (run: string, state: string) =>
  eventually(`run ${run} in ${state}`, async () => (await list('--state', state)).some((one) => one.run === run));

/** A worker whose tool may not be repeated, and never answers. */
async function lostMail(): Promise<{ calls(): number; stop(): Promise<void> }> {
  const connection = await readConnection(dir);
  if (connection === null) throw new Error('nothing runs');
  const nkeySeed = await readSeed(join(dir, connection.credentials.worker));
  const subjects = new Subjects();
  const address = { url: connection.url, nkeySeed, inboxPrefix: subjects.workerInbox };
  const bus = await connectBus(address, 'worker', subjects, SILENT);
  const definition = { name: 'send_mail', description: 'x', parameters: { type: 'object' }, timeout_ms: 300 };
  let calls = 0;
  const handler: WorkerTool['handler'] = (_args, { signal }) => {
    calls++;
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('too late'))));
  };
  const tools = [{ definition: ToolDefinition.parse(definition), handler }];
  const worker = await serveTools({ bus, subjects, clock: systemClock(), log: SILENT, id: 'w1', tools });
  return {
    calls: () => calls,
    stop: async () => {
      await worker.stop();
      await bus.close();
    },
  };
}

describe('proctor up', () => {
  it('says what is up, and shows no password where no person watches', async () => {
    const out = up.out();
    expect(out).toMatch(/^Proctor \d+\.\d+\.\d+ is up\.$/m);
    expect(out).toMatch(/^server {2}nats:\/\/127\.0\.0\.1:\d+, nats-server [\d.]+, process \d+$/m);
    expect(out).toContain(dir);
    expect(out).toMatch(/^node {4}\S+-[0-9a-f]{8}$/m);
    expect(out).toMatch(/^agents {2}plan$/m);
    expect(out).toMatch(/^tools .*read_file.*calculate/m);
    expect(out).toContain('submit examples/tasks/first.json');
    const { password } = new URL(await loginUrl(dir));
    expect(out + up.err()).not.toContain(password);
    // The line to copy gets the password from its file.
    const server = /nats pub --server ("[^ ]*.*@127\.0\.0\.1:\d+")/.exec(out)?.[1];
    const shell = await promisify(execFile)('sh', ['-c', `printf %s ${server}`], { cwd: root });
    expect(shell.stdout).toBe(await loginUrl(dir));
  });

  it('writes logs to stderr as JSON lines', async () => {
    const lines = up
      .err()
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text) as { msg: string });
    expect(lines.map((one) => one.msg)).toContain('node.started');
  });

  it('is told about by a second one in the same folder, which exits 1', async () => {
    const second = await proctor('up', '--port', '0');
    expect([second.code, second.out]).toEqual([1, '']);
    expect(second.err).toContain(`process ${up.child.pid} holds it since`);
    expect(second.err).toMatch(/and serves nats:\/\/127\.0\.0\.1:\d+/);
  });

  it('is used by a second one that is to run one task', async () => {
    const { code, last, err } = await proctor('up', '--once', 'examples/tasks/parallel.json');
    expect(code, err).toBe(0);
    expect(JSON.parse(last)).toMatchObject({ status: 'completed', answer: { lines_about_lamps: 3 } });
    expect(err).toContain(`process ${up.child.pid} holds it`);
  });
});

describe('a task', () => {
  it('is submitted, waited for, and shown with its answer', async () => {
    const waited = await proctor('submit', await file('task.json', SUM), '--wait', '--json');
    expect(waited.code).toBe(0);
    const { run, answer } = JSON.parse(waited.last) as { run: string; answer: unknown };
    expect(answer).toEqual({ result: 5 });
    const shown = await proctor('result', run);
    expect([shown.code, shown.err]).toEqual([0, '']);
    expect(shown.out).toMatch(/^status {2}completed$/m);
    const id = await submitted(SUM);
    expect(JSON.parse((await proctor('result', id, '--wait', '--json')).last)).toMatchObject({ run: id, answer });
  });

  it('comes from stdin, as another user', async () => {
    const args = ['submit', '-', '--dir', dir, '--user', 'alice@example.com', '--wait', '--json'];
    const { code, last } = await cli.run(args, { input: JSON.stringify(SUM) });
    expect(code).toBe(0);
    expect(JSON.parse(last)).toMatchObject({ user: 'alice@example.com', status: 'completed' });
  });

  it.each([
    ['legacy-nats.mjs', '"stream":"PROCTOR_TASKS"'],
    ['tcp.mjs', 'published'],
    ['nats-io.ts', '"status":"completed"'],
  ])('is published by examples/publish/%s', async (example, said) => {
    const before = (await list()).length;
    const task = await file('published.json', SUM);
    const loader = example.endsWith('.ts') ? ['--import', './test/support/typescript.mjs'] : [];
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [...loader, join('examples/publish', example), task],
      { cwd: root, env: { NATS_URL: await loginUrl(dir) } },
    );
    expect(stdout).toContain(said);
    const runs = await eventually('one more run', async () => {
      const now = await list('--state', 'completed');
      return now.length > 0 && (await list()).length === before + 1 && now;
    });
    const run = runs.at(-1)?.run ?? '';
    expect(JSON.parse((await proctor('result', run, '--wait', '--json')).last)).toMatchObject({
      answer: { result: 5 },
    });
  });

  it('that is refused exits 1 with the fault, and stands in the dead letters', async () => {
    const bad = await proctor('submit', await file('bad.json', { ...SUM, limits: { steps: 0 } }));
    expect([bad.code, bad.out]).toEqual([1, '']);
    expect(bad.err).toMatch(/^proctor: limits\.steps: .*\n$/);
    const nobody = await proctor('submit', await file('task.json', SUM), '--agent', 'nobody');
    expect(nobody.err).toMatch(/^proctor: agent: no agent named "nobody" .* plan\. .*\n$/);
    const letters = JSON.parse((await proctor('deadletter', 'ls', '--json')).last) as { id: string; code: string }[];
    expect(letters.map((letter) => letter.code)).toEqual(['invalid_task', 'unknown_agent']);
    const id = letters[1]?.id ?? '';
    const shown = await proctor('deadletter', 'show', id);
    expect(shown.out).toContain('unknown_agent');
    expect(shown.out).toContain('"expression":"2 + 3"');
    expect((await proctor('deadletter', 'ls')).out).toContain(id);
    const retried = await proctor('deadletter', 'retry', id);
    expect([retried.code, retried.out]).toEqual([0, expect.stringContaining('proctor.tasks.nobody')]);
    const unknown = await proctor('deadletter', 'show', 'task.none');
    expect([unknown.code, unknown.out]).toEqual([1, '']);
    expect(unknown.err).toContain('there is no dead letter task.none');
  });

  it('cannot be submitted by a user without a login', async () => {
    const { code, err } = await proctor('submit', await file('task.json', SUM), '--user', 'mallory');
    expect(code).toBe(1);
    expect(err).toMatch(
      /^proctor: user "mallory" may not submit here; these may: default, alice@example\.com\. .*--user mallory/,
    );
  });
});

describe('the client library', () => {
  it('finds the Proctor of a folder, hands in a task and watches it', async () => {
    const client = await connectClient({ dir, user: 'alice@example.com' });
    const { run } = await client.submit(SUM, 'plan');
    const seen: RunUpdate[] = [];
    for await (const update of client.watch(run)) seen.push(update);
    expect(seen.flatMap((one) => (one.type === 'step' ? [one.step.action] : []))).toEqual([
      'tool_call',
      'final_answer',
    ]);
    expect(seen.at(-1)).toMatchObject({ type: 'ended', result: { run, answer: { result: 5 } } });
    expect((await client.trace(run)).steps[0]?.action).toMatchObject({ tool: 'calculate' });
    await client.close();
    await expect(connectClient({ dir, user: 'mallory' })).rejects.toMatchObject({ code: 'no_credential' });
  });

  it('takes an address with a login, and an operator sees the same run', async () => {
    const client = await connectClient({ nats: { url: await loginUrl(dir) } });
    const { run } = await client.submit(SUM, 'plan');
    expect((await client.result(run, { wait: true })).status).toBe('completed');
    await client.close();
    const operator = await connectOperator({ dir, by: 'olga' });
    expect(await operator.run(run)).toMatchObject({ status: { run, user: 'default' } });
    await operator.close();
  });
});

describe('a run', () => {
  it('that failed makes submit --wait and result exit 1, and show and trace tell why', async () => {
    const { code, last } = await proctor('submit', 'examples/tasks/fails.json', '--wait', '--json');
    expect(code).toBe(1);
    const { run } = JSON.parse(last) as { run: string };
    const result = await proctor('result', run);
    expect(result.code).toBe(1);
    expect(result.out).toMatch(/^error .*no-such-file\.json/m);
    const shown = await proctor('show', run);
    expect(shown.code).toBe(0);
    expect(shown.out).toMatch(/^state +failed\.error/m);
    expect(shown.out).toMatch(/^last error +step_failed: .*no-such-file\.json/m);
    expect(shown.out).toMatch(/^failing steps in a row +2 +3$/m);
    const details = JSON.parse((await proctor('show', run, '--json')).last) as Record<string, unknown>;
    expect(details).toMatchObject({
      status: { run, state: 'failed.error' },
      last_error: { error: { code: 'step_failed' } },
    });

    const trace = await proctor('trace', run);
    expect(trace.out.match(/^step \d$/gm)).toEqual(['step 1', 'step 2', 'step 3']);
    expect(trace.out).toMatch(/^ +0 {2}[\d:.]+ {2}\+0 ms +accepted: agent plan, user default/m);
    expect(trace.out).toMatch(/^ +1 {2}[\d:.]+ {2}\+\d+ ms +· claimed by \S+-[0-9a-f]{8}/m);
    expect(trace.out).toMatch(/2-0 {2}read_file \[orders\] .*orders\.json.*\n +ok .*\(entry 3\)/);
    expect(trace.out).toMatch(/failed not_found .*no-such-file\.json/);
    expect(trace.out).toMatch(/^\d+ entries over .*, 3 decisions, 1 claim by 1 node$/m);

    const entries = (await proctor('trace', run, '--entries')).out
      .trimEnd()
      .split('\n')
      .map(parsed<JournalLine>);
    expect(entries.map((entry) => entry.n)).toEqual(entries.map((_, i) => i));
    expect(entries[0]?.events[0]?.type).toBe('accepted');
    for (const as of [[], ['--user', 'default']]) {
      const json = DecisionTrace.parse(JSON.parse((await proctor('trace', run, '--json', ...as)).last));
      expect(json.steps.map((step) => [step.step, step.action.tool, step.observation.status])).toEqual([
        [1, 'read_file', 'ok'],
        [2, 'read_file', 'error'],
        [3, null, 'error'],
      ]);
      expect(json.outcome).toMatchObject({ status: 'failed', code: 'error', state: 'failed.error' });
    }
    const other = await proctor('trace', run, '--json', '--user', 'alice@example.com');
    expect([other.code, other.err]).toEqual([1, expect.stringContaining('there is no run')]);
  }, 90_000);

  it('is paused, resumed and cancelled, and says what it waits for', async () => {
    const run = await parked();
    await inState(run, 'idle.scheduled');
    expect((await proctor('show', run)).out).toMatch(/^waits for +its moment, 2090-01-01/m);
    expect((await proctor('result', run)).err).toMatch(
      /^proctor: run .* has no result yet: it is idle\.scheduled\. .*--wait/,
    );
    const paused = await proctor('pause', run, '--why', 'look first', '--by', 'olga');
    expect([paused.code, paused.out]).toEqual([0, expect.stringContaining(run)]);
    await inState(run, 'waiting.paused');
    expect((await proctor('show', run)).out).toMatch(new RegExp(`^unblock .* resume ${run}$`, 'm'));
    expect((await proctor('resume', run, '--json')).last).toContain('"ok":true');
    await inState(run, 'idle.scheduled');
    expect((await proctor('cancel', run, '--why', 'enough')).code).toBe(0);
    const result = await proctor('result', run, '--wait', '--json');
    expect([result.code, JSON.parse(result.last)]).toEqual([1, expect.objectContaining({ code: 'cancelled' })]);
    expect((await proctor('trace', run)).out).toMatch(/pause by olga look first/);
    const again = await proctor('cancel', run);
    expect([again.code, again.err]).toEqual([1, expect.stringContaining('has ended')]);
    for (const order of ['retry', 'fail']) {
      expect((await proctor('quarantine', order, run)).err).toMatch(/^proctor: run .* is not held/);
    }
  }, 90_000);

  it('that nobody knows the outcome of is repeated and then resolved by a person', async () => {
    const worker = await lostMail();
    try {
      const run = await submitted({ input: 'write', plan: { steps: [{ id: 'mail', tool: 'send_mail' }] } });
      await inState(run, 'waiting.person');
      const shown = (await proctor('show', run)).out;
      expect(shown).toMatch(/^waits for +nobody knows whether send_mail took effect/m);
      const call = /^unblock +a person: .* resolve \S+ (\d+-\d+) --done\|--repeat\|--fail$/m.exec(shown)?.[1] ?? '';
      expect(shown).toMatch(new RegExp(`^${call} +send_mail +person +mail +must not be repeated$`, 'm'));
      expect((await proctor('resolve', run, '99-0', '--repeat')).err).toContain(
        `these calls wait for a person: ${call}`,
      );
      expect((await proctor('resolve', run, call, '--repeat', '--by', 'olga', '--why', 'not sent')).code).toBe(0);
      const unknown = async () => (await proctor('trace', run)).out.match(/outcome unknown: /g)?.length === 2;
      await eventually('the second loss', unknown);
      expect(worker.calls()).toBe(2);
      await inState(run, 'waiting.person');
      const done = await proctor('resolve', run, call, '--done', '--result', '{"sent":true}', '--json');
      expect(JSON.parse(done.last)).toMatchObject({ ok: true, run, state: 'waiting.person' });
      const result = await proctor('result', run, '--wait', '--json');
      expect(JSON.parse(result.last)).toMatchObject({ status: 'completed', answer: { sent: true } });
      const trace = (await proctor('trace', run)).out;
      expect(trace).toMatch(/olga says: repeat not sent/);
    } finally {
      await worker.stop();
    }
  }, 120_000);

  it('is listed, with filters, the last change at the end', async () => {
    const run = await submitted(SUM, '--user', 'alice@example.com');
    await proctor('result', run, '--wait');
    await inState(run, 'completed');
    const all = await list();
    expect(all.length).toBeGreaterThan(3);
    const mine = await list('--user', 'alice@example.com');
    expect(mine.at(-1)).toMatchObject({ run, agent: 'plan', state: 'completed.answered' });
    expect(new Set(mine.map((one) => one.user))).toEqual(new Set(['alice@example.com']));
    expect((await list('--limit', '2')).map((one) => one.run)).toEqual(all.slice(-2).map((one) => one.run));
    expect(await list('--agent', 'nobody', '--state', 'completed')).toEqual([]);
    const plain = (await proctor('ps', '--limit', '1')).out.trimEnd().split('\n');
    expect(plain[0]).toMatch(/^RUN +AGENT +USER +STATE +STEP +PROGRESS +AGE$/);
    expect(plain).toHaveLength(2);
    expect((await proctor('ps', '--user', 'nobody')).out).toMatch(/^No run matches\. Submit a task: .*submit/);
  });

  it('that does not exist exits 1 and says where to look', async () => {
    for (const command of ['show', 'trace', 'result', 'cancel', 'pause', 'resume']) {
      const { code, out, err } = await proctor(command, '20200101-none-1');
      expect([code, out], command).toEqual([1, '']);
      expect(err, command).toMatch(/^proctor: there is no run 20200101-none-1\. List the runs with: .* ps\.\n$/);
    }
    const resolve = await proctor('resolve', '20200101-none-1', '1-0', '--repeat');
    expect([resolve.code, resolve.err]).toEqual([1, expect.stringContaining('there is no run')]);
  });
});

describe('doctor and version', () => {
  it('find nothing wrong, and name the server', async () => {
    const { code, out } = await proctor('doctor');
    expect(code).toBe(0);
    expect(out).not.toMatch(/FAIL/);
    for (const what of [
      'data folder',
      'disk',
      'server',
      'JetStream',
      'max payload',
      'streams',
      'clock',
      'node',
      'rights',
      'policy',
    ]) {
      expect(out).toMatch(new RegExp(`^(?:ok {2}|warn) {2}${what}: `, 'm'));
    }
    expect(JSON.parse((await proctor('version', '--json')).last)).toMatchObject({
      server: expect.stringMatching(/^2\./),
    });
  });

  it('find a key that others can read', async () => {
    const key = join(dir, 'keys', 'operator.nk');
    await promisify(execFile)('chmod', ['644', key]);
    const { code, out } = await proctor('doctor');
    expect(code).toBe(1);
    expect(out).toMatch(/^FAIL {2}data folder: others can read .*operator\.nk\. Type: chmod/m);
    await promisify(execFile)('chmod', ['600', key]);
  });
});

describe('Ctrl-C', () => {
  it('stops everything once, and the next start finds the runs again', async () => {
    const run = await parked();
    await inState(run, 'idle.scheduled');
    up.child.kill('SIGINT');
    const { code, err } = await up.ended;
    expect(code).toBe(0);
    expect(err).toMatch(/^Stopping: no run is in work\./m);
    expect(err).toMatch(/^Stopped\.$/m);
    await expect(readFile(join(dir, 'connection.json'))).rejects.toThrow('ENOENT');
    expect((await proctor('ps')).code).toBe(3);
    const again = cli.start(['up', '--dir', dir, '--port', '0', '--json', '--log-level', 'silent']);
    await again.says('"node":"');
    expect(JSON.parse(again.out())).toMatchObject({ dir, agents: ['plan'], users: ['default'] });
    expect((await list('--state', 'idle.scheduled')).map((one) => one.run)).toContain(run);
    again.child.kill('SIGTERM');
    expect((await again.ended).code).toBe(0);
    expect((await again.ended).err).not.toContain('"level"');
  });

  it('a second time forces it: exit 130, and no server stays behind', async () => {
    const task = await file('slow.json', {
      input: 1,
      plan: { steps: [{ id: 'a', tool: 'search_files', args: { query: 'x' } }] },
    });
    const running = cli.start(['up', '--dir', dir, '--port', '0']);
    await running.says('Ctrl-C');
    const pid = Number(/nats-server [\d.]+, process (\d+)/.exec(running.out())?.[1]);
    expect(await proctor('submit', task)).toMatchObject({ code: 0 });
    // Stopped, the server keeps the first one waiting for ever.
    process.kill(pid, 'SIGSTOP');
    running.child.kill('SIGINT');
    await running.says('Stopping:');
    const asked = performance.now();
    await eventually('more than the time of one Ctrl-C', async () => performance.now() - asked > 600);
    running.child.kill('SIGINT');
    expect((await running.ended).code).toBe(130);
    process.kill(pid, 'SIGCONT');
    await eventually('the end of the server', async () => {
      try {
        process.kill(pid, 0);
        return false;
      } catch {
        return true;
      }
    });
  });
});
