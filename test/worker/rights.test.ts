import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { systemClock } from '../../src/adapters/clock/system-clock.ts';
import { cryptoIds } from '../../src/adapters/crypto/ids.ts';
import type { Embedded } from '../../src/adapters/embedded-nats/embedded.ts';
import type { NatsBus } from '../../src/adapters/nats/bus.ts';
import { connectNats } from '../../src/adapters/nats/connect.ts';
import { remoteToolSource } from '../../src/adapters/remote-tools/source.ts';
import { startWorker } from '../../src/app/worker.ts';
import { streamsOf } from '../../src/core/streams.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { serveIdempotency } from '../../src/runtime/idempotency.ts';
import { defineTool } from '../../src/worker/define-tool.ts';
import { embed, eventually, temporaryFolder } from '../adapters/embedded-nats/fixtures.ts';
import { RawClient } from '../adapters/embedded-nats/raw-client.ts';
import { failure, recordingLog, toolCall } from './support.ts';

/** What a worker can make a node do, on the server that Proctor runs: answer workers, and nothing else. */

const subjects = new Subjects();
const { once } = streamsOf(subjects);
let embedded: Embedded;
let remove: () => Promise<void>;
let node: NatsBus;
let worker: RawClient;

const body = (key: string): string => JSON.stringify({ v: 1, key, claim: 'c' });
const begin = subjects.idem('pay', 'begin');

beforeAll(async () => {
  const folder = await temporaryFolder();
  remove = folder.remove;
  embedded = await embed(folder.dir);
  const { node: nodeKey, worker: workerKey } = embedded.keys.roles;
  const common = { servers: embedded.url, subjects, log: recordingLog(), random: randomUUID };
  node = await connectNats({ ...common, name: 'node', nkeySeed: nodeKey.seed });
  await node.ensureStream(once);
  serveIdempotency({ bus: node, subjects, clock: systemClock(), ids: cryptoIds });
  await node.flush();
  worker = await RawClient.connect(embedded.url, workerKey);
  worker.subscribe(`${subjects.workerInbox}.mine`);
  await worker.roundTrip();
});

afterAll(async () => {
  worker.close();
  await node.close();
  await embedded.stop();
  await remove();
});

async function answered(key: string): Promise<string> {
  const before = worker.messages.length;
  worker.publish(begin, body(key), `${subjects.workerInbox}.mine`);
  return eventually('an answer', () => worker.messages[before]?.data ?? null);
}

describe('a worker', () => {
  it('is answered in the inbox of workers', async () => {
    expect(JSON.parse(await answered('first'))).toEqual({ state: 'begun' });
  });

  it.each([
    `$JS.API.STREAM.PURGE.${once.name}`,
    `$JS.API.STREAM.DELETE.${once.name}`,
    `${subjects.prefix}.once.pay.forged.done`,
    `${subjects.workerInbox}_not.mine`,
    '',
  ])('that wants the answer at "%s" gets nothing, and nothing is stored', async (reply) => {
    const stored = await count();
    expect(await worker.refusalsOf(() => worker.publish(begin, body(`forged ${reply}`), reply))).toEqual([]);
    // Requests are handled in order: once the next one is answered, this one is behind us.
    await answered(`after ${reply}`);
    expect(await count()).toBe(stored + 1);
  });
});

describe('a worker that names tools by a pattern', () => {
  it.each(['*', '>', 'p*y', '=zz'])('such as "%s" reads nobody\'s records, and stores none', async (tool) => {
    const reply = `${subjects.workerInbox}.mine`;
    await answered('of pay');
    const stored = await count();
    const before = worker.messages.length;
    worker.publish(`${subjects.prefix}.idem.${tool}.begin`, body('of pay'), reply);
    const answer = await eventually('an answer', () => worker.messages[before]?.data ?? null);
    expect(JSON.parse(answer)).toMatchObject({ code: 'bad_request', message: expect.stringContaining('subject') });
    expect(await count()).toBe(stored);
  });
});

describe('the smallest worker, of a bare socket', () => {
  it('is found and called', async () => {
    const bare = await RawClient.connect(embedded.url, embedded.keys.roles.worker);
    bare.subscribe('$SRV.INFO.tool_upper');
    bare.subscribe('proctor.tool.upper.call');
    await bare.roundTrip();
    const asked = (n: number) => eventually('a request', () => bare.messages[n] ?? null);
    const clock = systemClock();
    const tools = remoteToolSource({ bus: node, subjects, clock, log: recordingLog(), random: cryptoIds.random });

    const found = tools.find('upper');
    const definition = { name: 'upper', description: 'x', parameters: { type: 'object' }, effect: 'read' };
    const metadata = { 'proctor.definition': JSON.stringify(definition) };
    const info = { type: 'io.nats.micro.v1.info_response', name: 'tool_upper', id: 'w1', version: '1.0.0', metadata };
    bare.publish((await asked(0)).reply ?? '', JSON.stringify(info));
    expect(await found).toMatchObject(definition);

    const result = tools.call(toolCall('upper', clock, { args: { text: 'hey' } }));
    const call = await asked(1);
    const { text } = (JSON.parse(call.data) as { args: { text: string } }).args;
    bare.publish(call.reply ?? '', JSON.stringify({ v: 1, result: text.toUpperCase() }));
    expect(await result).toBe('HEY');
    bare.close();
  });
});

describe('a tool that remembers, with the rights of a worker', () => {
  it('runs once a key', async () => {
    let ran = 0;
    const handler = () => ++ran;
    const spec = { name: 'count', description: 'x', parameters: z.object({}), remember: true, handler };
    const log = recordingLog();
    const running = await startWorker({
      tools: [defineTool(spec)],
      nats: { url: embedded.url, nkeySeed: embedded.keys.roles.worker.seed },
      log,
    });
    const clock = systemClock();
    const tools = remoteToolSource({ bus: node, subjects, clock, log, random: cryptoIds.random });
    const call = () => tools.call(toolCall('count', clock, { idempotencyKey: 'k', c: '1-0' }));
    expect([await call(), await call()]).toEqual([1, 1]);
    await running.stop();
    expect(await failure(call())).toMatchObject({ code: 'no_worker' });
  });
});

async function count(): Promise<number> {
  let messages = 0;
  for await (const _ of node.scan(once.name, '>')) messages++;
  return messages;
}
