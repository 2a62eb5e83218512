import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createActor, fromPromise } from 'xstate';
import { largeMachine } from './chart/machines.ts';
import { openStage, type Stage } from './support.ts';

/** Charts of what lives on a node, in a browser before the real stack: of supervisors, and of machines of users. */

const WAIT = { timeout: 60_000 };

let stage: Stage;

beforeAll(async () => {
  stage = await openStage();
}, 120_000);

afterAll(() => stage?.stop(), 60_000);

/** A plant of 60 states, shown by the first node. */
function plant(name: string) {
  const heat = fromPromise(() => new Promise<void>(() => {}));
  const actor = createActor(largeMachine().provide({ actors: { heat } })).start();
  const hide = stage.scene.nodes[0]?.inspectable(name, actor);
  return { actor, hide: () => hide?.() };
}

describe('a machine of a user', () => {
  it('is found in the tree, and seen to move in its chart: nested, parallel, with history', async () => {
    const { actor, hide } = plant('plant');
    const { page, context, faults } = await stage.page({ role: 'viewer' });
    await page.goto(`${stage.gateway.url}/tree`);
    await page.getByRole('link', { name: 'plant' }).click();
    await page.locator('.chart-full [data-state="mill.idle"].active').waitFor({ ...WAIT, state: 'attached' });
    expect(new URL(page.url()).pathname).toBe('/tree/node-1/machine/plant');
    actor.send({ type: 'START', token: 'geheim' } as { type: 'START' });
    await page.locator('[data-state="mill.heating"].active').waitFor({ ...WAIT, state: 'attached' });
    await page.locator('.edge-taken', { hasText: 'START' }).waitFor({ ...WAIT, state: 'attached' });
    await page.locator('.actor-events li', { hasText: 'START' }).getByText('***REDACTED***').waitFor(WAIT);
    // Every kind of state that it has is drawn.
    expect(await page.locator('.node.kind-parallel').count()).toBe(1);
    expect(await page.locator('.node.kind-history').count()).toBeGreaterThan(3);
    actor.send({ type: 'ABORT' });
    await page.locator('.tag', { hasText: 'done' }).waitFor(WAIT);
    hide();
    // What was seen last stays, with the reason why there is nothing newer.
    await page.getByRole('alert').getByText('shows no machine "plant" now').waitFor(WAIT);
    expect(await page.locator('[data-state="stopped"].active').count()).toBe(1);
    expect(faults).toEqual([]);
    await context.close();
  });

  it('has an observer from when its page is opened until some seconds after it is closed, however the page went', async () => {
    const { actor, hide } = plant('observed');
    let attached = 0;
    const { inspect } = actor.system;
    actor.system.inspect = (observer) => {
      attached++;
      const { unsubscribe } = inspect.call(actor.system, observer);
      return {
        unsubscribe: () => {
          attached--;
          unsubscribe();
        },
      };
    };
    const { page, context } = await stage.page();
    await page.goto(`${stage.gateway.url}/tree`);
    await page.getByRole('link', { name: 'observed' }).waitFor(WAIT);
    expect(attached).toBe(0);
    await page.goto(`${stage.gateway.url}/tree/node-1/machine/observed`);
    await page.locator('[data-state="mill.idle"].active').waitFor({ ...WAIT, state: 'attached' });
    expect(attached).toBe(1);
    await context.close();
    await expect.poll(() => attached, WAIT).toBe(0);
    hide();
  }, 90_000);

  it('in parallel states is active in each of them', async () => {
    const { actor, hide } = plant('lights');
    const { page, context } = await stage.page();
    await page.goto(`${stage.gateway.url}/tree/node-1/machine/lights`);
    await page.locator('[data-state="mill.idle"].active').waitFor({ ...WAIT, state: 'attached' });
    const lit = largeMachine().resolveState({
      context: {},
      value: { lights: { red: 'on', green: 'off', blue: 'on', horn: 'off' } },
    });
    hide();
    actor.stop();
    const restored = createActor(largeMachine(), { snapshot: largeMachine().getPersistedSnapshot(lit) }).start();
    const again = stage.scene.nodes[0]?.inspectable('lights', restored);
    for (const path of ['lights.red.on', 'lights.green.off', 'lights.blue.on', 'lights.horn.off']) {
      await page.locator(`[data-state="${path}"].active`).waitFor({ ...WAIT, state: 'attached' });
    }
    expect(await page.locator('[data-state="lights.red.off"].active').count()).toBe(0);
    restored.send({ type: 'RED_OFF' });
    await page.locator('[data-state="lights.red.off"].active').waitFor({ ...WAIT, state: 'attached' });
    again?.();
    await context.close();
  });
});

describe('a supervisor', () => {
  it('is opened from its row in the tree, and tells what it hears', async () => {
    const { page, context, faults } = await stage.page();
    await page.goto(`${stage.gateway.url}/tree`);
    const node = page.getByRole('region', { name: 'node-1' });
    await node.getByRole('link', { name: 'Chart of agent:log-analyst' }).click();
    await page.locator('[data-state="running"].active').waitFor({ ...WAIT, state: 'attached' });
    // A run begins on one of the two nodes.
    for (let n = 0; (await page.locator('.actor-events li').count()) === 0 && n < 40; n++) {
      const { run } = await stage.scene.client.submit({ input: { file: `${n}.log` } }, 'log-analyst');
      await stage.scene.client.result(run, { wait: true });
    }
    await page.locator('.actor-events li', { hasText: 'exited' }).first().waitFor(WAIT);
    await page.getByRole('link', { name: 'agents', exact: true }).click();
    await page.getByRole('heading', { name: 'agents' }).waitFor(WAIT);
    await page.locator('[data-state="running"].active').waitFor({ ...WAIT, state: 'attached' });
    expect(faults).toEqual([]);
    await context.close();
  });
});
