import { describe, expect, it } from 'vitest';
import { scripted } from '../../src/adapters/model/scripted.ts';
import { createOperator, type Operator } from '../../src/client/operator.ts';
import { AppError } from '../../src/core/errors.ts';
import { HumanItem } from '../../src/core/human-wire.ts';
import { FAULT_POINTS, type FaultPoint, PERSON_POINTS } from '../../src/runtime/fault-points.ts';
import { all, clientOf, drive } from '../client/support.ts';
import { Cluster, recordingLog, type TestNode } from './support.ts';

/** Runs that agents could not finish, in the hands of people (APPR-6). */

const AGENT = {
  name: 'desk',
  model: 'first',
  fallback: { models: [{ model: 'second' }], person: { queue: 'support' } },
  retry_backoff_ms: 1,
};

const KEY = 'sk-abcdefghijklmnopqrstuvwx';

/** One step with a tool, then no model answers any more. */
function desk(agent: object = {}): Cluster {
  const cluster = new Cluster({ ...AGENT, ...agent } as never);
  const down = () => Promise.reject(new AppError('model_unavailable', 'HTTP 503'));
  cluster.modelMap = {
    ...cluster.modelMap,
    first: {
      think: (input) =>
        input.step === 1
          ? Promise.resolve(
              scripted({
                action: 'tool_call',
                calls: [{ tool: 'echo', args: { found: 'half of it', note: `key ${KEY}` } }],
              }),
            )
          : down(),
    },
    second: { think: down },
  };
  return cluster;
}

const operatorOf = (cluster: Cluster, by: string): Operator =>
  createOperator({ bus: cluster.client, subjects: cluster.subjects, by, clock: cluster.clock });

const failing = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof AppError ? `${error.code}: ${error.message}` : String(error)),
  );

async function queued(cluster: Cluster): Promise<string> {
  await cluster.submit({ input: { order: 7, password: 'hush' } }, 'desk');
  return (await cluster.until('result', async () => (await cluster.results()).find((one) => one.agent === 'desk'))).run;
}

const items = (cluster: Cluster) =>
  cluster.last('HUMAN', 'proctor.human.*.*.0', (text) => HumanItem.parse(JSON.parse(text)));

