import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { trustAll } from '../../bench/support/trusting.ts';
import { systemClock } from '../../src/adapters/clock/system-clock.ts';
import { connectBus } from '../../src/app/connect.ts';
import type { NatsBus } from '../../src/app/local.ts';
import { createOperator } from '../../src/client/operator.ts';
import { decodeEntry } from '../../src/core/journal-entry.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { ToolDefinition } from '../../src/core/tool.ts';
import { serveTools, type Worker } from '../../src/worker/serve-tools.ts';
import { builtCli, type Cli, eventually, type Running } from '../cli/support.ts';
import { silent } from '../runtime/support.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';

/** Nodes as processes on one server, under load: restarted one after the other, and killed. */

vi.setConfig({ testTimeout: 180_000, hookTimeout: 120_000 });

/** Runs that are queued or in work at any moment of the restarts. */
const IN_FLIGHT = 60;
const NODES = 3;
const LEASE = '5s';
/** Each call takes this long, milliseconds. */
const CALL_MS = 40;
const STEPS = ['keyed', 'once', 'keyed', 'once', 'keyed', 'once'];

const subjects = new Subjects();
const nodes: Running[] = [];
/** How often the handler of each tool ran for each key. */
const effects = { keyed: new Map<string, number>(), once: new Map<string, number>() };

let cli: Cli;
let server: NatsServer;
let bus: NatsBus;
let worker: Worker;

const tool = (name: 'keyed' | 'once') => ({
  definition: ToolDefinition.parse({
    name,
    description: name,
    parameters: { type: 'object' },
    idempotent: name === 'keyed',
  }),
  handler: async (_args: unknown, { idempotencyKey }: { idempotencyKey: string }) => {
    effects[name].set(idempotencyKey, (effects[name].get(idempotencyKey) ?? 0) + 1);
    await new Promise((resolve) => setTimeout(resolve, CALL_MS));
    return name;
  },
  concurrency: 200,
});

async function startNode(): Promise<Running> {
  const args = ['supervisor', '--slots', '20', '--lease', LEASE, '--log-level', 'warn'];
  const node = cli.start(args, { env: { NATS_URL: server.url } });
  await node.says('has joined');
  return node;
}

async function submit(user: string, tools: string[]): Promise<void> {
  const steps = tools.map((name, i) => ({ id: `s${i}`, tool: name, after: i === 0 ? [] : [`s${i - 1}`] }));
  await bus.publish(subjects.task('plan', user), JSON.stringify({ input: 'x', plan: { steps } }));
}

interface Ended {
  run: string;
  status: string;
}

async function results(): Promise<Ended[]> {
  const found: Ended[] = [];
  for await (const { data } of bus.scan(subjects.stream('RES'), 'proctor.res.>')) found.push(JSON.parse(data) as Ended);
  return found;
}

/** What the journal of a run says was done, and by how many owners. */
async function history(
  run: string,
): Promise<{ numbers: number[]; done: string[]; claims: number; handedOver: number }> {
  const entries = [];
  for await (const { data } of bus.scan(
    subjects.stream('JRN', run.slice(0, 8)),
    `proctor.jrn.${run.slice(0, 8)}.${run}.*`,
  )) {
    entries.push(decodeEntry(data, run));
  }
  entries.sort((a, b) => a.n - b.n);
  const events = entries.flatMap((entry) => entry.events);
  return {
    numbers: entries.map(({ n }) => n),
    done: events.flatMap((event) => (event.type === 'call_done' ? [event.c] : [])),
    claims: events.filter(({ type }) => type === 'claimed').length,
    handedOver: events.filter(({ type }) => type === 'handed_over').length,
  };
}

beforeAll(async () => {
  [cli, server] = await Promise.all([builtCli(), startNatsServer()]);
  bus = await connectBus({ url: server.url }, 'test', subjects, silent);
  nodes.push(await startNode());
  await trustAll(createOperator({ bus, subjects, by: 'test' }));
  for (let i = 1; i < NODES; i++) nodes.push(await startNode());
  worker = await serveTools({
    bus,
    subjects,
    clock: systemClock(),
    log: silent,
    id: 'w',
    concurrency: 400,
    tools: [tool('keyed'), tool('once')],
  });
});

afterAll(async () => {
  await worker.stop();
  await bus.close();
  await cli.clean();
  await server.stop();
});

describe('nodes under load', () => {
  it('are restarted one after the other: nothing is lost, and no step is done twice', async () => {
    let runs = 0;
    let restarted = false;
    const submitted = (async () => {
      while (!restarted) {
        const open = runs - (await results()).length;
        for (let i = open; i < IN_FLIGHT; i++) await submit(`u${runs++ % 7}`, STEPS);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    for (let i = 0; i < NODES; i++) {
      const before = (await results()).length;
      await eventually('more runs have ended', async () => (await results()).length > before + 20);
      const old = nodes[i];
      old?.child.kill('SIGTERM');
      expect((await old?.ended)?.code).toBe(0);
      nodes[i] = await startNode();
    }
    restarted = true;
    await submitted;
    await eventually('all results', async () => (await results()).length === runs);
    const ended = await results();
    expect(new Set(ended.map(({ run }) => run)).size).toBe(runs);
    expect(ended.filter(({ status }) => status !== 'completed')).toEqual([]);
    let handedOver = 0;
    for (const { run } of ended) {
      const told = await history(run);
      expect(told.numbers, run).toEqual(told.numbers.map((_, n) => n));
      expect(told.done.length, run).toBe(STEPS.length);
      expect(new Set(told.done).size, run).toBe(STEPS.length);
      // An owner that stops in good order leaves nothing to find out.
      expect(told.claims, run).toBe(told.handedOver + 1);
      handedOver += told.handedOver;
    }
    expect(handedOver).toBeGreaterThan(0);
    expect([effects.once.size, [...effects.once.values()].filter((count) => count !== 1)]).toEqual([runs * 3, []]);
    expect(effects.keyed.size).toBe(runs * 3);
  });

  it('are killed: their runs go on elsewhere, from where their journals end', async () => {
    const before = (await results()).length;
    const keyed = effects.keyed.size;
    const runs = 60;
    await Promise.all(Array.from({ length: runs }, (_, i) => submit(`k${i % 7}`, Array(20).fill('keyed'))));
    await eventually('work on all nodes', async () => effects.keyed.size > keyed + 200);
    nodes[0]?.child.kill('SIGKILL');
    await eventually('all results', async () => (await results()).length === before + runs);
    const ended = (await results()).slice(before);
    expect(ended.filter(({ status }) => status !== 'completed')).toEqual([]);
    const told = await Promise.all(ended.map(({ run }) => history(run)));
    expect(told.every(({ done }) => done.length === 20 && new Set(done).size === 20)).toBe(true);
    expect(told.some(({ claims }) => claims > 1)).toBe(true);
    expect(effects.keyed.size - keyed).toBe(runs * 20);
  });
});
