import type { Attributes, Meter } from '@opentelemetry/api';
import { toAppError } from '../../core/errors.ts';
import type { Log, Metrics, NodeFigures } from '../../ports/telemetry.ts';
import { observeEventLoop } from './event-loop.ts';

/** Figures through the API's meter. Names and units are part of what users build on: docs/telemetry.md lists them. */

const SHORT_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
const LONG_S = [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400, 86_400];

export function otelMetrics(meter: Meter, log: Log): Metrics {
  const seconds = (name: string, description: string, boundaries: number[]) =>
    meter.createHistogram(name, { description, unit: 's', advice: { explicitBucketBoundaries: boundaries } });
  const counter = (name: string, description: string, unit: string) => meter.createCounter(name, { description, unit });

  const tasks = counter('agent.tasks', 'Tasks taken from the queue, by whether they were accepted', '{task}');
  const claims = counter('agent.claims', 'Times that a node took a run, by why', '{claim}');
  const restarts = counter('agent.restarts', 'Runs taken over from an owner that died or crashed', '{restart}');
  const runs = counter('agent.runs', 'Runs that have ended, by outcome and reason', '{run}');
  const runSeconds = seconds('agent.run.duration', 'From acceptance to the end of a run', LONG_S);
  const time = counter('agent.run.time', 'Where the time of runs went', 's');
  const steps = seconds('agent.step.duration', 'From the beginning of a step to its last outcome', SHORT_S);
  const models = seconds('agent.model.duration', 'Model calls', SHORT_S);
  const tools = seconds('agent.tool.duration', 'Tool calls, all attempts and waits included', SHORT_S);
  const toolFailures = counter('agent.tool.failures', 'Tool calls that did not succeed, by code', '{call}');
  const toolCache = counter('agent.tool.cache', 'Results looked for in the cache of the node', '{lookup}');
  const answerCache = counter('agent.answer.cache', 'Answers to fall back on that were looked for', '{lookup}');
  const tokens = counter('agent.tokens', 'Tokens used by models', '{token}');
  const cost = counter('agent.cost', 'Cost of model calls', 'USD');

  return {
    task: (labels) => tasks.add(1, labels),
    claimed(labels) {
      claims.add(1, labels);
      if (labels.why === 'restart') restarts.add(1, { agent: labels.agent });
    },
    step: (labels, s) => steps.record(s, labels),
    model(labels, figures) {
      const { agent, model } = labels;
      models.record(figures.seconds, labels);
      if (figures.input_tokens > 0) tokens.add(figures.input_tokens, { agent, model, type: 'input' });
      if (figures.output_tokens > 0) tokens.add(figures.output_tokens, { agent, model, type: 'output' });
      if (figures.cost_usd > 0) cost.add(figures.cost_usd, { agent, model });
    },
    tool(labels, s, code) {
      tools.record(s, labels);
      if (labels.status !== 'ok') {
        toolFailures.add(1, { agent: labels.agent, tool: labels.tool, code: code ?? labels.status });
      }
    },
    toolCache: (labels) => toolCache.add(1, labels),
    answerCache: (labels) => answerCache.add(1, labels),
    time: (labels, s) => time.add(s, labels),
    run(labels, s) {
      runs.add(1, labels);
      runSeconds.record(s, { agent: labels.agent, outcome: labels.outcome });
    },
    observe(read) {
      const stop = [observeNode(meter, log, read), observeEventLoop(meter)];
      return () => {
        for (const one of stop) one();
      };
    },
  };
}

/** One read feeds the three gauges of a collection. */
function observeNode(meter: Meter, log: Log, read: () => Promise<NodeFigures>): () => void {
  const gauge = (name: string, description: string, unit: string) =>
    meter.createObservableGauge(name, { description, unit });
  const active = gauge('agent.runs.active', 'Runs in work on this node', '{run}');
  const queued = gauge('agent.queue.depth', 'Runs that wait for any node to take them', '{run}');
  const oldest = gauge('agent.queue.oldest_age', 'How long the first of them has waited', 's');
  const observed = [active, queued, oldest];
  const collect = async (result: { observe(of: typeof active, value: number, labels: Attributes): void }) => {
    try {
      for (const { agent, queue, ...figures } of (await read()).agents) {
        result.observe(active, figures.active, { agent });
        if (queue === null) continue;
        result.observe(queued, queue.depth, { agent });
        result.observe(oldest, queue.oldest_seconds, { agent });
      }
    } catch (thrown) {
      log.warn('telemetry.not_observed', {
        message: toAppError(thrown).message,
        consequence: 'queue figures are missing from this collection',
      });
    }
  };
  meter.addBatchObservableCallback(collect, observed);
  return () => meter.removeBatchObservableCallback(collect, observed);
}
