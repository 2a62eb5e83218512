import { describe, expect, it } from 'vitest';
import { scripted } from '../../src/adapters/model/scripted.ts';
import type { Io } from '../../src/cli/io.ts';
import { showText } from '../../src/cli/show-view.ts';
import { RunDetails } from '../../src/client/answers.ts';
import type { AgentDefinition } from '../../src/core/agent.ts';
import { AppError } from '../../src/core/errors.ts';
import type { Json } from '../../src/core/json.ts';
import type { Model, WindowStep } from '../../src/ports/model.ts';
import { tracePage } from '../../src/runtime/decision-trace.ts';
import { FAULT_POINTS, type FaultPoint } from '../../src/runtime/fault-points.ts';
import { RunFold } from '../../src/runtime/fold.ts';
import { Cluster, type NodeOptions, type TestNode } from './support.ts';

/** A part that the boss gives away: how often its run fails, and how long its work takes, milliseconds. */
interface Part {
  name: string;
  fails?: number;
  ms?: number;
}

/** A boss who gives parts to workers in its first step, and ends with what came of them. */
class Office {
  readonly cluster: Cluster;
  readonly parts: Part[];
  /** The runs that worked on a part, in the order in which they began. */
  readonly starts = new Map<string, string[]>();
  seen: WindowStep[] = [];

  constructor(parts: Part[], boss: Partial<AgentDefinition> = {}, worker: Partial<AgentDefinition> = {}) {
    this.parts = parts;
    this.cluster = new Cluster(
      { name: 'boss', model: 'boss', delegates_to: ['worker'], ...boss },
      { name: 'worker', model: 'worker', ...worker },
    );
    this.cluster.tools.add('work', async ({ ms }) => {
      await new Promise<void>((resolve) => void this.cluster.clock.after(Number(ms), resolve));
      return 'worked';
    });
    this.cluster.modelMap.boss = {
      think: async (input) => {
        if (input.step > 1) {
          this.seen = await input.window();
          return scripted({ action: 'final_answer', answer: 'done' });
        }
        const members = this.parts.map((part) => ({ agent: 'worker', input: { ...part } as Json }));
        return scripted({ action: 'delegate', members });
      },
    };
    this.cluster.modelMap.worker = {
      think: async ({ run, task, step }) => {
        const { name, fails = 0, ms = 100 } = task.input as unknown as Part;
        const runs = this.starts.get(name) ?? [];
        if (!runs.includes(run)) this.starts.set(name, [...runs, run]);
        const index = (this.starts.get(name) ?? []).indexOf(run);
        const usage = { input_tokens: 10, output_tokens: 1, cost_usd: 0 };
        if (step === 1) return { ...scripted({ action: 'tool_call', calls: [{ tool: 'work', args: { ms } }] }), usage };
        if (index < fails) throw new AppError('broken', `${name} fails`);
        return { ...scripted({ action: 'final_answer', answer: `${name} ${index}` }), usage };
      },
    };
  }

  async run(options: NodeOptions = {}) {
    await this.cluster.node('n1', options);
    await this.cluster.submit({ input: 'x' }, 'boss');
    const result = await this.cluster.until('result of the boss', async () =>
      (await this.cluster.results()).find(({ agent }) => agent === 'boss'),
    );
    return result;
  }

  /** What the boss saw of its parts. */
  get observations(): [string, Json][] {
    return this.seen[0]?.observations.map(({ status, result }) => [status, result]) ?? [];
  }

  /** How often each part was begun. */
  get begun(): Record<string, number> {
    return Object.fromEntries([...this.starts].map(([name, runs]) => [name, runs.length]));
  }

  async ends(): Promise<string[]> {
    const results = await this.cluster.results();
    const named = [...this.starts].flatMap(([name, runs]) => runs.map((run, i) => [run, `${name} ${i}`] as const));
    return named.map(([run, what]) => `${what}: ${results.find((one) => one.run === run)?.code}`).sort();
  }
}