describe('a run that nothing can help any more', () => {
  it('is queued with what was asked, what was found, and the error of every link', async () => {
    const cluster = desk();
    const log = recordingLog();
    await cluster.node('n1', { log });
    const run = await queued(cluster);
    const found = await drive(cluster, all(operatorOf(cluster, 'ann').queue()));
    expect(found).toMatchObject([
      { run, agent: 'desk', user: 'u', queue: 'support', standing: { state: 'open' }, code: 'max_retries_exceeded' },
    ]);
    const { item, words } = await drive(cluster, operatorOf(cluster, 'ann').queueItem(run));
    expect(words).toEqual([]);
    expect(item).toMatchObject({
      task: '{"order":7,"password":"***REDACTED***"}',
      partial: expect.stringMatching(/^\{"found":"half of it",.*REDACTED/),
      error: { code: 'queued_for_human' },
      errors: [
        { to: 'model', model: 'second', error: { code: 'max_retries_exceeded' } },
        { to: 'person', queue: 'support', error: { code: 'max_retries_exceeded' } },
      ],
    });
    expect(item.steps[0]).toMatchObject({ step: 1, calls: [{ tool: 'echo', status: 'ok' }] });
    expect(item.errors.map(({ error }) => /^model (\w+) failed/.exec(error.message)?.[1])).toEqual(['first', 'second']);
    expect(JSON.stringify(item)).not.toContain(KEY);
    expect(log.lines.filter(({ event }) => event === 'person.queued')).toMatchObject([
      { level: 'warn', fields: { run_id: run, queue: 'support' } },
    ]);
  });

  it('is claimed by one, given back by anybody, and done by whoever has it', async () => {
    const cluster = desk();
    await cluster.node();
    const run = await queued(cluster);
    const [ann, bea] = [operatorOf(cluster, 'ann'), operatorOf(cluster, 'bea')];
    expect(await failing(drive(cluster, ann.queueRelease(run)))).toContain('not_claimed');
    expect((await drive(cluster, ann.queueClaim(run))).standing).toMatchObject({ state: 'claimed', by: 'ann' });
    await drive(cluster, ann.queueClaim(run));
    expect(await failing(drive(cluster, bea.queueClaim(run)))).toMatch(/^already_claimed: ann has claimed/);
    expect(await failing(drive(cluster, bea.queueDone(run, { note: 'x' })))).toMatch(/^already_claimed: ann/);
    expect((await drive(cluster, bea.why(run))).text).toMatch(
      /waits for a person in queue support; since .*; claimed by ann at .*; unblock: ann, with proctor queue done/,
    );
    await drive(cluster, bea.queueRelease(run, 'ann is away'));
    expect((await drive(cluster, bea.why(run))).text).toContain(`nobody has claimed it`);
    await drive(cluster, bea.queueClaim(run));
    await drive(cluster, bea.queueDone(run, { answer: { refund: 3 }, note: 'by hand' }));
    await drive(cluster, bea.queueDone(run, { answer: { refund: 3 }, note: 'by hand' }));
    expect(await failing(drive(cluster, bea.queueDone(run, { answer: 4 })))).toMatch(/^already_done: bea/);
    expect(await failing(drive(cluster, ann.queueClaim(run)))).toMatch(/^already_done: bea/);
    expect(await failing(drive(cluster, ann.queueRelease(run)))).toMatch(/^already_done/);
    const { words } = await drive(cluster, ann.queueItem(run));
    expect(words.map(({ kind, by }) => `${kind} ${by}`)).toEqual([
      'claimed ann',
      'released bea',
      'claimed bea',
      'done bea',
    ]);
    expect(await drive(cluster, all(ann.queue()))).toEqual([]);
    expect(await drive(cluster, all(ann.queue({ all: true, queue: 'support' })))).toHaveLength(1);
    expect(await drive(cluster, all(ann.queue({ all: true, queue: 'other' })))).toEqual([]);
    expect(await drive(cluster, ann.why(run))).toMatchObject({
      waiting_for: null,
      text: expect.stringMatching(/bea of queue support solved it/),
    });
  });

  it('tells its submitter what the person answered, and nobody else', async () => {
    const cluster = desk();
    await cluster.node();
    const run = await queued(cluster);
    const heard: unknown[] = [];
    cluster.client.subscribe(cluster.subjects.anyEvent(run, 'u'), ({ data }) => void heard.push(JSON.parse(data)));
    const client = clientOf(cluster);
    expect(await drive(cluster, client.personAnswer(run))).toBeNull();
    await drive(cluster, operatorOf(cluster, 'ann').queueDone(run, { note: 'no such order', outcome: 'not_solved' }));
    expect(await drive(cluster, client.personAnswer(run))).toEqual({
      run,
      queue: 'support',
      by: 'ann',
      at: expect.any(Number),
      outcome: 'not_solved',
      note: 'no such order',
    });
    expect(heard).toMatchObject([
      { run, code: 'queued_for_human', person: { queue: 'support', by: 'ann', outcome: 'not_solved' } },
    ]);
    expect((await cluster.statuses()).at(-1)).toEqual(heard[0]);
    expect((await cluster.results())[0]).toMatchObject({ status: 'failed', answer: null });
    expect(await failing(drive(cluster, clientOf(cluster, 'v').personAnswer(run)))).toContain('unknown_run');
  });

  it('is not there when it ended otherwise, or never was', async () => {
    const cluster = desk();
    await cluster.node();
    await cluster.submit({ input: 'x', plan: { steps: [{ id: 's', tool: 'echo', args: {} }] } }, 'plan');
    const { run } = await cluster.result();
    const ann = operatorOf(cluster, 'ann');
    const acts: (() => Promise<unknown>)[] = [
      () => ann.queueItem(run),
      () => ann.queueClaim(run),
      () => ann.queueRelease(run),
      () => ann.personAnswer(run),
    ];
    for (const act of acts) expect(await failing(drive(cluster, act()))).toContain('not_queued');
    expect(await failing(drive(cluster, ann.queueDone(run, {})))).toContain('an answer or a note');
    expect(await failing(drive(cluster, ann.queueClaim('20260101-none-1')))).toContain('unknown_run');
    expect(await failing(drive(cluster, ann.queueDone(run, { answer: 'x'.repeat(300_000) })))).toContain(
      '262144 bytes',
    );
    expect(await items(cluster)).toEqual([]);
  });

  it('is listed in pages, and nothing that another version wrote stands in the way of the others', async () => {
    const cluster = desk();
    const log = recordingLog();
    await cluster.node('n1', { log });
    for (let i = 0; i < 5; i++) {
      await cluster.submit({ input: i }, 'desk');
      await cluster.until('result', async () => (await cluster.results()).length === i + 1);
    }
    const ann = operatorOf(cluster, 'ann');
    const page = async (after: number): Promise<{ items: { run: string; task: string }[]; next: number | null }> => {
      const body = JSON.stringify({ limit: 2, after });
      const asked = cluster.client.request(cluster.subjects.api('human_items'), body, { timeoutMs: 5_000 });
      return JSON.parse((await drive(cluster, asked)).data) as never;
    };
    const [, second] = (await page(0)).items;
    await drive(cluster, ann.queueDone(second?.run ?? '', { note: 'x' }));
    const tasks: string[][] = [];
    for (let after: number | null = 0; after !== null; ) {
      const { items, next } = await page(after);
      tasks.push(items.map(({ task }) => task));
      after = next;
    }
    expect(tasks).toEqual([['0'], ['2', '3'], ['4']]);

    const [first] = await drive(cluster, all(ann.queue()));
    const run = first?.run ?? '';
    await cluster.client.publish(cluster.subjects.human('support', run, 1), '{"v":2,"kind":"claimed"}');
    await cluster.client.publish(cluster.subjects.human('support', '20260101-later-1', 0), 'not JSON');
    const listed = await drive(cluster, all(ann.queue()));
    expect(listed.map(({ standing }) => standing.state)).toEqual(['unreadable', 'open', 'open', 'open']);
    expect(log.lines.some(({ event }) => event === 'person.unreadable')).toBe(true);
    expect(await failing(drive(cluster, ann.queueClaim(run)))).toMatch(/^unreadable: what was said last about run/);
    expect(await failing(drive(cluster, ann.personAnswer(run)))).toMatch(/^unreadable/);
    expect((await drive(cluster, ann.queueItem(run))).item.task).toBe('0');
    expect((await drive(cluster, ann.why(run))).text).toContain('a node of a newer version knows');
  });

  it('is an error for the run that delegated it', async () => {
    const cluster = desk();
    cluster.agents.set('boss', {
      ...cluster.agents.get('desk'),
      name: 'boss',
      model: 'boss',
      fallback: undefined,
    } as never);
    cluster.agents.set('boss', { ...cluster.agents.get('boss'), delegates_to: ['desk'] } as never);
    cluster.modelMap.boss = {
      think: async (input) =>
        input.step === 1
          ? scripted({ action: 'delegate', agent: 'desk', input: 'part' })
          : scripted({
              action: 'final_answer',
              answer: (await input.window())[0]?.observations[0]?.error?.code ?? 'no error',
            }),
    };
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'boss');
    const result = await cluster.until('result', async () =>
      (await cluster.results()).find((one) => one.agent === 'boss'),
    );
    expect(result).toMatchObject({ status: 'completed', answer: 'queued_for_human' });
    expect(await items(cluster)).toMatchObject([{ agent: 'desk', parent: result.run }]);
  });
});

