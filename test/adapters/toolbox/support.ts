import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { LocalTool } from '../../../src/adapters/toolbox/local-tool.ts';
import { AppError } from '../../../src/core/errors.ts';
import type { Json } from '../../../src/core/json.ts';
import type { Clock } from '../../../src/ports/clock.ts';

export const realClock: Clock = {
  now: () => Date.now(),
  after: (ms, action) => {
    const timer = setTimeout(action, ms);
    return () => clearTimeout(timer);
  },
};

/** A clock that stands still until `advance`. */
export class ManualClock implements Clock {
  #now = 1_700_000_000_000;
  readonly #timers = new Set<{ at: number; action: () => void }>();

  now(): number {
    return this.#now;
  }

  after(ms: number, action: () => void): () => void {
    const timer = { at: this.#now + ms, action };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  get pending(): number {
    return this.#timers.size;
  }

  advance(ms: number): void {
    this.#now += ms;
    for (const timer of [...this.#timers]) {
      if (timer.at > this.#now) continue;
      this.#timers.delete(timer);
      timer.action();
    }
  }
}

export async function use(tool: LocalTool, args: Record<string, Json>, signal?: AbortSignal): Promise<Json> {
  return await tool.handler(args, { idempotencyKey: 'run:1-0', signal: signal ?? new AbortController().signal });
}

/** The AppError that a promise fails with, as `code field`. */
export async function faultOf(work: Promise<unknown>): Promise<string> {
  const error = await errorOf(work);
  return error.field === undefined ? error.code : `${error.code} ${error.field}`;
}

export async function errorOf(work: Promise<unknown>): Promise<AppError> {
  try {
    await work;
  } catch (thrown) {
    if (thrown instanceof AppError) return thrown;
    throw thrown;
  }
  throw new Error('expected the call to fail, and it did not');
}

/**
 * A folder with a root inside and a secret beside it: `base/root`, `base/secret.txt`, `base/outside/secret.txt`.
 * `files` are written below the root. Removed after the test.
 */
export async function makeRoot(
  files: Record<string, string | Uint8Array> = {},
): Promise<{ base: string; root: string }> {
  const base = await realpath(await mkdtemp(join(tmpdir(), 'proctor-toolbox-')));
  onTestFinished(() => rm(base, { recursive: true, force: true }));
  const root = join(base, 'root');
  await mkdir(root);
  await mkdir(join(base, 'outside'));
  await writeFile(join(base, 'secret.txt'), SECRET);
  await writeFile(join(base, 'outside', 'secret.txt'), SECRET);
  for (const [path, content] of Object.entries(files)) {
    await mkdir(join(root, path, '..'), { recursive: true });
    await writeFile(join(root, path), content);
  }
  return { base, root };
}

export const SECRET = 'the secret outside';
