import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, nkeyAuthenticator } from '@nats-io/transport-node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readConnection } from '../../../src/adapters/embedded-nats/connection-file.ts';
import type { Embedded, EmbeddedOptions } from '../../../src/adapters/embedded-nats/embedded.ts';
import { isRunning } from '../../../src/adapters/embedded-nats/process-identity.ts';
import { embed, eventually, natsServerPath, recordingLog, temporaryFolder } from './fixtures.ts';

let dir: string;
let remove: () => Promise<void>;
const running: Embedded[] = [];
const children: ChildProcess[] = [];

beforeEach(async () => {
  ({ dir, remove } = await temporaryFolder());
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await Promise.all(running.splice(0).map((embedded) => embedded.stop()));
  await remove();
});

async function start(options: Partial<EmbeddedOptions> = {}): Promise<Embedded> {
  const embedded = await embed(dir, options);
  running.push(embedded);
  return embedded;
}

async function asNode<T>(
  embedded: Embedded,
  action: (connection: Awaited<ReturnType<typeof connect>>) => Promise<T>,
): Promise<T> {
  const connection = await connect({
    servers: embedded.url,
    authenticator: nkeyAuthenticator(new TextEncoder().encode(embedded.keys.roles.node.seed)),
    noAsyncTraces: true,
    waitOnFirstConnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
  });
  try {
    return await action(connection);
  } finally {
    await connection.close();
  }
}

async function store(embedded: Embedded): Promise<void> {
  await asNode(embedded, async (connection) => {
    await (await jetstreamManager(connection)).streams.add({ name: 'S', subjects: ['proctor.jrn.>'] });
    await jetstream(connection).publish('proctor.jrn.x', 'kept');
  });
}

async function storedData(embedded: Embedded): Promise<string | undefined> {
  return asNode(embedded, async (connection) => {
    const manager = await jetstreamManager(connection);
    return (await manager.streams.getMessage('S', { last_by_subj: 'proctor.jrn.x' }))?.string();
  });
}

async function mode(...path: string[]): Promise<string> {
  return ((await stat(join(dir, ...path))).mode & 0o777).toString(8);
}

/** Another process that holds the folder. */
async function startHolder(): Promise<{ child: ChildProcess; url: string; serverPid: number }> {
  const child = spawn(
    process.execPath,
    [
      '--import',
      fileURLToPath(new URL('../../support/typescript.mjs', import.meta.url)),
      fileURLToPath(new URL('./holder.ts', import.meta.url)),
      dir,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  children.push(child);
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const [url = '', pid] = line.split(' ');
  return { child, url, serverPid: Number(pid) };
}

describe('the folder of an embedded server', () => {
  it('is private, and says how to connect while the server runs', async () => {
    await chmod(dir, 0o755);
    const embedded = await start({ users: ['default', 'Alice'] });
    expect(await mode('.')).toBe('700');
    expect(await mode('keys')).toBe('700');
    for (const name of await readdir(join(dir, 'keys'))) expect(await mode('keys', name)).toBe('600');
    for (const name of ['nats.conf', 'connection.json', 'nats.pid', 'lock.1']) expect(await mode(name)).toBe('600');

    const connection = await readConnection(dir);
    expect(connection).toMatchObject({ url: embedded.url, pid: process.pid, server_pid: embedded.serverPid() });
    const file = join(dir, connection?.credentials.submitters.Alice ?? '');
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ user: 'Alice' });
    expect((await readFile(join(dir, connection?.credentials.node ?? ''), 'utf8')).trim()).toBe(
      embedded.keys.roles.node.seed,
    );

    await embedded.stop();
    expect(await readConnection(dir)).toBeNull();
  });

  it('keeps keys, data and port over a restart', async () => {
    const first = await start();
    await store(first);
    await first.stop();
    const second = await start();
    expect(second.keys).toEqual(first.keys);
    expect(await storedData(second)).toBe('kept');
  });

  it('never shows a secret in the log', async () => {
    const log = recordingLog();
    const embedded = await start({ log });
    const { roles, submitters } = embedded.keys;
    await asNode(embedded, async (connection) => connection.flush());
    const secrets = [...Object.values(roles).map(({ seed }) => seed), ...submitters.map(({ password }) => password)];
    const text = log.lines.join('\n');
    expect(text).toContain('nats.started');
    for (const secret of secrets) expect(text).not.toContain(secret);
  });

  it('is refused to a second holder with a message that names the first', async () => {
    const holder = await startHolder();
    const refused = await embed(dir).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'held' });
    expect(String(refused)).toContain(`process ${holder.child.pid} holds it since 20`);
    expect(String(refused)).toContain(holder.url);
  });

  it('is refused to a second start in the same process', async () => {
    await start();
    await expect(embed(dir)).rejects.toMatchObject({ code: 'held' });
  });

  it('is named when a key in it is damaged, without showing the key', async () => {
    const embedded = await start();
    await embedded.stop();
    await writeFile(join(dir, 'keys', 'node.nk'), 'SUABROKEN');
    const refused = await embed(dir).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'bad_key_file' });
    expect(String(refused)).toContain('node.nk');
    expect(String(refused)).not.toContain('SUABROKEN');
  });
});