describe('a node that dies between the end of a run and its result', () => {
  const scenario = async (dieAt: FaultPoint | null, hit: number) => {
    const cluster = await desk().prepare();
    const visited = new Set<FaultPoint>();
    let left = hit;
    let node: TestNode | null = null;
    let crashes = 0;
    const dies = (point: FaultPoint): boolean => {
      visited.add(point);
      return point === dieAt && left > 0 && --left === 0;
    };
    await cluster.submit({ input: 'x' }, 'desk');
    const answered = new Set<string>();
    const look = async () => {
      if (node === null || node.dead) {
        if (node !== null) crashes++;
        node = await cluster.node(`n${crashes}`, { settings: { lease_ms: 1_000 }, dieAt: dies });
      }
      // A person may be quicker than the node that comes next.
      for (const { run } of await items(cluster)) {
        if (answered.has(run)) continue;
        answered.add(run);
        await drive(cluster, operatorOf(cluster, 'ann').queueDone(run, { note: 'done' })).catch((thrown: unknown) => {
          if (node?.dead !== true) throw thrown;
          answered.delete(run);
        });
      }
      const [result] = await cluster.results();
      return result !== undefined && answered.has(result.run) && result;
    };
    const result = await cluster.until('answer', look);
    await cluster.clock.advance(60_000);
    await look();
    await cluster.clock.advance(60_000);
    return {
      result,
      visited,
      crashes,
      left,
      items: await items(cluster),
      words: await cluster.last('HUMAN', 'proctor.human.*.*.*', (text) => (JSON.parse(text) as { kind: string }).kind),
      status: (await cluster.statuses()).at(-1),
      queue: await cluster.last('QUEUE', 'proctor.queue.>', (text) => text),
    };
  };

  it('leaves one item, one answer, and a submitter who was told', async () => {
    const calm = await scenario(null, 1);
    for (const point of PERSON_POINTS) expect(calm.visited).toContain(point);
    const points = [...FAULT_POINTS, ...PERSON_POINTS].filter((point) => calm.visited.has(point));
    let died = 0;
    for (const point of points) {
      for (const hit of [1, 2, 3]) {
        const seen = await scenario(point, hit);
        if (seen.left > 0) continue;
        died++;
        const where = `${point} #${hit}`;
        expect(seen.crashes, where).toBe(1);
        expect(seen.result, where).toMatchObject({ code: 'queued_for_human', partial: { found: 'half of it' } });
        expect(seen.items, where).toMatchObject([{ run: seen.result.run, queue: 'support' }]);
        expect(seen.words, where).toEqual(['queued', 'done']);
        expect(seen.status, where).toMatchObject({
          code: 'queued_for_human',
          person: { by: 'ann', outcome: 'solved' },
        });
        expect(seen.queue, where).toEqual([]);
      }
    }
    expect(died).toBeGreaterThanOrEqual(points.length - 1);
  }, 120_000);
});
