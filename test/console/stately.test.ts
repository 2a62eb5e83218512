import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { openScene, type Scene } from '../../bench/console/scene.ts';
import { inspectRun } from '../../src/app/inspect.ts';
import { RUN_CHART } from '../../src/console/gateway/run-chart.ts';

/** The protocol of the Stately inspector, spoken to a receiver of our own: nothing leaves this machine. */

interface Sent {
  type: string;
  definition?: string;
  event?: { type: string };
  snapshot?: { value: unknown; context: Record<string, unknown>; status: string };
}

let scene: Scene;
let receiver: WebSocketServer;
let sent: Sent[] = [];

beforeAll(async () => {
  scene = await openScene({ nodes: 1 });
  receiver = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  receiver.on('connection', (socket) => socket.on('message', (data) => sent.push(JSON.parse(String(data)) as Sent)));
  await new Promise((resolve) => receiver.once('listening', resolve));
}, 120_000);

afterAll(async () => {
  receiver?.close();
  await scene?.stop();
}, 120_000);

const url = () => `ws://127.0.0.1:${(receiver.address() as AddressInfo).port}`;

describe('proctor inspect --stately', () => {
  it('sends a past run with its whole chart, every event, every state, and no secret', async () => {
    const input = { file: 'a.log', password: 'hunter2-hunter2' };
    const { run } = await scene.client.submit({ input, session_id: 's' }, 'log-analyst');
    await scene.client.result(run, { wait: true });
    sent = [];
    const entries = await inspectRun(scene.operator, run, url(), new AbortController().signal);
    const journal = [];
    for await (const entry of scene.operator.journal(run)) journal.push(entry);
    expect(entries).toBe(journal.length);
    const actor = sent.find(({ type }) => type === '@xstate.actor');
    const { states } = JSON.parse(actor?.definition ?? '{}') as {
      states: Record<string, { states: Record<string, unknown> }>;
    };
    const names = Object.entries(states).flatMap(([top, { states: inner }]) =>
      Object.keys(inner).map((name) => `${top}.${name}`),
    );
    const leaves = RUN_CHART.nodes
      .filter(({ kind, parent }) => parent !== null && kind !== 'compound')
      .map(({ id }) => id);
    expect(new Set(names)).toEqual(new Set(leaves));
    const types = sent.filter(({ type }) => type === '@xstate.event').map(({ event }) => event?.type);
    expect(types.filter((type) => !type?.startsWith('xstate.'))).toEqual(
      journal.flatMap(({ events }) => events.map(({ type }) => type)),
    );
    const last = sent.findLast(({ type }) => type === '@xstate.snapshot');
    expect(last?.snapshot).toMatchObject({ value: { completed: 'answered' }, context: { run, steps: 4 } });
    expect(JSON.stringify(sent)).not.toContain('hunter2');
  });

  it('goes on with a live run until that ends', async () => {
    const { run } = await scene.client.submit({ input: { steps: 3, ms: 100 } }, 'stepper');
    sent = [];
    await inspectRun(scene.operator, run, url(), new AbortController().signal);
    expect(sent.findLast(({ type }) => type === '@xstate.snapshot')?.snapshot?.value).toEqual({
      completed: 'answered',
    });
  });

  it('says when nobody listens', async () => {
    const free = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => free.once('listening', resolve));
    const { port } = free.address() as AddressInfo;
    await new Promise((resolve) => free.close(resolve));
    const { run } = await scene.client.submit({ input: { file: 'b.log' } }, 'log-analyst');
    await expect(
      inspectRun(scene.operator, run, `ws://127.0.0.1:${port}`, new AbortController().signal),
    ).rejects.toMatchObject({
      code: 'unavailable',
    });
  });
});
