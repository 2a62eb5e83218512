import type { z } from 'zod';
import { MemoryBroker } from '../adapters/memory/memory-broker.ts';
import { MemoryBus } from '../adapters/memory/memory-bus.ts';
import { SimulatedClock } from '../adapters/memory/simulated-clock.ts';
import { startSupervisor } from '../app.ts';
import { type Client, createClient } from '../client/client.ts';
import { createOperator, type Operator } from '../client/operator.ts';
import type { AgentInput } from '../core/agent.ts';
import type { DecisionTrace } from '../core/decision-trace.ts';
import { AppError } from '../core/errors.ts';
import type { JournalEntry } from '../core/journal-entry.ts';
import type { PolicyInput } from '../core/policy.ts';
import type { RunResult } from '../core/result.ts';
import type { StatusEvent } from '../core/status.ts';
import { Subjects } from '../core/subjects.ts';
import type { Task } from '../core/task.ts';
import type { Model } from '../ports/model.ts';
import type { Log } from '../ports/telemetry.ts';
import type { SupervisorNode } from '../runtime/node.ts';
import type { NodeSettings } from '../runtime/settings.ts';
import { serveTools, type Worker } from '../worker/serve-tools.ts';
import type { WorkerTool } from '../worker/worker-tool.ts';
import { SILENT } from './local.ts';

/** A whole Proctor in memory, on a clock that moves only when it is told to. */

export interface TestStackOptions {
  /** Beside the built-in `plan`, which follows the plan of its task and needs no model. */
  agents?: AgentInput[];
  /** Answers for every agent given above, whatever model it names. */
  model?: Model;
  /** Served by a worker, as `proctor worker` would. */
  tools?: WorkerTool[];
  /** In force from the start. Default: every agent is autonomous, so that a test is about agents and not about trust. */
  policy?: PolicyInput;
  /** Default: a lease of 2 s; else those of a node. */
  settings?: Partial<NodeSettings>;
  /** When the clock begins, epoch milliseconds; default 2026-01-01T00:00:00Z. */
  start?: number;
  /** Default: nothing is logged. */
  log?: Log;
}

/** All methods let simulated time go by until what they promise has happened. */
export interface TestStack {
  readonly clock: SimulatedClock;
  /** As user `default`; let time go by with `until`. */
  readonly client: Client;
  /** As operator `test`; let time go by with `until`. */
  readonly operator: Operator;
  /** Hands in a task; the id of its run. Throws AppError as `Client.submit`. @param agent default the first agent given, else `plan` */
  submit(task: z.input<typeof Task>, agent?: string): Promise<string>;
  /** The result, as soon as the run has ended. */
  result(run: string): Promise<RunResult>;
  /** The first status whose state is this one, or begins with it: `waiting`, `waiting.person`. */
  reaches(run: string, state: string): Promise<StatusEvent>;
  trace(run: string): Promise<DecisionTrace>;
  journal(run: string): Promise<JournalEntry[]>;
  /** Lets `ms` of simulated time go by. */
  advance(ms: number): Promise<void>;
  /**
   * Lets time go by until the promise has settled. Throws AppError `not_settled` after `ms` of simulated time,
   * default a day.
   */
  until<T>(promise: Promise<T>, ms?: number): Promise<T>;
  /** Kills the node, as `kill -9` would, and starts another: whatever is not in the journal is lost. */
  crash(): Promise<void>;
  /** Stops everything; timers of the clock fire no more. */
  stop(): Promise<void>;
}

const DAY_MS = 86_400_000;

const ALL_AUTONOMOUS: PolicyInput = {
  permissions: [{ tool: '*', do: 'allow' }],
  autonomy: [{ agent: '*', level: 'autonomous' }],
};

export async function createTestStack(options: TestStackOptions = {}): Promise<TestStack> {
  const { agents = [], model, tools = [], policy = ALL_AUTONOMOUS, log = SILENT } = options;
  const clock = new SimulatedClock(options.start);
  const broker = new MemoryBroker({ clock });
  const subjects = new Subjects();
  const bus = new MemoryBus(broker, 'test');
  const until = <T>(promise: Promise<T>, ms = DAY_MS) => settle(clock, promise, ms);

  let count = 0;
  const startNode = async (): Promise<{ node: SupervisorNode; bus: MemoryBus }> => {
    const name = `node-${++count}`;
    const own = new MemoryBus(broker, name);
    const node = await until(
      startSupervisor({
        bus: own,
        subjects,
        log,
        clock,
        name,
        agents,
        models: model === undefined ? {} : Object.fromEntries(agents.map((agent) => [agent.model, model])),
        settings: { lease_ms: 2_000, ...options.settings },
        firstPolicy: { policy, by: 'test', why: 'the policy of the test stack' },
      }),
    );
    return { node, bus: own };
  };

  let running = await startNode();
  const client = createClient({ bus, subjects, user: 'default', clock });
  const operator = createOperator({ bus, subjects, by: 'test', clock });
  const worker: Worker | null =
    tools.length === 0 ? null : await until(serveTools({ bus, subjects, clock, log, id: 'test', tools }));

  return {
    clock,
    client,
    operator,
    submit: async (task, agent = agents[0]?.name ?? 'plan') => (await until(client.submit(task, agent))).run,
    result: (run) => until(client.result(run, { wait: true })),
    reaches: (run, state) => until(reaches(client, run, state)),
    trace: (run) => until(client.trace(run)),
    journal: (run) => until(collected(operator.journal(run))),
    advance: (ms) => clock.advance(ms),
    until,
    async crash() {
      running.bus.crash();
      running = await startNode();
    },
    async stop() {
      await until(running.node.stop());
      if (worker !== null) await until(worker.stop());
      await bus.close();
    },
  };
}

/** Moves from timer to timer until the promise has settled. */
async function settle<T>(clock: SimulatedClock, promise: Promise<T>, ms: number): Promise<T> {
  let settled = false;
  const done = promise.finally(() => {
    settled = true;
  });
  done.catch(() => undefined);
  const end = clock.now() + ms;
  for (await clock.settle(); !settled; await clock.settle()) {
    const due = clock.nextDue;
    if (due === null || due > end) throw notSettled(clock, due, ms);
    await clock.advance(Math.max(0, due - clock.now()));
  }
  return done;
}

function notSettled(clock: SimulatedClock, due: number | null, ms: number): AppError {
  const at = new Date(clock.now()).toISOString();
  const text =
    due === null
      ? `nothing more will happen (it is ${at}): a handler that waits for something outside must be given a fake`
      : `what was waited for did not happen within ${ms} ms of simulated time (it is ${at})`;
  return new AppError('not_settled', text);
}

async function reaches(client: Client, run: string, state: string): Promise<StatusEvent> {
  for await (const update of client.watch(run, { steps: false })) {
    if (update.type === 'step') continue;
    const { status } = update;
    if (status.state === state || status.state.startsWith(`${state}.`)) return status;
    if (update.type === 'ended') {
      throw new AppError('not_reached', `run ${run} never came to ${state}: it ended ${status.state}`);
    }
  }
  throw new AppError('not_reached', `run ${run} never came to ${state}`);
}

async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
