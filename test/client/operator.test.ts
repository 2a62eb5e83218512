import { describe, expect, it } from 'vitest';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import { API_ANSWERS } from '../../src/client/answers.ts';
import { createOperator, type Operator } from '../../src/client/operator.ts';
import { API_VERBS } from '../../src/core/door-wire.ts';
import { AppError } from '../../src/core/errors.ts';
import { Cluster, chain } from '../runtime/support.ts';
import { all, drive } from './support.ts';

function operatorOf(cluster: Cluster): Operator {
  return createOperator({ bus: cluster.client, subjects: cluster.subjects, by: 'olga', clock: cluster.clock });
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof AppError ? error.code : String(error)),
  );

describe('an operator', () => {
  it('knows the answer to every verb that nodes serve', () => {
    expect(Object.keys(API_ANSWERS)).toEqual(Object.keys(API_VERBS));
  });

  it('lists runs by agent, user and state, and reads details, journal and result', async () => {
    const cluster = new Cluster({ name: 'other' });
    await cluster.node();
    await cluster.submit(chain(2), 'plan', 'alice');
    await cluster.submit('not JSON', 'other', 'bob');
    await cluster.result();
    const operator = operatorOf(cluster);
    const list = (filter?: Parameters<Operator['runs']>[0]) =>
      drive(cluster, all(operator.runs(filter))).then((runs) => runs.map((one) => `${one.user} ${one.state}`));
    expect((await list()).toSorted()).toEqual(['alice completed.answered', 'bob rejected']);
    expect(await list({ agent: 'other' })).toEqual(['bob rejected']);
    expect(await list({ user: 'alice', state: 'completed' })).toEqual(['alice completed.answered']);
    expect(await list({ user: 'nobody' })).toEqual([]);
    const [run] = await drive(cluster, all(operator.runs({ user: 'alice' })));
    const id = run?.run ?? '';
    const details = await drive(cluster, operator.run(id));
    expect(details).toMatchObject({ status: { run: id }, task: { input: 'chain' }, context: { steps: 3 } });
    const entries = await drive(cluster, all(operator.journal(id)));
    expect(entries).toEqual(await cluster.entries(id));
    expect(await drive(cluster, all(operator.journal(id, 2)))).toEqual(entries.slice(2));
    expect(await drive(cluster, operator.result(id))).toMatchObject({ run: id, status: 'completed' });
  });

  it('pauses, resumes and cancels a run, and the journal says who did', async () => {
    const cluster = new Cluster();
    await cluster.node();
    const later = new Date(cluster.clock.now() + 3_600_000).toISOString();
    await cluster.submit({ ...chain(1), not_before: later });
    const { run } = await cluster.status('idle.scheduled');
    const operator = operatorOf(cluster);
    await drive(cluster, operator.pause(run, 'look first'));
    await cluster.status('waiting.paused');
    await drive(cluster, operator.resume(run));
    await cluster.status('idle.scheduled');
    await drive(cluster, operator.cancel(run, 'enough'));
    expect(await drive(cluster, operator.result(run, { wait: true }))).toMatchObject({ code: 'cancelled' });
    const orders = (await cluster.entries(run)).flatMap(({ events }) => events.filter((event) => 'by' in event));
    expect(orders.map((event) => [event.type, 'by' in event && event.by, 'why' in event && event.why])).toEqual([
      ['pause', 'olga', 'look first'],
      ['resume', 'olga', ''],
      ['cancel', 'olga', 'enough'],
    ]);
    expect(await codeOf(drive(cluster, operator.release(run)))).toBe('not_held');
    expect(await codeOf(drive(cluster, operator.fail(run)))).toBe('not_held');
  });

  it('answers what a run asked', async () => {
    const cluster = new Cluster({ name: 'ai', model: 'ai' });
    cluster.modelMap.ai = scriptedModel([
      scripted({ action: 'ask_human', question: 'which colour?' }),
      async (input) =>
        scripted({ action: 'final_answer', answer: (await input.window())[0]?.observations[0]?.result ?? null }),
    ]);
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'ai');
    const { run, requires } = await cluster.status('waiting.person');
    const operator = operatorOf(cluster);
    expect(await codeOf(drive(cluster, operator.resolve(run, '9-9', { verdict: 'repeat' })))).toBe('not_waiting');
    await drive(cluster, operator.resolve(run, requires?.c ?? '', { verdict: 'done', result: 'red' }));
    expect(await drive(cluster, operator.result(run, { wait: true }))).toMatchObject({ answer: 'red' });
  });

  it('reads dead letters and gives one a second chance', async () => {
    const cluster = new Cluster();
    await cluster.node();
    await cluster.submit(chain(1), 'late');
    const operator = operatorOf(cluster);
    const letters = await cluster.until('dead letter', async () => {
      const found = await drive(cluster, all(operator.deadLetters()));
      return found.length > 0 && found;
    });
    const [letter] = letters;
    expect(letter).toMatchObject({ code: 'unknown_agent', subject: 'proctor.tasks.late.u' });
    const shown = await drive(cluster, operator.deadLetter(letter?.id ?? ''));
    expect(JSON.parse(shown.body)).toEqual(chain(1));
    expect(await drive(cluster, operator.deadLetterRetry(letter?.id ?? ''))).toMatchObject({ ok: true, seq: 2 });
    expect(await codeOf(drive(cluster, operator.deadLetter('task.none')))).toBe('unknown_dead_letter');
  });

  it('follows pages to their end', async () => {
    const cluster = new Cluster();
    const asked: unknown[] = [];
    const status = { v: 1, agent: 'a', user: 'u', at: 1, state: 'x', phase: 'executing', step: 0 };
    cluster.client.serve('proctor.api.runs', async ({ data }) => {
      const { after } = JSON.parse(data) as { after: number };
      asked.push(after);
      const run = { ...status, progress: null, can_cancel: true, run: `20260101-a-${after}` };
      return JSON.stringify({ runs: [run], next: after < 20 ? after + 10 : null });
    });
    const runs = await drive(cluster, all(operatorOf(cluster).runs()));
    expect(runs.map(({ run }) => run)).toEqual(['20260101-a-0', '20260101-a-10', '20260101-a-20']);
    expect(asked).toEqual([0, 10, 20]);
  });

  it('learns about a node, or that there is none', async () => {
    const cluster = new Cluster();
    expect(await codeOf(drive(cluster, operatorOf(cluster).node()))).toBe('no_node');
    await cluster.node('n1');
    expect(await drive(cluster, operatorOf(cluster).node())).toMatchObject({ node: 'n1', agents: ['plan'] });
  });
});
