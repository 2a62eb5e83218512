import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStage, type Stage } from './support.ts';

/**
 * A run that is watched in a browser while its node goes: the node dies as a process does, or hands its runs over. The page
 * goes on showing it live, and says where it is.
 */

const WAIT = { timeout: 60_000 };
const root = fileURLToPath(new URL('../..', import.meta.url));
const FIXTURE = fileURLToPath(new URL('./fixtures/node.ts', import.meta.url));

let stage: Stage;
const children: ChildProcess[] = [];

beforeAll(async () => {
  stage = await openStage();
}, 120_000);

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await stage?.stop();
}, 60_000);

/** A node in a process of its own. */
async function startNode(name: string): Promise<ChildProcess> {
  const args = ['--import', './test/support/typescript.mjs', FIXTURE, stage.scene.server.url, name];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`node ${name} ended with ${code} before it was up`)));
  });
  return child;
}

/** No node but those named takes runs. */
async function onlyOn(...names: string[]): Promise<void> {
  const { operator } = stage.scene;
  for (const { node } of await operator.nodes()) {
    await operator.nodeOrder(node, names.includes(node) ? 'uncordon' : 'cordon', 'the next run begins elsewhere');
  }
}

/** A run that takes a step every 300 ms for a long time, in a page that shows it on that node. */
async function watchedOn(node: string): Promise<{ page: Page; run: string; faults: string[]; close(): Promise<void> }> {
  await onlyOn(node);
  const { run } = await stage.scene.client.submit({ input: { steps: 400, ms: 300 } }, 'stepper');
  const { page, context, faults } = await stage.page();
  await page.goto(`${stage.gateway.url}/runs/${run}`);
  await onNode(page, node);
  await page.locator('.step[data-step="2"]').waitFor(WAIT);
  return { page, run, faults, close: () => context.close() };
}

const onNode = (page: Page, node: string) =>
  page.locator('.run-facts > div', { hasText: 'Node' }).getByText(node, { exact: true }).waitFor(WAIT);

const stepsOn = async (page: Page): Promise<number[]> =>
  page.evaluate('[...document.querySelectorAll(".step")].map((step) => Number(step.dataset.step))');

/** Shown without a reload: three steps more than there are, none missing. */
async function goesOn(page: Page): Promise<void> {
  const last = (await stepsOn(page)).at(-1) ?? 0;
  await page.locator(`.step[data-step="${last + 3}"]`).waitFor(WAIT);
  const shown = await stepsOn(page);
  expect(shown).toEqual(Array.from({ length: shown.length }, (_, index) => index + 1));
  // What its new node does is told as well.
  await page.locator('.working [data-effect]').first().waitFor(WAIT);
}

describe('a run on another node', () => {
  it('is shown live there when its node is killed, with the node that has it now', async () => {
    const child = await startNode('node-3');
    const { page, run, faults, close } = await watchedOn('node-3');
    await page.evaluate('window.stayed = true');
    await onlyOn('node-2', 'node-3');
    child.kill('SIGKILL');
    await onNode(page, 'node-2');
    await goesOn(page);
    expect(await page.evaluate('window.stayed')).toBe(true);
    await stage.scene.operator.cancel(run, 'seen enough');
    await page.locator('.run-title .tag', { hasText: 'cancelled' }).waitFor(WAIT);
    expect(faults).toEqual([]);
    await close();
  }, 120_000);

  it('is shown live there when its node hands it over', async () => {
    const { page, run, faults, close } = await watchedOn('node-1');
    await onlyOn('node-2');
    await stage.scene.operator.nodeOrder('node-1', 'drain', 'its machine is taken down');
    await onNode(page, 'node-2');
    await goesOn(page);
    // The node is told to be out of service, where nodes are shown.
    await page.goto(`${stage.gateway.url}/nodes`);
    await page.getByText('its machine is taken down').first().waitFor(WAIT);
    await stage.scene.operator.cancel(run, 'seen enough');
    expect(faults).toEqual([]);
    await close();
  }, 120_000);

  it('is left, with the chart of a supervisor of the node that died still there and the reason why it stands still', async () => {
    const child = await startNode('node-4');
    const { page, context } = await stage.page();
    await page.goto(`${stage.gateway.url}/tree/node-4/supervisor/agents`);
    await page.locator('[data-state="running"].active').waitFor({ ...WAIT, state: 'attached' });
    child.kill('SIGKILL');
    await page.getByRole('alert').getByText('node "node-4"').waitFor(WAIT);
    expect(await page.locator('[data-state="running"].active').count()).toBe(1);
    // One of the same name is another one, and is shown as soon as it is there.
    await startNode('node-4');
    await page.getByRole('alert').waitFor({ ...WAIT, state: 'detached' });
    await page.locator('[data-state="running"].active').waitFor({ ...WAIT, state: 'attached' });
    await context.close();
  }, 120_000);
});
