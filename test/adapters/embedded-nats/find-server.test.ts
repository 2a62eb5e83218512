import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { findNatsServer } from '../../../src/adapters/embedded-nats/find-server.ts';
import { temporaryFolder } from './fixtures.ts';

let dir: string;
let remove: () => Promise<void>;

beforeEach(async () => {
  ({ dir, remove } = await temporaryFolder());
});
afterEach(() => remove());

async function place(folder: string): Promise<string> {
  await mkdir(join(dir, folder), { recursive: true });
  const path = join(dir, folder, 'nats-server');
  await writeFile(path, '#!/bin/sh\n', { mode: 0o755 });
  return path;
}

it('the named server comes before the PATH', async () => {
  const onPath = await place('bin');
  const named = await place('elsewhere');
  expect(await findNatsServer(join(dir, 'bin'), named)).toBe(named);
  expect(await findNatsServer(`:${join(dir, 'none')}:${join(dir, 'bin')}`)).toBe(onPath);
});

it('the sbin folder beside a bin folder of the PATH is searched', async () => {
  const path = await place('usr/sbin');
  expect(await findNatsServer(join(dir, 'usr', 'bin'))).toBe(path);
});

it('a named server that cannot be executed is an error, even with one on the PATH', async () => {
  await place('bin');
  const named = await place('elsewhere');
  await chmod(named, 0o644);
  await expect(findNatsServer(join(dir, 'bin'), named)).rejects.toMatchObject({
    code: 'no_nats_server',
    message: expect.stringContaining(named),
  });
});

it('without any server the choices are named', async () => {
  await expect(findNatsServer(dir)).rejects.toMatchObject({
    code: 'no_nats_server',
    message: expect.stringMatching(/apt install.*brew install.*NATS_URL/),
  });
});