const team = (strategy: 'one_for_one' | 'one_for_all' | 'rest_for_one', intensity = 3) => ({
  team: { strategy, intensity, period_ms: 60_000 },
});

describe('a team', () => {
  it('works at the same time, in any order, and its answers stand in the order of its members', async () => {
    const office = new Office([{ name: 'a', ms: 400 }, { name: 'b', ms: 200 }, { name: 'c' }]);
    const result = await office.run();
    expect(result).toMatchObject({ status: 'completed', steps: 2, input_tokens: 60, output_tokens: 6 });
    expect(result.duration_ms).toBeLessThan(700);
    expect(office.observations).toEqual([
      ['ok', 'a 0'],
      ['ok', 'b 0'],
      ['ok', 'c 0'],
    ]);
  });

  it('without rules starts nobody again: a failure is what the boss sees, and the others go on', async () => {
    const office = new Office([
      { name: 'a', fails: 1 },
      { name: 'b', ms: 400 },
    ]);
    await office.run();
    expect(office.observations).toEqual([
      ['error', 'worked'],
      ['ok', 'b 0'],
    ]);
    expect(office.begun).toEqual({ a: 1, b: 1 });
  });

  it('one_for_one: starts again who failed, and nobody else', async () => {
    const office = new Office([{ name: 'a', ms: 900 }, { name: 'b', fails: 2 }, { name: 'c' }], team('one_for_one'));
    const result = await office.run();
    expect(office.observations).toEqual([
      ['ok', 'a 0'],
      ['ok', 'b 2'],
      ['ok', 'c 0'],
    ]);
    expect(office.begun).toEqual({ a: 1, b: 3, c: 1 });
    // What failed was paid for as well.
    expect(result.input_tokens).toBe(2 * 10 + 2 * 10 + 2 * 10 + 2 * 10);
  });

  it('one_for_all: tells all others to stop, waits for their ends, and starts all again, also who was done', async () => {
    const office = new Office(
      [{ name: 'a', ms: 900 }, { name: 'b', fails: 1, ms: 300 }, { name: 'c' }],
      team('one_for_all'),
    );
    await office.run();
    expect(office.observations).toEqual([
      ['ok', 'a 1'],
      ['ok', 'b 1'],
      ['ok', 'c 1'],
    ]);
    expect(await office.ends()).toEqual([
      'a 0: cancelled',
      'a 1: completed',
      'b 0: error',
      'b 1: completed',
      'c 0: completed',
      'c 1: completed',
    ]);
  });

  it('rest_for_one: those before the one that failed go on', async () => {
    const office = new Office(
      [
        { name: 'a', ms: 900 },
        { name: 'b', fails: 1, ms: 300 },
        { name: 'c', ms: 900 },
      ],
      team('rest_for_one'),
    );
    await office.run();
    expect(office.observations).toEqual([
      ['ok', 'a 0'],
      ['ok', 'b 1'],
      ['ok', 'c 1'],
    ]);
    expect(office.begun).toEqual({ a: 1, b: 2, c: 2 });
  });

  it('is given up after one restart too many: the others are told to stop, and the step ends with the failures', async () => {
    const office = new Office(
      [
        { name: 'a', ms: 9_000 },
        { name: 'b', fails: 9 },
      ],
      team('one_for_one', 2),
    );
    await office.run();
    expect(office.begun).toEqual({ a: 1, b: 3 });
    expect(office.observations.map(([status]) => status)).toEqual(['error', 'error']);
    expect(await office.ends()).toEqual(['a 0: cancelled', 'b 0: error', 'b 1: error', 'b 2: error']);
  });

  it('does not start again whom somebody cancelled', async () => {
    const office = new Office([{ name: 'a', ms: 5_000 }, { name: 'b' }], team('one_for_all'));
    const { cluster } = office;
    const ended = office.run();
    const child = await cluster.until('run of a', async () => office.starts.get('a')?.[0]);
    const subject = cluster.subjects.inbox({ run: child, kind: 'cancel', id: 'op' });
    await cluster.client.publish(subject, JSON.stringify({ v: 1, by: 'op', why: 'not needed' }));
    await ended;
    expect(office.begun).toEqual({ a: 1, b: 1 });
    expect(office.observations.map(([status]) => status)).toEqual(['error', 'ok']);
  });

  it('ends with its boss, also those that are on their way to their end', async () => {
    const office = new Office(
      [
        { name: 'a', ms: 50_000 },
        { name: 'b', ms: 50_000 },
      ],
      team('one_for_all'),
    );
    const { cluster } = office;
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'boss');
    await cluster.until('both at work', async () => office.starts.size === 2);
    await cluster.clock.advance(500);
    const boss = (await cluster.statuses()).find(({ agent }) => agent === 'boss');
    const subject = cluster.subjects.inbox({ run: boss?.run ?? '', kind: 'cancel', id: 'op' });
    await cluster.client.publish(subject, JSON.stringify({ v: 1, by: 'op', why: 'enough' }));
    await cluster.until('all results', async () => (await cluster.results()).length === 3);
    expect((await cluster.results()).map(({ code }) => code)).toEqual(['cancelled', 'cancelled', 'cancelled']);
  });

  it('shares what its boss has left, and has no more than it', async () => {
    const office = new Office(
      [{ name: 'a' }, { name: 'b' }],
      {
        limits: { tokens: 1_000, cost_usd: 0.5, depth: 3 } as never,
        tools: ['work', 'read_*'],
      },
      { tools: ['*'] },
    );
    const { cluster } = office;
    await office.run();
    for (const run of [...office.starts.values()].flat()) {
      const accepted = (await cluster.entries(run))[0]?.events[0];
      expect(accepted).toMatchObject({
        limits: { tokens: 500, cost_usd: 0.25, depth: 3 },
        above: [{ agent: 'boss', tools: ['work', 'read_*'] }],
      });
    }
  });

  it('has no tool that a run above it does not have, however its own definition reads', async () => {
    const office = new Office([{ name: 'a' }], { tools: ['read_*'] }, { tools: ['*'] });
    await office.run();
    const [run = ''] = office.starts.get('a') ?? [];
    const [first] = (await office.cluster.entries(run)).flatMap(({ events }) =>
      events.flatMap((event) => (event.type === 'decided' ? (event.calls ?? []) : [])),
    );
    expect(first?.refused).toMatchObject({
      code: 'tool_not_allowed_above',
      message: expect.stringContaining('agent boss above it'),
    });
  });

  it('is refused member by member: who is not listed, and whoever is one too many', async () => {
    const office = new Office([{ name: 'a' }, { name: 'b' }, { name: 'c' }], { limits: { children: 2 } as never });
    await office.run();
    expect(office.observations.map(([status]) => status)).toEqual(['ok', 'ok', 'refused']);
    expect(office.seen[0]?.observations[2]?.error).toMatchObject({ code: 'too_many_children' });
  });
});

