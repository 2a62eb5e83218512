import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { NatsBus } from '../../src/adapters/nats/bus.ts';
import { EXIT_BLOCKED } from '../../src/adapters/watchdog/watchdog.ts';
import { connectBus } from '../../src/app.ts';
import { type Client, createClient } from '../../src/client/client.ts';
import { createOperator } from '../../src/client/operator.ts';
import type { RunResult } from '../../src/core/result.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { eventually } from '../cli/support.ts';
import { silent } from '../runtime/support.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';

/** Nodes in processes of their own whose event loop is blocked, seen from outside. */

vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 });

const LOADER = new URL('../support/typescript.mjs', import.meta.url).href;
const FIXTURE = fileURLToPath(new URL('fixtures/node.ts', import.meta.url));
let subjects: Subjects;
let server: NatsServer;
let bus: NatsBus;
let client: Client;

interface Line {
  msg: string;
  level: number;
  [field: string]: unknown;
}

/** The function that did not come back, and where it is: not what of Node.js it called at that moment. */
const innermost = (line: Line | undefined) =>
  (line?.stack as string[] | undefined)?.find((frame) => /\.ts:\d/.test(frame)) ?? '';

interface Node {
  child: ChildProcess;
  lines(msg?: string): Line[];
  ended: Promise<number | NodeJS.Signals | null>;
}

const nodes = new Set<Node>();

beforeAll(async () => {
  server = await startNatsServer();
});

// What blocked the nodes of one test must not come to those of the next.
let clusters = 0;
beforeEach(async () => {
  subjects = new Subjects(`cluster${++clusters}`);
  bus = await connectBus({ url: server.url }, 'test', subjects, silent);
  client = createClient({ bus, subjects, user: 'default' });
});

afterEach(async () => {
  await bus.close();
  for (const node of nodes) node.child.kill('SIGKILL');
  await Promise.all([...nodes].map((node) => node.ended));
});

afterAll(async () => {
  await server.stop();
});

async function start(settings: Record<string, number>): Promise<Node> {
  const args = [
    '--import',
    LOADER,
    FIXTURE,
    server.url,
    subjects.prefix,
    JSON.stringify({ lease_ms: 1_000, ...settings }),
  ];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let err = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? signal));
  });
  const parsed = () => err.split('\n').flatMap((text) => (text.startsWith('{') ? [JSON.parse(text) as Line] : []));
  const node: Node = {
    child,
    ended,
    lines: (msg) => parsed().filter((line) => msg === undefined || line.msg === msg),
  };
  nodes.add(node);
  void ended.then(() => nodes.delete(node));
  await new Promise<void>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => text.includes('up') && resolve());
    void ended.then((how) => reject(new Error(`the node ended (${how}) before it was up: ${err}`)));
  });
  return node;
}

const plan = (how: string) => ({ steps: [{ id: 'a', tool: 'dig', args: { how } }] });

