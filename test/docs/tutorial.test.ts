import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { follow } from '../../bench/tutorial/follow.ts';
import { readTutorial } from '../../bench/tutorial/read.ts';

/**
 * The tutorial, typed as it stands, in a copy of the working tree. One thing differs from what a reader does: the port of
 * the stand-in, so that two of these can run beside each other.
 */

const root = process.cwd();
const STAND_IN_PORT = '4010';
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'proctor-tutorial-'));
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root });
  for (const file of listed.toString('utf8').split('\0')) {
    // What was deleted and not committed is still listed.
    if (file !== '' && existsSync(join(root, file))) cpSync(join(root, file), join(folder, file));
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  // Without a build that fits, `npm start` makes one, as it does for a reader.
  if (existsSync(join(root, 'dist'))) cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('works when every block of it is typed in order', { timeout: 180_000 }, async () => {
  const text = readFileSync(join(folder, 'docs/tutorial.md'), 'utf8');
  expect(text).toContain(STAND_IN_PORT);
  const said: string[] = [];
  await follow(readTutorial(text.replaceAll(STAND_IN_PORT, await freePort())), folder, (line) => said.push(line));
  expect(said.length).toBeGreaterThan(10);
});

it('kills nothing but what it started', () => {
  const text = readFileSync(join(folder, 'docs/tutorial.md'), 'utf8');
  expect(text).not.toMatch(/\b(?:pkill|killall)\b/);
});

function freePort(): Promise<string> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(String(typeof address === 'object' && address !== null ? address.port : 0)));
    });
  });
}