describe('a team on a bus that loses acknowledgements', () => {
  /** Loses the first acknowledgement of the n-th message that `isMeant`: it is stored, and sent again after a while. */
  const losing = ({ broker }: Cluster, nth: number, isMeant: (subject: string, data: string) => boolean) => {
    let seen = 0;
    broker.intercept = (operation) => {
      if (operation.kind !== 'publish' || operation.attempt > 1) return 'ok';
      return isMeant(operation.subject, operation.data ?? '') && ++seen === nth ? 'lost_ack' : 'ok';
    };
  };

  it('shows what came of the last start, also when an entry holds the ends of several', async () => {
    const parts = [{ name: 'a' }, { name: 'b' }, { name: 'c', fails: 1 }];
    const office = new Office(parts, team('one_for_one'));
    // While the end of the first is on its way to the journal the others end.
    losing(office.cluster, 1, (subject, data) => subject.includes('.jrn.') && data.includes('"child_ended"'));
    const result = await office.run();
    const entries = await office.cluster.entries(result.run);
    const ends = entries.map(({ events }) => events.filter((event) => event.type === 'child_ended').length);
    expect(Math.max(...ends)).toBeGreaterThan(1);
    expect(office.observations).toEqual([
      ['ok', 'a 0'],
      ['ok', 'b 0'],
      ['ok', 'c 1'],
    ]);
    expect(result.step_log[0]?.calls.map(({ status }) => status)).toEqual(['ok', 'ok', 'ok']);
  });

  it('that is given up ends a member, too, whose start was not journalled yet', async () => {
    const parts = [
      { name: 'a', fails: 1, ms: 300 },
      { name: 'b', ms: 60_000 },
    ];
    const office = new Office(parts, team('one_for_one', 0));
    losing(office.cluster, 2, (subject) => subject.includes('.queue.worker.'));
    const result = await office.run();
    const entries = (await office.cluster.entries(result.run)).flatMap(({ events }) => events);
    const at = (type: string) => entries.findIndex((event) => event.type === type);
    expect(at('child_ended')).toBeLessThan(at('member_stopped'));
    expect(entries.filter((event) => event.type === 'delegated')).toHaveLength(1);
    expect(office.observations.map(([status]) => status)).toEqual(['error', 'error']);
    expect(await office.ends()).toEqual(['a 0: error', 'b 0: cancelled']);
    // What both had used.
    expect(result.input_tokens).toBe(20);
  });
});