describe('a blocked event loop', () => {
  it('is found while it lasts: the run, what it did, and the function that does not come back', async () => {
    const node = await start({ block_warn_ms: 300, block_exit_ms: 0 });
    const { run } = await client.submit({ input: 'spin 3000' }, 'thinker');
    await eventually('it is said', async () => node.lines('node.blocked').length > 0);
    expect(node.lines('node.unblocked')).toEqual([]);
    const [found] = node.lines('node.blocked');
    expect(found).toMatchObject({ level: 40, run_id: run, agent: 'thinker', doing: 'model blocking' });
    expect(innermost(found)).toMatch(/spinInTheWay .*fixtures\/node\.ts/);

    expect((await client.result(run, { wait: true }))?.status).toBe('completed');
    await eventually('the end of it is said', async () => node.lines('node.unblocked').length > 0);
    expect(node.lines('node.unblocked')).toMatchObject([{ run_id: run, doing: 'model blocking' }]);
    const [report] = (await createOperator({ bus, subjects, by: 'test' }).health()).nodes;
    expect(report?.blocked).toMatchObject({ run_id: run, agent: 'thinker', doing: 'model blocking' });
  });

  it('behind an await is one of few runs at first, and told apart from then on', async () => {
    const node = await start({ block_warn_ms: 300, block_exit_ms: 0 });
    const naps = Array.from({ length: 30 }, (_, i) => ({
      id: `n${i}`,
      tool: 'nap',
      after: i === 0 ? [] : [`n${i - 1}`],
    }));
    const others = await Promise.all(
      Array.from({ length: 3 }, () => client.submit({ input: 'x', plan: { steps: naps } }, 'plan')),
    );
    const blocked: string[] = [];
    for (const times of [1, 2]) {
      const { run } = await client.submit({ input: 'x', plan: plan('later 1200') }, 'plan');
      blocked.push(run);
      await eventually('it is said', async () => node.lines('node.unblocked').length === times);
    }
    const [first, second] = node.lines('node.blocked');
    expect(first?.maybe).toContain(blocked[0]);
    expect(innermost(first)).toMatch(/spinInTheWay .*fixtures\/node\.ts/);
    expect(second).toMatchObject({ run_id: blocked[1], agent: 'plan', doing: 'tool dig' });
    expect(second).not.toHaveProperty('maybe');
    for (const { run } of others) await client.result(run, { wait: true });
  });

  it('is named by what was written down before, where native code lets nobody look', async () => {
    const node = await start({ block_warn_ms: 300, block_exit_ms: 0 });
    const { run } = await client.submit({ input: 'x', plan: plan('native 1500') }, 'plan');
    await eventually('it is said', async () => node.lines('node.unblocked').length > 0);
    const [found] = node.lines('node.blocked');
    expect(found).toMatchObject({ run_id: run, agent: 'plan', doing: 'tool dig' });
    expect(found).not.toHaveProperty('stack');
  });

  it('is none while the whole process is stopped', async () => {
    const node = await start({ block_warn_ms: 300, block_exit_ms: 1_000 });
    node.child.kill('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    node.child.kill('SIGCONT');
    const { run } = await client.submit({ input: 'fine' }, 'thinker');
    expect((await client.result(run, { wait: true }))?.status).toBe('completed');
    expect(node.lines('node.blocked')).toEqual([]);
  });

  it.each([
    ['pattern', EXIT_BLOCKED],
    ['native 60000', 'SIGKILL'],
  ])('that lasts for leases ends the process, with a last word: %s, %s', async (how, exit) => {
    const node = await start({ block_warn_ms: 200, block_exit_ms: 1_500 });
    const { run } = await client.submit({ input: how }, 'thinker');
    expect(await node.ended).toBe(exit);
    expect(node.lines().at(-1)).toMatchObject({ level: 50, msg: 'node.blocked_for_good', run_id: run });
  });
});

describe('a run that blocks every node it lands on', () => {
  it('ends crash_limit, and the runs beside it go on', async () => {
    let running = true;
    const settings = { block_warn_ms: 200, block_exit_ms: 1_500 };
    const exits: unknown[] = [];
    // What starts a process again when it ends, as containers do.
    const orchestrator = async () => {
      while (running) {
        const node = await start(settings);
        exits.push(await node.ended);
      }
    };
    const twice = Promise.allSettled([orchestrator(), orchestrator()]);
    const submit = (input: string) => client.submit({ input }, 'thinker');
    const poison = await submit('pattern');
    const innocent = await Promise.all(Array.from({ length: 6 }, () => submit('fine')));
    // Asked of the stream: nodes that are blocked answer nobody.
    const results = new Map<string, RunResult>();
    await eventually('all have ended', async () => {
      for await (const { data } of bus.scan(subjects.stream('RES'), `${subjects.prefix}.res.>`)) {
        const result = JSON.parse(data) as RunResult;
        results.set(result.run, result);
      }
      return [poison, ...innocent].every(({ run }) => results.has(run));
    });
    expect(results.get(poison.run)).toMatchObject({ status: 'failed', error: { code: 'crash_limit' } });
    for (const { run } of innocent) expect(results.get(run)?.status).toBe('completed');
    running = false;
    // Four claims without progress, and the fifth says so.
    expect(exits).toEqual([EXIT_BLOCKED, EXIT_BLOCKED, EXIT_BLOCKED, EXIT_BLOCKED]);
    for (const node of nodes) node.child.kill('SIGKILL');
    await twice;
  });
});
