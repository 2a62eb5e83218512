import { createHash, randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TRUSTING } from '../../bench/support/trusting.ts';
import { systemClock } from '../../src/adapters/clock/system-clock.ts';
import { cryptoIds } from '../../src/adapters/crypto/ids.ts';
import type { Embedded } from '../../src/adapters/embedded-nats/embedded.ts';
import type { NatsBus } from '../../src/adapters/nats/bus.ts';
import { connectNats, type NatsOptions } from '../../src/adapters/nats/connect.ts';
import { remoteToolSource } from '../../src/adapters/remote-tools/source.ts';
import { startSupervisor } from '../../src/app.ts';
import { createClient } from '../../src/client/client.ts';
import { type BlobRef, StoredResult } from '../../src/core/blob.ts';
import type { BlobPart } from '../../src/core/door-wire.ts';
import type { Json } from '../../src/core/json.ts';
import type { LargeResult } from '../../src/core/result-wire.ts';
import { blobStream } from '../../src/core/streams.ts';
import { Subjects } from '../../src/core/subjects.ts';
import type { ToolSource } from '../../src/ports/tools.ts';
import { readBlob } from '../../src/runtime/blobs.ts';
import { serveTools, type Worker } from '../../src/worker/serve-tools.ts';
import { embed, temporaryFolder } from '../adapters/embedded-nats/fixtures.ts';
import { failure, RUN, recordingLog, toolCall, toolNamed } from './support.ts';

/** Large results over the server that Proctor runs, with the rights that nodes and workers have there. */

const subjects = new Subjects();
const clock = systemClock();
const log = recordingLog();
let embedded: Embedded;
let remove: () => Promise<void>;
let bus: NatsBus;
let workerBus: NatsBus;
let tools: ToolSource;
let worker: Worker | undefined;

const connect = (name: string, more: Partial<NatsOptions>) =>
  connectNats({ servers: embedded.url, name, subjects, log, random: randomUUID, ...more });

beforeAll(async () => {
  const folder = await temporaryFolder();
  remove = folder.remove;
  embedded = await embed(folder.dir, { users: ['alice', 'bob'] });
  bus = await connect('node', { nkeySeed: embedded.keys.roles.node.seed });
  workerBus = await connect('worker', {
    nkeySeed: embedded.keys.roles.worker.seed,
    inboxPrefix: subjects.workerInbox,
  });
  tools = remoteToolSource({ bus, subjects, clock, log, random: cryptoIds.random });
});

afterEach(async () => {
  await worker?.stop();
  worker = undefined;
});

afterAll(async () => {
  await workerBus.close();
  await bus.close();
  await embedded.stop();
  await remove();
});

const serve = async (name: string, answer: () => Json) => {
  const options = { bus: workerBus, subjects, clock, log, id: cryptoIds.random() };
  worker = await serveTools({ ...options, tools: [toolNamed(name, answer)] });
};

async function stored(call: Promise<unknown>): Promise<StoredResult> {
  const result = await call;
  if (!(result instanceof StoredResult)) throw new Error(`expected a stored result, got ${typeof result}`);
  return result;
}

/** About so many bytes, of characters that take one to four of them. */
function textOf(bytes: number): string {
  const unit = 'a"ü\uFEFF世🚀\\';
  return unit.repeat(Math.ceil(bytes / Buffer.byteLength(JSON.stringify(unit))));
}

describe('a result', () => {
  it('of a kilobyte comes as it is', async () => {
    const value = { text: textOf(1024) };
    await serve('small', () => value);
    expect(await tools.call(toolCall('small', clock))).toEqual(value);
  });

  it.each([1, 20])(
    'of %i MB is stored in parts and reads as it was',
    async (megabytes) => {
      const value = { text: textOf(megabytes * 1024 * 1024) };
      await serve('large', () => value);
      const call = toolCall('large', clock, { timeoutMs: 60_000 });
      const { ref, preview } = await stored(tools.call(call));
      const json = JSON.stringify(value);
      expect(ref.bytes).toBe(Buffer.byteLength(json));
      expect(ref.sha256).toBe(createHash('sha256').update(json).digest('hex'));
      expect(preview).toHaveLength(1000);
      expect(json.startsWith(preview.slice(0, 990))).toBe(true);
      expect((await readBlob(bus, subjects, RUN, call.c, ref)) === json).toBe(true);
    },
    90_000,
  );

  it('that an earlier try has stored is stored as it is', async () => {
    await serve('again', () => textOf(1024 * 1024));
    const call = toolCall('again', clock);
    const [first, second] = [await stored(tools.call(call)), await stored(tools.call(call))];
    expect(second.ref).toEqual(first.ref);
  });

  it('is dropped by the worker once it is stored: a stop waits for nothing', async () => {
    await serve('brief', () => textOf(1024 * 1024));
    await stored(tools.call(toolCall('brief', clock)));
    await worker?.stop();
  });
});