describe('an embedded server', () => {
  it('listens on loopback only, on another port when the wanted one is taken', async () => {
    const squatter = createServer();
    squatter.listen(0, '127.0.0.1');
    await once(squatter, 'listening');
    const address = squatter.address();
    const taken = typeof address === 'object' && address !== null ? address.port : 0;
    const embedded = await start({ preferPort: taken });
    const { hostname, port } = new URL(embedded.url);
    expect(hostname).toBe('127.0.0.1');
    expect(Number(port)).not.toBe(taken);
    squatter.close();
  });

  it('comes back on the same address with its data when it is killed', async () => {
    const log = recordingLog();
    const embedded = await start({ log });
    await store(embedded);
    const pid = embedded.serverPid() ?? 0;
    process.kill(pid, 'SIGKILL');
    const next = await eventually('a new server', () => {
      const now = embedded.serverPid();
      return now !== null && now !== pid ? now : null;
    });
    expect(await storedData(embedded)).toBe('kept');
    await eventually('the record of the new pid', async () =>
      (await readConnection(dir))?.server_pid === next ? true : null,
    );
    expect(log.lines.filter((line) => line.includes('nats.died'))).toEqual([expect.stringContaining('signal SIGKILL')]);
  });

  it('is given up after five deaths within a minute', async () => {
    const embedded = await start();
    let failure: unknown = null;
    void embedded.failed.then((error) => {
      failure = error;
    });
    const killed = new Set<number>();
    await eventually('the fifth death', () => {
      const pid = embedded.serverPid();
      if (pid !== null && !killed.has(pid)) {
        killed.add(pid);
        process.kill(pid, 'SIGKILL');
      }
      return failure;
    });
    expect(failure).toMatchObject({ code: 'nats_gave_up' });
    expect(killed.size).toBe(5);
    expect(embedded.serverPid()).toBeNull();
  });

  it('does not count deaths that are longer ago than a minute', async () => {
    let now = 1_000_000;
    const embedded = await start({ now: () => now });
    let gaveUp = false;
    void embedded.failed.then(() => {
      gaveUp = true;
    });
    for (let death = 0; death < 6; death++) {
      const pid = await eventually('a server', () => embedded.serverPid());
      now += 60_001;
      process.kill(pid, 'SIGKILL');
      await eventually('its successor', () => (embedded.serverPid() ?? pid) !== pid || null);
    }
    expect(gaveUp).toBe(false);
  });

  it('says what the server said when it cannot start, and frees the folder', async () => {
    const script = join(dir, 'broken-server');
    await writeFile(script, '#!/bin/sh\necho "no such luck" >&2\nexit 3\n', { mode: 0o755 });
    const refused = await embed(dir, { serverPath: script }).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'nats_start_failed' });
    expect(String(refused)).toContain('code 3');
    expect(String(refused)).toContain('no such luck');
    await start();
  });

  it('gives up a server that runs but never answers', async () => {
    const script = join(dir, 'silent-server');
    await writeFile(script, '#!/bin/sh\nexec sleep 60\n', { mode: 0o755 });
    await expect(embed(dir, { serverPath: script, startDeadlineMs: 100 })).rejects.toMatchObject({
      code: 'nats_start_failed',
      message: expect.stringContaining('did not answer within 100 ms'),
    });
  });

  it('is taken over with its data when its process was killed', async () => {
    const holder = await startHolder();
    holder.child.kill('SIGKILL');
    await once(holder.child, 'close');
    const embedded = await start();
    expect(await isRunning(holder.serverPid, null)).toBe(false);
    await store(embedded);
    expect(await storedData(embedded)).toBe('kept');
  });

  it('stops a server that was left behind before it uses the store', async () => {
    const first = await start();
    await store(first);
    await first.stop();
    const orphan = spawn(await natsServerPath(), ['-c', join(dir, 'nats.conf')], { stdio: 'ignore' });
    children.push(orphan);
    const gone = once(orphan, 'exit');
    await once(orphan, 'spawn');
    await writeFile(join(dir, 'nats.pid'), `${orphan.pid}\n`);
    const log = recordingLog();
    const second = await start({ log });
    await gone;
    expect(second.serverPid()).not.toBe(orphan.pid);
    expect(log.lines.join('\n')).toContain('nats.orphan');
    expect(await storedData(second)).toBe('kept');
  });

  it('leaves a stranger alone that has the recorded pid', async () => {
    const stranger = spawn('sleep', ['60'], { stdio: 'ignore' });
    children.push(stranger);
    await once(stranger, 'spawn');
    await writeFile(join(dir, 'nats.pid'), `${stranger.pid}\n`);
    await start();
    expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
  });
});
