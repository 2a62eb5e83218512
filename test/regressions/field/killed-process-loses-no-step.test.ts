import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { eventually, type Running } from '../../cli/support.ts';
import { Deeds, inOrder, type Place, startPlace } from '../processes.ts';

/**
 * Seen elsewhere: with a library inside one process the state of a run is its memory. A crash in the middle, or the
 * exception at the maximum of turns, takes all that was found with it. https://github.com/openai/openai-agents-js/issues/441
 *
 * Proctor: each step is on disk before anything acts on it. A process may be killed with -9 as often as one likes; a run
 * that ends at a limit keeps what it found, and goes on from there when somebody says so.
 */

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const deeds = new Deeds();
let place: Place;
let node: Running;

beforeAll(async () => {
  place = await startPlace([deeds.tool('keyed'), deeds.tool('once', { idempotent: false })]);
  node = await place.startNode();
});
afterAll(() => place.stop());

describe('a run of twelve steps', () => {
  it('loses none of them to three kills, and no payment is sent twice', async () => {
    const tools = Array.from({ length: 12 }, (_, i) => (i % 4 === 3 ? 'once' : 'keyed'));
    const held = (step: number) => (_tool: string, i: number) => i === step;
    deeds.holds = held(0);
    const { run } = await place.client.submit(inOrder(...tools), 'plan');
    for (const [kills, step] of [0, 5, 10].entries()) {
      await eventually(`step ${step}`, async () => deeds.different('keyed') + deeds.different('once') === step + 1);
      await place.kill9(node);
      node = await place.startNode();
      await place.takenBy(run, kills + 2);
      deeds.release(held(step + 5));
    }
    const result = await place.client.result(run, { wait: true });
    expect(result).toMatchObject({ status: 'completed', steps: 13, tool_calls: 12 });
    expect(deeds.different('keyed')).toBe(9);
    expect([deeds.different('once'), deeds.all('once')]).toEqual([3, 3]);
    const done = (await place.events(run)).flatMap((event) => (event.type === 'call_done' ? [event.c] : []));
    expect([done.length, new Set(done).size]).toEqual([12, 12]);
  });
});

describe('a run that ends at its maximum of turns', () => {
  it('keeps what it found, over a kill, and goes on from there without doing it again', async () => {
    const before = deeds.all('keyed');
    const task = { ...inOrder('keyed', 'keyed', 'keyed', 'keyed'), limits: { steps: 2 } };
    const { run } = await place.client.submit(task, 'plan');
    const ended = await place.client.result(run, { wait: true });
    expect(ended).toMatchObject({ status: 'failed', code: 'max_steps', partial: 'keyed' });
    await place.kill9(node);
    node = await place.startNode();
    expect(await place.client.result(run)).toEqual(ended);
    const next = await place.client.continue(run, { why: 'nearly there' });
    expect(await place.client.result(next.run, { wait: true })).toMatchObject({ status: 'completed', answer: 'keyed' });
    expect(deeds.all('keyed') - before).toBe(4);
  });
});