describe('a worker that lies about a large result', () => {
  const part = JSON.stringify(textOf(400_000));
  const honest = {
    sha256: createHash('sha256').update(part).digest('hex'),
    bytes: Buffer.byteLength(part),
    parts: 1,
    worker: 'w',
    id: 'x',
  };

  async function callWith(large: Partial<LargeResult>, parts: string[] = [part]): Promise<string> {
    const served = [
      workerBus.serve(subjects.toolCall('liar'), async () => JSON.stringify({ v: 1, large: { ...honest, ...large } })),
      workerBus.serve(subjects.toolResult('liar', 'w', '*'), async ({ data }) => parts[JSON.parse(data).part] ?? null),
    ];
    await workerBus.flush();
    const call = tools.call(toolCall('liar', clock));
    const code = await stored(call).then(
      () => 'stored',
      (error) => error.code,
    );
    await Promise.all(served.map((one) => one.stop()));
    return code;
  }

  it('is told from an honest one', async () => {
    expect(await callWith({})).toBe('stored');
  });

  it.each<[string, Partial<LargeResult>, string[]]>([
    ['the digest', { sha256: '0'.repeat(64) }, [part]],
    ['the size, too small', { bytes: 10, sha256: '1'.repeat(64) }, [part]],
    ['the size, too large', { bytes: honest.bytes + 1, sha256: '2'.repeat(64) }, [part]],
    ['parts that hold nothing', { parts: 2, sha256: '3'.repeat(64) }, [part, '']],
    ['parts that are too large', { sha256: '4'.repeat(64), bytes: 700_000 }, ['"'.padEnd(700_000, 'x')]],
    ['its form', { sha256: '5'.repeat(64) }, ['<html>'.padEnd(honest.bytes, ' ')]],
    ['the number of parts', { parts: 257 }, [part]],
    ['where it is kept', { worker: 'a.b' }, [part]],
    ['where it is kept, naming a subject of the server', { id: '$JS.API.STREAM.DELETE.PROCTOR_JRN' }, [part]],
    ['another text under a digest that is taken', {}, ['"'.padEnd(honest.bytes, 'y')]],
  ])('about %s ends in bad_result', async (_, large, parts) => {
    expect(await callWith(large, parts)).toBe('bad_result');
  });

  it('and has gone before it is fetched loses the result, which is known to have been made', async () => {
    workerBus.serve(subjects.toolCall('gone'), async () => JSON.stringify({ v: 1, large: honest }));
    await workerBus.flush();
    const error = await failure(tools.call(toolCall('gone', clock)));
    expect(error).toMatchObject({ code: 'result_lost', retryable: true });
  });
});

describe('what is stored', () => {
  const ref: BlobRef = { sha256: 'a'.repeat(64), bytes: 3, parts: 1 };

  it('is missing, or not what the journal refers to, by name', async () => {
    await bus.ensureStream(blobStream(subjects, RUN.slice(0, 8)));
    expect(await failure(readBlob(bus, subjects, RUN, '7-7', ref))).toMatchObject({ code: 'blob_missing' });
    await bus.publish(subjects.blob(RUN, '7-7', ref.sha256, 0), '"x"');
    expect(await failure(readBlob(bus, subjects, RUN, '7-7', ref))).toMatchObject({ code: 'blob_corrupt' });
    expect(await failure(readBlob(bus, subjects, RUN, '7-7', { ...ref, bytes: 2 }))).toMatchObject({
      code: 'blob_corrupt',
    });
  });

  it('is read part by part by the user whose run it is, and by no other', async () => {
    const value = { text: textOf(1024 * 1024) };
    await serve('report', () => value);
    const node = await startSupervisor({ bus, subjects, log, firstPolicy: TRUSTING, settings: { drain_ms: 0 } });
    const [alice, bob] = await Promise.all(
      ['alice', 'bob'].map(async (user) => {
        const login = embedded.keys.submitters.find((one) => one.user === user);
        return connect(user, { user, password: login?.password ?? '' });
      }),
    );
    if (alice === undefined || bob === undefined) throw new Error('no submitters');
    const client = createClient({ bus: alice, subjects, user: 'alice' });
    const { run } = await client.submit({ input: 'x', plan: { steps: [{ id: 's', tool: 'report' }] } }, 'plan');
    const result = await client.result(run, { wait: true });
    expect(result).toMatchObject({ status: 'completed' });
    const c = result.step_log[0]?.calls[0]?.c ?? '';
    const ask = async (asking: NatsBus, user: string, part: number): Promise<BlobPart> =>
      JSON.parse(
        (await asking.request(subjects.ask(user, 'blob'), JSON.stringify({ run, c, part }), { timeoutMs: 5_000 })).data,
      );
    const first = await ask(alice, 'alice', 0);
    const chunks = [Buffer.from(first.data, 'base64')];
    for (let part = 1; part < first.parts; part++) {
      chunks.push(Buffer.from((await ask(alice, 'alice', part)).data, 'base64'));
    }
    expect(Buffer.concat(chunks).toString() === JSON.stringify(value)).toBe(true);
    expect(await failure(ask(alice, 'alice', first.parts))).toMatchObject({ code: 'invalid_request', field: 'part' });
    expect(await failure(ask(bob, 'bob', 0))).toMatchObject({ code: 'unknown_run' });
    await Promise.all([alice.close(), bob.close()]);
    await node.stop();
  }, 120_000);
});
