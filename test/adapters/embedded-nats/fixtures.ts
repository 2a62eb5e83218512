import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Embedded, type EmbeddedOptions, startEmbedded } from '../../../src/adapters/embedded-nats/embedded.ts';
import { findNatsServer } from '../../../src/adapters/embedded-nats/find-server.ts';
import type { Log } from '../../../src/ports/telemetry.ts';

/** A log that keeps every line as `level event fields`. */
export function recordingLog(): Log & { lines: string[] } {
  const lines: string[] = [];
  const write = (level: string) => (event: string, fields?: Record<string, unknown>) => {
    lines.push(`${level} ${event} ${JSON.stringify(fields ?? {})}`);
  };
  const log = {
    lines,
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: () => log,
  };
  return log;
}

export async function temporaryFolder(): Promise<{ dir: string; remove: () => Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), 'proctor-embedded-'));
  return { dir, remove: () => rm(dir, { recursive: true, force: true }) };
}

export async function natsServerPath(): Promise<string> {
  // biome-ignore lint/style/noProcessEnv: where the server is, is a property of the machine
  const env = process.env;
  return findNatsServer(env.PATH ?? '', env.PROCTOR_NATS_SERVER);
}

export async function embed(dir: string, options: Partial<EmbeddedOptions> = {}): Promise<Embedded> {
  return startEmbedded({
    dir,
    prefix: 'proctor',
    serverPath: await natsServerPath(),
    log: recordingLog(),
    random: (bytes) => randomBytes(bytes),
    preferPort: 0,
    ...options,
  });
}

/** Waits until `probe` gives something; throws when it does not within 15 s. */
export async function eventually<T>(what: string, probe: () => T | null | Promise<T | null>): Promise<T> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const found = await probe();
    if (found !== null) return found;
    if (Date.now() > deadline) throw new Error(`never happened: ${what}`);
    await delay(10);
  }
}
