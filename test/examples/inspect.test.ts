import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { env } from 'node:process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connectOperator } from '../../src/app/connect-client.ts';
import { treesText } from '../../src/cli/tree-view.ts';
import type { Operator } from '../../src/client/operator.ts';
import { eventually, temporaryFolder } from '../adapters/embedded-nats/fixtures.ts';

/** The example of a machine beside a node, as a process: the node tells of it. */

const root = fileURLToPath(new URL('../..', import.meta.url));
const EXAMPLE = join(root, 'examples/inspect/traffic-light.ts');
/** It imports the package as its users do: here that is the sources. */
const LOADER = `
  import { createJiti } from 'jiti';
  await createJiti(process.argv[1], { alias: { proctor: process.argv[2] } }).import(process.argv[3]);
`;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let child: ChildProcess;
let operator: Operator & { close(): Promise<void> };

beforeAll(async () => {
  folder = await temporaryFolder();
  const args = ['--input-type=module', '-e', LOADER, join(root, 'package.json'), join(root, 'src/index.ts'), EXAMPLE];
  child = spawn(process.execPath, args, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...env, LIGHT_DIR: folder.dir },
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`the example ended with ${code} before it was up`)));
  });
  operator = await connectOperator({ dir: folder.dir, by: 'test' });
}, 120_000);

afterAll(async () => {
  await operator?.close();
  if (child?.exitCode === null) {
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
  await folder?.remove();
}, 60_000);

it('is in the tree of its node, with the states that it is in', async () => {
  const machines = await eventually('the machine', async () => {
    const [node] = await operator.trees();
    return node?.tree?.machines ?? null;
  });
  expect(machines).toMatchObject([{ name: 'crossing', status: 'active' }]);
  const drawn = treesText(
    { out() {}, err() {}, outIsTty: false, errIsTty: false, colours: false },
    await operator.trees(),
  );
  expect(drawn).toMatch(/└── machines\n {4}└── crossing {2}active {2}cars\./);
  expect(machines[0]?.state).toMatch(/^cars\.(?:green|yellow|red), button\.(?:idle|pressed)$/);
});