describe('the trace of a team', () => {
  it('counts the starts of each member and shows what came of the last one', async () => {
    const office = new Office(
      [
        { name: 'a', ms: 900 },
        { name: 'b', fails: 2 },
      ],
      team('one_for_one'),
    );
    const { run } = await office.run();
    const entries = await office.cluster.entries(run);
    const accepted = entries[0]?.events[0];
    if (accepted?.type !== 'accepted') throw new Error('entry 0 does not say what was accepted');
    const fold = new RunFold();
    for (const entry of entries) fold.fold(entry);
    async function* all() {
      yield* entries;
    }
    const [step] = (await tracePage(fold, accepted, all(), 0)).steps;
    expect(step?.calls.map(({ attempts, observation }) => [attempts, observation.status, observation.preview])).toEqual(
      [
        [1, 'ok', 'a 0'],
        [3, 'ok', 'b 2'],
      ],
    );
    expect(step?.observation.status).toBe('ok');
    expect(step?.calls[1]?.child_run).toBe(office.starts.get('b')?.[2]);
    const again = step?.warnings.filter((text) => text.includes('started again')) ?? [];
    expect(again).toHaveLength(2);
    expect(again[0]).toContain(`after run ${office.starts.get('b')?.[0]} ended`);
  });
});

describe('what operators see of a team', () => {
  it('is its members with the states of their runs, and above each run those that it works for', async () => {
    const office = new Office(
      [
        { name: 'a', ms: 9_000 },
        { name: 'b', ms: 200, fails: 1 },
      ],
      team('one_for_one'),
    );
    const { cluster } = office;
    const over = office.run();
    await cluster.until('second start of b', async () => office.starts.get('b')?.length === 2);
    await cluster.clock.advance(500);
    const statuses = await cluster.statuses();
    const boss = statuses.find(({ agent }) => agent === 'boss')?.run ?? '';
    for (const status of statuses) expect(status.ancestors).toEqual(status.run === boss ? undefined : [boss]);
    const request = JSON.stringify({ run: boss });
    const { data } = await cluster.client.request(cluster.subjects.api('run'), request, { timeoutMs: 1_000 });
    const details = RunDetails.parse(JSON.parse(data));
    const [a = '', b = ''] = ['a', 'b'].map((name) => office.starts.get(name)?.at(-1));
    expect(details.status.members).toMatchObject([
      { agent: 'worker', status: 'child', run: a },
      { agent: 'worker', status: 'done', run: b, attempt: 1 },
    ]);
    expect(details.member_states).toEqual({ [a]: 'executing.calling', [b]: 'completed.answered' });
    const io: Io = { out() {}, err() {}, outIsTty: false, errIsTty: false, colours: false };
    const shown = showText(io, details, null, { now: cluster.clock.now(), self: 'proctor', asked: null });
    expect(shown).toMatch(new RegExp(`worker +${a} +executing\\.calling +0`));
    expect(shown).toMatch(new RegExp(`worker +${b} +completed\\.answered +1`));
    await over;
  });
});

