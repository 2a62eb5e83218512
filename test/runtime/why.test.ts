import { describe, expect, it } from 'vitest';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import { createOperator } from '../../src/client/operator.ts';
import { AppError } from '../../src/core/errors.ts';
import type { Why } from '../../src/core/why.ts';
import { RunFold } from '../../src/runtime/fold.ts';
import { SETTLING_MS, whyOf } from '../../src/runtime/why.ts';
import { clientOf, drive } from '../client/support.ts';
import { Cluster, chain, recordingLog } from './support.ts';

const why = (cluster: Cluster, run: string): Promise<Why> => drive(cluster, clientOf(cluster).why(run));
const hang = () => new Promise<never>(() => {});
const iso = (at: number) => new Date(at).toISOString();

/** When the entry was written that holds the first event of a type. */
async function momentOf(cluster: Cluster, run: string, type: string): Promise<number> {
  const entry = (await cluster.entries(run)).find(({ events }) => events.some((event) => event.type === type));
  return entry?.at ?? Number.NaN;
}

describe('why', () => {
  it('says that a run is in the queue, since when, and for which agent', async () => {
    const cluster = new Cluster();
    cluster.tools.add('hang', hang, { timeout_ms: 86_400_000 });
    await cluster.node('n1', { settings: { slots: 1 } });
    const task = { input: 'x', plan: { steps: [{ id: 'a', tool: 'hang' }] } };
    await cluster.submit(task);
    await cluster.status('executing.calling');
    await cluster.submit(task);
    const { run } = await cluster.status('idle.accepted');
    await cluster.clock.advance(5_000);
    const said = await why(cluster, run);
    expect(said).toMatchObject({ state: 'idle.accepted', orphaned: false, until: null });
    expect(said.since).toBe(await momentOf(cluster, run, 'accepted'));
    expect(said.text).toMatch(/waits for a node with a free slot for agent plan; since .* \(5 s\); it is in the queue/);
  });

  it('names the tools that run, since when, and the deadline', async () => {
    const cluster = new Cluster();
    cluster.tools.add('hang', hang, { timeout_ms: 20_000 });
    await cluster.node();
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'hang' }] } });
    const { run } = await cluster.status('executing.calling');
    await cluster.clock.advance(3_000);
    const said = await why(cluster, run);
    expect(said.since).toBe(await momentOf(cluster, run, 'decided'));
    expect(said.until).toBe((await momentOf(cluster, run, 'claimed')) + 300_000);
    expect(said.waiting_for).toBe('hang (at most 20 s)');
  });

  it('names the try that a call is at, what the last one failed with, and when the next one is', async () => {
    const cluster = new Cluster();
    cluster.tools.add('busy', () => {
      throw new AppError('busy', 'full', { retryable: true, retryAfterMs: 25_000 });
    });
    await cluster.node();
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 'a', tool: 'busy' }] } });
    const { run } = await cluster.status('executing.retrying');
    const retry = (await cluster.entries(run))
      .flatMap(({ events }) => events)
      .find(({ type }) => type === 'call_retry');
    const at = retry?.type === 'call_retry' ? retry.not_before : 0;
    const said = await why(cluster, run);
    expect(said.waiting_for).toBe(`busy (try 2 after rate_limit, not before ${iso(at)}, at most 30 s)`);
  });

  it('names the model, what it is asked for, and since when', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai' });
    cluster.modelMap.ai = scriptedModel([scripted({ action: 'think' }), hang]);
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    const { run } = await cluster.until('second model call', async () =>
      (await cluster.statuses()).find((status) => status.step === 1),
    );
    await cluster.clock.advance(4_000);
    const said = await why(cluster, run);
    expect(said.since).toBe(await momentOf(cluster, run, 'decided'));
    expect(said.text).toContain('waits for the model ai: its next step');
  });

  it.each([
    ['rate_limit', 'waiting.budget', 'the model to take requests again'],
    ['model_unavailable', 'waiting.backing_off', 'the next try'],
  ])('says until when a model that failed with %s is left alone', async (code, state, waiting_for) => {
    const cluster = new Cluster({ name: 'ai', model: 'ai', retry_backoff_ms: 20_000 });
    cluster.modelMap.ai = scriptedModel([new AppError(code, 'no', { retryable: true })]);
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    const { run } = await cluster.status(state);
    const entries = await cluster.entries(run);
    const retry = entries.flatMap(({ events }) => events).find((event) => event.type === 'think_retry');
    const said = await why(cluster, run);
    expect(said).toMatchObject({ state, waiting_for, until: retry?.not_before, who: 'nobody needs to do anything' });
    expect(said.text).toContain('made again for the first time, after: no;');
  });

  it('says what failed when a run was given up after too many failures', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai', retry_backoff_ms: 10 });
    const wrong = scripted({ action: 'tool_call', calls: [{ tool: 'nonexistent', args: {} }] });
    cluster.modelMap.ai = scriptedModel([wrong, wrong, wrong]);
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    const { run } = await cluster.result();
    expect((await why(cluster, run)).text).toMatch(
      /ended max_retries at .*: no worker announces the tool nonexistent.*; unblock: correct that first, then proctor continue/,
    );
  });

  it('says who paused a run, why, and how it goes on', async () => {
    const cluster = new Cluster();
    await cluster.node();
    const until = cluster.clock.now() + 3_600_000;
    await cluster.submit({ ...chain(1), not_before: iso(until) });
    const { run } = await cluster.status('idle.scheduled');
    expect(await why(cluster, run)).toMatchObject({ waiting_for: 'the moment that its task named', until });
    const operator = createOperator({
      bus: cluster.client,
      subjects: cluster.subjects,
      by: 'olga',
      clock: cluster.clock,
    });
    await drive(cluster, operator.pause(run, 'look first'));
    await cluster.status('waiting.paused');
    await cluster.clock.advance(120_000);
    const said = await drive(cluster, operator.why(run));
    expect(said).toMatchObject({ since: await momentOf(cluster, run, 'pause'), orphaned: false });
    expect(said.text).toContain('paused by olga');
    expect(said.text).toContain('look first');
    expect(said.who).toBe(`an operator: proctor resume ${run}`);
  });

  it('names the person, the child, and after the end the code and how to let it go on', async () => {
    const cluster = new Cluster(
      { name: 'boss', model: 'boss', delegates_to: ['asker'] },
      { name: 'asker', model: 'asker' },
    );
    cluster.modelMap.boss = scriptedModel([scripted({ action: 'delegate', agent: 'asker', input: 'part' })]);
    cluster.modelMap.asker = scriptedModel([scripted({ action: 'ask_human', question: 'which?' })]);
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'boss');
    const parent = await cluster.status('waiting.child');
    const child = await cluster.status('waiting.person');
    await cluster.clock.advance(120_000);
    expect(await why(cluster, parent.run)).toMatchObject({
      waiting_for: `the run that it delegated to: ${child.run}`,
      who: `that run: proctor why ${child.run}`,
      since: await momentOf(cluster, parent.run, 'decided'),
      orphaned: false,
    });
    expect(await why(cluster, child.run)).toMatchObject({
      waiting_for: 'the answer of a person to: which?',
      who: expect.stringContaining(`proctor resolve ${child.run} ${child.requires?.c} --done`),
      orphaned: false,
    });
    await drive(cluster, clientOf(cluster).cancel(parent.run, 'enough'));
    await cluster.until('both results', async () => (await cluster.results()).length === 2);
    const said = await why(cluster, parent.run);
    expect(said).toMatchObject({ state: 'failed.cancelled', waiting_for: null });
    expect(said.text).toMatch(/ended cancelled at .*: by u: enough; unblock: proctor continue /);
  });

  it('says why a task was refused, and nothing of the runs of others', async () => {
    const cluster = new Cluster();
    await cluster.node();
    await cluster.submit('not JSON');
    const { run } = await cluster.status('rejected');
    expect((await why(cluster, run)).text).toContain('expected JSON');
    const refused = { code: 'invalid_task', message: expect.stringMatching(/^run \S+ never began.*expected JSON/) };
    await expect(drive(cluster, clientOf(cluster).result(run))).rejects.toMatchObject(refused);
    const asked = drive(cluster, clientOf(cluster, 'mallory').why(run));
    await expect(asked).rejects.toMatchObject({ code: 'unknown_run' });
  });

  it('names the entry of a journal that cannot be read, which is told of once a minute', async () => {
    const cluster = await new Cluster().prepare();
    const log = recordingLog();
    const first = await cluster.node();
    await cluster.submit({ ...chain(1), not_before: iso(cluster.clock.now() + 60_000) });
    const { run } = await cluster.status('idle.scheduled');
    first.kill();
    await cluster.client.publish(cluster.subjects.journal(run, (await cluster.entries(run)).length), '{"v":1,"n":"x"}');
    await cluster.node('n2', { log });
    await cluster.clock.advance(130_000);
    const said = await why(cluster, run);
    expect(said).toMatchObject({ state: 'unreadable', waiting_for: expect.stringMatching(/entry \d+: /) });
    const told = log.lines.filter((line) => line.fields.code === 'journal_corrupt');
    expect(told.length).toBeGreaterThanOrEqual(1);
    expect(told.length).toBeLessThanOrEqual(3);
  });

  it('says that nothing will move a run, and what does', async () => {
    const cluster = await new Cluster().prepare();
    const { node } = await cluster.node();
    await cluster.submit({ ...chain(1), not_before: iso(cluster.clock.now() + 3_600_000) });
    const { run } = await cluster.status('idle.scheduled');
    await cluster.clock.advance(2_000);
    expect(node.activeRuns).toBe(0);
    // Somebody empties the inbox, and the timer is gone.
    const stream = cluster.subjects.stream('IN');
    for await (const message of cluster.client.scan(stream, 'proctor.in.>'))
      await cluster.client.remove(stream, message);
    expect((await why(cluster, run)).orphaned).toBe(false);
    await cluster.clock.advance(SETTLING_MS);
    const said = await why(cluster, run);
    expect(said).toMatchObject({ orphaned: true, who: expect.stringContaining(`proctor resume ${run}`) });
    expect(said.text).toContain('ORPHANED');
    const operator = createOperator({ bus: cluster.client, subjects: cluster.subjects, by: 'o', clock: cluster.clock });
    await drive(cluster, operator.resume(run));
    expect(await cluster.result(4_000_000)).toMatchObject({ status: 'completed' });
  });

  it('has a line for every state that a journal leads through', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai', planning: true, review: true });
    cluster.modelMap.ai = scriptedModel([
      scripted({ action: 'plan', plan: { steps: [{ id: 'a', tool: 'echo', args: {}, after: [] }] } }),
      scripted({ action: 'tool_call', calls: [{ tool: 'echo', args: {}, plan_step: 'a' }] }),
      scripted({ action: 'final_answer', answer: 1 }),
      scripted({ action: 'review', verdict: 'accept' }),
    ]);
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    const { run } = await cluster.result();
    const fold = new RunFold();
    const agent = cluster.agents.get('ai');
    if (agent === undefined) throw new Error('no agent');
    const states: string[] = [];
    for (const entry of await cluster.entries(run)) {
      fold.fold(entry);
      const said = whyOf(fold, agent, { activation: true, inbox: false, switches: [] }, {}, entry.at + 1_000);
      states.push(said.state);
      expect(said.text).not.toContain('\n');
      expect(said.since).toBe(entry.at);
    }
    expect(states).toEqual([
      'idle.accepted',
      'thinking.planning',
      'thinking.deciding',
      'executing.calling',
      'thinking.deciding',
      'thinking.reviewing',
      'completed.answered',
    ]);
  });
});
