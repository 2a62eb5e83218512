import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cryptoIds } from '../../src/adapters/crypto/ids.ts';
import { scripted } from '../../src/adapters/model/scripted.ts';
import { connectNats } from '../../src/adapters/nats/connect.ts';
import { DecisionTrace } from '../../src/core/decision-trace.ts';
import { streamsOf } from '../../src/core/streams.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { CostHistory } from '../../src/runtime/cost-history.ts';
import { clientOf, drive } from '../client/support.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';
import { Cluster, recordingLog, silent } from './support.ts';

describe('cost outliers (SUP-5)', () => {
  const agent = { name: 'ai', model: 'ai' };

  /** A cluster where every run costs what its task says, in one step. */
  function costing(...more: object[]) {
    const cluster = new Cluster(agent, ...more);
    cluster.modelMap.ai = {
      think: ({ task }) => {
        const usage = { input_tokens: 1, output_tokens: 1, cost_usd: Number(task.input) };
        return Promise.resolve(scripted({ action: 'final_answer', answer: 'done' }, usage));
      },
    };
    const submit = async (costs: number[], name = 'ai') => {
      const before = (await cluster.results()).length;
      for (const cost of costs) await cluster.submit({ input: String(cost) }, name);
      return cluster.until('their results', async () => {
        const results = await cluster.results();
        return results.length === before + costs.length && results.slice(before);
      });
    };
    const warned = async (run: string) => {
      const { steps } = DecisionTrace.parse(await drive(cluster, clientOf(cluster).trace(run)));
      return steps.flatMap(({ warnings }) => warnings);
    };
    return { cluster, submit, warned };
  }

  it('are told beyond 3 times the median of the completed runs of the agent, from 20 of them on', async () => {
    const { cluster, submit, warned } = costing({ name: 'other', model: 'ai' });
    const log = recordingLog();
    await cluster.node('n1', { log });
    await submit(Array.from({ length: 18 }, (_, i) => 0.01 + i / 10_000));
    const early = await submit([0.2]);
    expect(await warned(early[0]?.run ?? '')).toEqual([]);
    await submit([0.01]);
    // The median of the twenty is 0.01085.
    const [most] = await submit([0.0325]);
    expect(await warned(most?.run ?? '')).toEqual([]);
    const [dear] = await submit([0.05]);
    expect(await warned(dear?.run ?? '')).toEqual([
      expect.stringMatching(/^COST_OUTLIER: 0\.0500 USD spent by this run, over 0\.03\d\d: far more than/),
    ]);
    expect(log.lines.filter(({ event }) => event === 'run.anomaly').map(({ fields }) => fields.code)).toEqual([
      'COST_OUTLIER',
    ]);
    // It only warns, and says nothing of another agent.
    expect(dear?.code).toBe('completed');
    const [others] = await submit([0.05], 'other');
    expect(await warned(others?.run ?? '')).toEqual([]);
  });

  it('are known to a node that starts later, from the results that are there', async () => {
    const { cluster, submit, warned } = costing();
    const first = await cluster.node('n1');
    await submit(Array.from({ length: 25 }, () => 0.01));
    await drive(cluster, first.node.stop());
    const { deps } = await cluster.node('n2');
    await cluster.until('the history', async () => deps.costs.usual('ai') === 0.01);
    const [dear] = await submit([0.04]);
    expect((await warned(dear?.run ?? '')).join()).toContain('COST_OUTLIER');
  });

  it('are judged by what the agent allows', async () => {
    const { cluster, submit, warned } = costing({
      name: 'lavish',
      model: 'ai',
      anomalies: { cost_usd: 1, tokens: 1_000, tool_calls: 10, cost_times: 10 },
    });
    await cluster.node();
    await submit(
      Array.from({ length: 20 }, () => 0.01),
      'lavish',
    );
    const [dear, dearer] = await submit([0.09, 0.11], 'lavish');
    expect(await warned(dear?.run ?? '')).toEqual([]);
    expect((await warned(dearer?.run ?? '')).join()).toContain('COST_OUTLIER');
  });
});

describe('the costs that a node reads when it starts, on a real server', () => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await startNatsServer();
  });
  afterAll(() => server.stop());

  it('are those of the newest results, and none of a stream that is not there', async () => {
    const subjects = new Subjects();
    const options = { servers: server.url, name: 'test', subjects, log: silent, random: cryptoIds.random };
    const bus = await connectNats(options);
    try {
      const log = recordingLog();
      const costs = new CostHistory();
      await costs.read({ bus, subjects, log }, () => true);
      expect(costs.usual('ai')).toBeNull();

      await bus.ensureStream(streamsOf(subjects).results);
      const store = (i: number, more: object) =>
        bus.publish(subjects.result('ai', 'u', `run-${i}`), JSON.stringify({ run: `run-${i}`, agent: 'ai', ...more }));
      await Promise.all(Array.from({ length: 20 }, (_, i) => store(i, { status: 'completed', cost_usd: 9 })));
      // 1,000 newer ones: of these 150 completed, of which the last 100 count.
      const newer = (i: number) =>
        i < 850 ? { status: 'failed', cost_usd: 5 } : { status: 'completed', cost_usd: i < 900 ? 7 : 2 };
      for (let i = 0; i < 1_000; i++) await store(1_000 + i, newer(i));
      await costs.read({ bus, subjects, log }, () => true);
      expect(costs.usual('ai')).toBe(2);
      // A node that stops reads no further.
      const other = new CostHistory();
      await other.read({ bus, subjects, log }, () => false);
      expect(other.usual('ai')).toBeNull();
      expect(log.lines).toEqual([]);
    } finally {
      await bus.close();
    }
  });
});
