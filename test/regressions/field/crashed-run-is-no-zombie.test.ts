import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { eventually, type Running } from '../../cli/support.ts';
import { Deeds, inOrder, type Place, startPlace } from '../processes.ts';

/**
 * Seen elsewhere: a process dies in the middle of a run. Its recovery fails over state that was never stored, or the run
 * says "running" for ever and nothing moves it; and there is no way to end or to pause it from outside.
 * https://github.com/dapr/dapr-agents/issues/193 https://github.com/dapr/dapr-agents/issues/217
 *
 * Proctor: the next node reads the journal and goes on; the status is what the journal says. `why` names what a run waits
 * for, and pause, resume, cancel and kill work on every run, whatever happened to its node.
 */

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const deeds = new Deeds();
let place: Place;
let node: Running;

beforeAll(async () => {
  place = await startPlace([deeds.tool('work')]);
  node = await place.startNode();
});
afterEach(() => deeds.release());
afterAll(() => place.stop());

/** A run whose node was killed with -9 in the middle of its call; the next node has it. */
async function orphaned() {
  deeds.holds = () => true;
  const before = deeds.all('work');
  const { run } = await place.client.submit(inOrder('work', 'work', 'work'), 'plan');
  await eventually('a call', async () => deeds.all('work') > before);
  await place.kill9(node);
  node = await place.startNode();
  await place.takenBy(run, 2);
  return run;
}

const state = async (run: string) => (await place.client.status(run)).state;

describe('a run whose node was killed in the middle of a call', () => {
  it('goes on at the next node and ends; nothing says that it is running after that', async () => {
    const run = await orphaned();
    const why = await place.proctor('why', run);
    expect([why.code, why.out]).toEqual([0, expect.stringContaining('waits for work')]);
    deeds.release();
    expect(await place.client.result(run, { wait: true })).toMatchObject({ status: 'completed', tool_calls: 3 });
    expect(await eventually('its end', async () => (await state(run)).startsWith('completed'))).toBe(true);
    const listed = JSON.parse((await place.proctor('ps', '--json')).last) as { run: string; state: string }[];
    expect(listed.filter((one) => !/^(completed|failed)/.test(one.state))).toEqual([]);
    expect(JSON.parse((await place.proctor('health', '--json')).last)).toMatchObject({ ok: true });
  });

  it('is paused and resumed by command', async () => {
    const run = await orphaned();
    expect((await place.proctor('pause', run, '--why', 'look at it')).code).toBe(0);
    deeds.release();
    await eventually('pause', async () => (await state(run)) === 'waiting.paused');
    const made = deeds.all('work');
    expect((await place.proctor('why', run)).out).toContain('look at it');
    expect((await place.proctor('resume', run)).code).toBe(0);
    expect(await place.client.result(run, { wait: true })).toMatchObject({ status: 'completed' });
    expect(deeds.all('work')).toBeGreaterThan(made);
  });

  it.each([
    ['cancel', 'cancelled'],
    ['kill', 'killed'],
  ])('is ended by %s, for good', async (order, code) => {
    const run = await orphaned();
    const made = deeds.all('work');
    const { code: exit, err } = await place.proctor(order, run, '--why', 'enough');
    expect(exit, err).toBe(0);
    expect(await place.client.result(run, { wait: true })).toMatchObject({ status: 'failed', code });
    await place.kill9(node);
    node = await place.startNode();
    expect(await state(run)).toBe(`failed.${code}`);
    expect(deeds.all('work')).toBe(made);
  });
});

describe('a run whose only node is gone', () => {
  it('is not shown as running by anybody: commands say that no node is there', async () => {
    deeds.holds = () => true;
    const before = deeds.all('work');
    const { run } = await place.client.submit(inOrder('work'), 'plan');
    await eventually('a call', async () => deeds.all('work') > before);
    await place.kill9(node);
    const shown = await place.proctor('show', run);
    expect([shown.code, shown.out, shown.err]).toEqual([3, '', expect.stringContaining('no node answers')]);
    deeds.release();
    node = await place.startNode();
    expect(await place.client.result(run, { wait: true })).toMatchObject({ status: 'completed' });
  });
});
