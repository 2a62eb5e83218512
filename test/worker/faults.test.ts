import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/clock/system-clock.ts';
import { cryptoIds } from '../../src/adapters/crypto/ids.ts';
import type { NatsBus } from '../../src/adapters/nats/bus.ts';
import { connectNats } from '../../src/adapters/nats/connect.ts';
import { remoteToolSource } from '../../src/adapters/remote-tools/source.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { type ToolSource, UNKNOWN_EFFECT } from '../../src/ports/tools.ts';
import { embed, temporaryFolder } from '../adapters/embedded-nats/fixtures.ts';
import { startNatsServer } from '../support/nats-server.ts';
import { failure, recordingLog, toolCall } from './support.ts';
import { startWorkerProcess, type WorkerProcess } from './worker-process.ts';

/** Workers that misbehave, each a process of its own, on the server that Proctor runs and on one without accounts. */

const FAULTY = new URL('./fixtures/faulty.ts', import.meta.url);
const subjects = new Subjects();
const clock = systemClock();
const log = recordingLog();

interface World {
  url: string;
  node: { nkeySeed?: string };
  worker: string[];
  stop(): Promise<void>;
}

const SERVERS: Record<string, () => Promise<World>> = {
  'a server with accounts': async () => {
    const { dir, remove } = await temporaryFolder();
    const embedded = await embed(dir);
    const { node, worker } = embedded.keys.roles;
    const stop = async () => {
      await embedded.stop();
      await remove();
    };
    return { url: embedded.url, node: { nkeySeed: node.seed }, worker: [worker.seed], stop };
  },
  'a server without accounts': async () => {
    const server = await startNatsServer();
    return { url: server.url, node: {}, worker: [], stop: () => server.stop() };
  },
};

describe.each(Object.entries(SERVERS))('on %s', (_name, makeWorld) => {
  let world: World;
  let bus: NatsBus;
  let tools: ToolSource;
  let worker: WorkerProcess;

  beforeAll(async () => {
    world = await makeWorld();
    bus = await connectNats({ servers: world.url, name: 'test', subjects, log, random: randomUUID, ...world.node });
  });
  afterAll(async () => {
    await worker.end('SIGKILL');
    await bus.close();
    await world.stop();
  });
  beforeEach(async () => {
    if (worker === undefined || worker.child.exitCode !== null || worker.child.signalCode !== null) {
      worker = await startWorkerProcess(world.url, 'faulty', FAULTY, world.worker);
    }
    tools = remoteToolSource({ bus, subjects, clock, log, random: cryptoIds.random });
  });

  /** The caller knows about signs of life once it has found the tool, as a node always has. */
  const call = async (tool: string, more: Parameters<typeof toolCall>[2] = {}): Promise<unknown> => {
    await tools.find(tool);
    return tools.call(toolCall(tool, clock, more));
  };

  it('a worker that is killed in a call is lost, long before the deadline: nobody knows what it did', async () => {
    const outcome = failure(call('never_ends', { timeoutMs: 60_000 }));
    await worker.said('never_ends runs');
    await worker.end('SIGKILL');
    const error = await outcome;
    expect(error).toMatchObject({ code: 'worker_lost', retryable: true });
    expect(UNKNOWN_EFFECT.has(error.code)).toBe(true);
  });

  it('a worker whose process dies of an error that nobody catches is lost as well', async () => {
    expect(await failure(call('dies_of_an_error', { timeoutMs: 60_000 }))).toMatchObject({ code: 'worker_lost' });
  });

  it('a worker that hangs is lost', async () => {
    const outcome = failure(call('blocks', { timeoutMs: 60_000 }));
    await worker.said('blocks runs');
    expect(await outcome).toMatchObject({ code: 'worker_lost' });
    await worker.end('SIGKILL');
  });

  it('a handler that never ends, in a worker that is well, ends at the deadline', async () => {
    expect(await failure(call('never_ends', { timeoutMs: 1_500 }))).toMatchObject({ code: 'timeout' });
  });

  it('a slow worker is waited for', async () => {
    expect(await call('slow')).toBe('slow but sure');
  });

  it('a tool that takes other arguments than it announces says so', async () => {
    expect(await failure(call('lies_about_itself', { args: { text: 'x' } }))).toMatchObject({
      code: 'invalid_arguments',
    });
  });

  it('a tool that announces garbage is not there', async () => {
    expect(await tools.find('garbage')).toBeNull();
  });

  it('of two answers to one call the first counts', async () => {
    const results = await Promise.all(Array.from({ length: 20 }, () => call('answers_twice')));
    expect(new Set(results)).toEqual(new Set(['first']));
  });

  it('a flood of answers and signs of life harms nobody', async () => {
    const others = Array.from({ length: 5 }, () => call('slow'));
    expect(await call('floods')).toBe(0);
    expect(await Promise.all(others)).toEqual(Array(5).fill('slow but sure'));
  });

  it('an answer after the deadline is ignored', async () => {
    expect(await failure(call('answers_late', { timeoutMs: 200 }))).toMatchObject({ code: 'timeout' });
    await worker.said('answered late');
    expect(await call('answers_twice')).toBe('first');
  });

  it('a sign of life is no answer', async () => {
    expect(await failure(call('beats_only', { timeoutMs: 600 }))).toMatchObject({ code: 'timeout' });
  });

  if (_name === 'a server with accounts') {
    it('nobody can answer the call of another', async () => {
      const forger = call('answers_for_others');
      const results = await Promise.all(Array.from({ length: 20 }, () => call('slow')));
      expect(new Set(results)).toEqual(new Set(['slow but sure']));
      expect(await forger).toBe('own');
    });
  }
});