describe('what a model is offered', () => {
  it('is nobody to delegate to once it may not any more', async () => {
    const cluster = new Cluster(
      { name: 'boss', model: 'boss', delegates_to: ['worker'], limits: { children: 1 } as never },
      { name: 'worker', model: 'worker', delegates_to: ['worker'], limits: { depth: 1 } as never },
    );
    const offered: Record<string, string[][]> = { boss: [], worker: [] };
    const model = (name: string): Model => ({
      think: async ({ step, delegates }) => {
        offered[name]?.push(delegates.map((one) => one.name));
        const next = { action: 'delegate' as const, agent: 'worker', input: 'part' };
        return scripted(name === 'boss' && step === 1 ? next : { action: 'final_answer', answer: 'done' });
      },
    });
    cluster.modelMap.boss = model('boss');
    cluster.modelMap.worker = model('worker');
    await cluster.node();
    await cluster.submit({ input: 'x' }, 'boss');
    await cluster.until('both results', async () => (await cluster.results()).length === 2);
    expect(offered).toEqual({ boss: [['worker'], []], worker: [[]] });
  });
});

describe('a node that dies while a team is started again', () => {
  async function scenario(dieAt?: FaultPoint, hit = 1) {
    const office = new Office(
      [
        { name: 'a', ms: 900 },
        { name: 'b', fails: 1, ms: 200 },
        { name: 'c', ms: 50 },
      ],
      team('one_for_all'),
    );
    const { cluster } = office;
    await cluster.prepare();
    const visited = new Set<FaultPoint>();
    let left = hit;
    let crashes = 0;
    let node: TestNode | null = null;
    const options: NodeOptions = {
      settings: { lease_ms: 1_000, park_after_ms: 300, snapshot_every: 3, claims_without_progress: 50 },
      dieAt: (point) => {
        visited.add(point);
        return point === dieAt && left > 0 && --left === 0;
      },
    };
    await cluster.submit({ input: 'x' }, 'boss');
    const result = await cluster.until('result of the boss', async () => {
      if (node === null || node.dead) {
        if (node !== null) crashes++;
        node = await cluster.node(`n${crashes}`, options);
      }
      return (await cluster.results()).find(({ agent }) => agent === 'boss');
    });
    await cluster.clock.advance(310_000);
    return { office, result, visited, crashes, left, queue: await cluster.last('QUEUE', 'proctor.queue.>', String) };
  }

  it('is replaced without loss: every member is started again once, and none is left behind', async () => {
    const calm = await scenario();
    expect(calm.visited).toContain('delegate.member_stopped');
    const answers = [
      ['ok', 'a 1'],
      ['ok', 'b 1'],
      ['ok', 'c 1'],
    ];
    expect(calm.office.observations).toEqual(answers);
    for (const point of FAULT_POINTS) {
      for (const hit of [1, 2, 3]) {
        const seen = await scenario(point, hit);
        if (seen.left > 0) continue;
        const where = `${point} #${hit}`;
        expect(seen.crashes, where).toBe(1);
        expect(seen.result, where).toMatchObject({ status: 'completed', answer: 'done' });
        expect(
          seen.office.observations.map(([status]) => status),
          where,
        ).toEqual(['ok', 'ok', 'ok']);
        const results = await seen.office.cluster.results();
        const runs = [...seen.office.starts.values()].flat();
        expect(
          runs.every((run) => results.some((one) => one.run === run)),
          where,
        ).toBe(true);
        // At most two starts of each: a death starts nobody again.
        expect(Math.max(...Object.values(seen.office.begun)), where).toBeLessThanOrEqual(2);
        expect(seen.queue, where).toEqual([]);
      }
    }
  }, 300_000);
});
