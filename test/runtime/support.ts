import { TRUSTING } from '../../bench/support/trusting.ts';
import { cryptoIds } from '../../src/adapters/crypto/ids.ts';
import { jsonSchemaValidator } from '../../src/adapters/json-schema/validator.ts';
import { MemoryBroker } from '../../src/adapters/memory/memory-broker.ts';
import { MemoryBus } from '../../src/adapters/memory/memory-bus.ts';
import { SimulatedClock } from '../../src/adapters/memory/simulated-clock.ts';
import { models } from '../../src/adapters/model/models.ts';
import { planModel } from '../../src/adapters/model/plan.ts';
import { nkeySignatures } from '../../src/adapters/nkeys/signing.ts';
import { AgentDefinition } from '../../src/core/agent.ts';
import type { StoredResult } from '../../src/core/blob.ts';
import { AppError } from '../../src/core/errors.ts';
import { decodeEntry, type JournalEntry } from '../../src/core/journal-entry.ts';
import type { Json } from '../../src/core/json.ts';
import { type QuotasInput, quotasFrom } from '../../src/core/quotas.ts';
import { RunResult } from '../../src/core/result.ts';
import { StatusEvent } from '../../src/core/status.ts';
import { streamsOf } from '../../src/core/streams.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { type ToolDefinition, ToolDefinition as ToolSchema } from '../../src/core/tool.ts';
import { hasPrice, type PriceEntry, priceOf } from '../../src/policy/pricing.ts';
import type { Bus } from '../../src/ports/bus.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { Model } from '../../src/ports/model.ts';
import type { Log, Telemetry } from '../../src/ports/telemetry.ts';
import type { ToolCall, ToolSource } from '../../src/ports/tools.ts';
import type { Validator } from '../../src/ports/validator.ts';
import { NO_WATCHDOG } from '../../src/ports/watchdog.ts';
import { Agents } from '../../src/runtime/agents.ts';
import { AnswerCache } from '../../src/runtime/answer-cache.ts';
import { CostHistory } from '../../src/runtime/cost-history.ts';
import type { NodeDeps } from '../../src/runtime/deps.ts';
import { type FaultPoint, type FaultPoints, NO_FAULTS } from '../../src/runtime/fault-points.ts';
import type { RunMachine } from '../../src/runtime/fold.ts';
import { Journal } from '../../src/runtime/journal.ts';
import { Lanes } from '../../src/runtime/lanes.ts';
import { LedgerLog } from '../../src/runtime/ledger-log.ts';
import { type SupervisorNode, startNode } from '../../src/runtime/node.ts';
import { type FirstPolicy, Policies } from '../../src/runtime/policies.ts';
import { NodeSettings } from '../../src/runtime/settings.ts';
import { Switches } from '../../src/runtime/switches.ts';
import { ToolCache } from '../../src/runtime/tool-cache.ts';

export const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent, enabled: () => false };

/** A log that keeps what was said, for tests that read it. */
export function recordingLog(): Log & { lines: { level: string; event: string; fields: Record<string, unknown> }[] } {
  const lines: { level: string; event: string; fields: Record<string, unknown> }[] = [];
  const at =
    (level: string) =>
    (event: string, fields: Record<string, unknown> = {}) =>
      void lines.push({ level, event, fields });
  const log = { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), child: () => log };
  return log;
}

type Handler = (args: Record<string, Json>, call: ToolCall) => Promise<Json | StoredResult> | Json | StoredResult;

/** Tools whose effects can be counted: every call that a handler saw. */
export class CountingTools implements ToolSource {
  readonly calls: ToolCall[] = [];
  private readonly tools = new Map<string, { definition: ToolDefinition; handler: Handler }>();

  add(name: string, handler: Handler, definition: Partial<ToolDefinition> = {}): this {
    const declared = { name, description: name, parameters: { type: 'object' }, idempotent: true, ...definition };
    this.tools.set(name, { definition: ToolSchema.parse(declared), handler });
    return this;
  }

  find(name: string): Promise<ToolDefinition | null> {
    return Promise.resolve(this.tools.get(name)?.definition ?? null);
  }

  list(): Promise<ToolDefinition[]> {
    return Promise.resolve([...this.tools.values()].map((tool) => tool.definition));
  }

  async call(call: ToolCall): Promise<Json | StoredResult> {
    const tool = this.tools.get(call.tool);
    if (tool === undefined) throw new AppError('unknown_tool', call.tool);
    this.calls.push(call);
    return tool.handler(call.args, call);
  }
}

export interface NodeOptions {
  quotas?: QuotasInput;
  settings?: Partial<NodeSettings>;
  log?: Log;
  telemetry?: Telemetry;
  machine?: RunMachine;
  validator?: Validator;
  /** What the node brings; default all agents of the cluster. */
  given?: AgentDefinition[];
  usable?: (agent: AgentDefinition) => AppError | null;
  /** Between the node and its bus, such as one that writes another version. */
  through?: (bus: Bus) => Bus;
  /** How far its clock is ahead of all others, milliseconds. */
  aheadMs?: number;
  /** Asked at every fault point: whether the process dies there. */
  dieAt?: (point: FaultPoint) => boolean;
}

/** A node as a test holds it. */
export interface TestNode {
  name: string;
  node: SupervisorNode;
  bus: MemoryBus;
  deps: NodeDeps;
  dead: boolean;
  /** The process dies: nothing of it reaches the bus or a tool any more. */
  kill(): void;
}

/** Nodes on one in-memory bus and one simulated clock. */
export class Cluster {
  readonly clock = new SimulatedClock();
  readonly broker = new MemoryBroker({ clock: this.clock });
  readonly subjects = new Subjects();
  readonly tools = new CountingTools().add('echo', (args) => args);
  readonly client = new MemoryBus(this.broker, 'client');
  agents = new Map<string, AgentDefinition>();
  modelMap: Record<string, Model> = { plan: planModel() };
  /** What is in force from the start; undefined: nothing was applied. */
  firstPolicy: FirstPolicy | undefined = TRUSTING;
  /** Without one a model costs nothing. */
  prices: PriceEntry[] = [];

  constructor(...agents: Partial<AgentDefinition>[]) {
    for (const agent of [{ name: 'plan', model: 'plan' }, ...agents]) {
      const parsed = AgentDefinition.parse({ model: 'plan', tools: ['*'], ...agent });
      this.agents.set(parsed.name, parsed);
    }
  }

  deps(name: string, bus: Bus, options: NodeOptions = {}): NodeDeps {
    const { aheadMs = 0 } = options;
    const clock: Clock = {
      now: () => this.clock.now() + aheadMs,
      after: (ms, action) => this.clock.after(ms, action),
    };
    const log = options.log ?? silent;
    const policies = new Policies({ bus, subjects: this.subjects, log, first: this.firstPolicy });
    const settings = NodeSettings.parse({ lease_ms: 2_000, ...options.settings });
    return {
      node: name,
      bus,
      journal: new Journal(bus, this.subjects, log, options.machine),
      subjects: this.subjects,
      clock,
      ids: cryptoIds,
      log,
      telemetry: options.telemetry ?? null,
      models: models(this.modelMap),
      tools: this.tools,
      validator: options.validator ?? jsonSchemaValidator(),
      signatures: nkeySignatures,
      answers: new AnswerCache(),
      toolResults: new ToolCache(),
      costs: new CostHistory(),
      agents: new Agents({
        bus,
        subjects: this.subjects,
        clock,
        ids: cryptoIds,
        log,
        node: name,
        given: (options.given ?? [...this.agents.values()]).map((definition) => ({ definition, source: 'test' })),
        usable: options.usable ?? (() => null),
      }),
      policies,
      faults: NO_FAULTS,
      lanes: new Lanes({ bus, subjects: this.subjects, clock, log, leaseMs: settings.lease_ms }),
      switches: new Switches({
        bus,
        subjects: this.subjects,
        clock,
        ids: cryptoIds,
        log,
        node: name,
        staleMs: settings.switch_stale_ms,
      }),
      ledger: new LedgerLog({ bus, subjects: this.subjects, clock, ids: cryptoIds, log }),
      quotas: () => policies.quotas ?? quotasFrom(options.quotas),
      price: (model) => {
        const table = { v: 1 as const, prices: this.prices };
        return hasPrice(table, model) ? priceOf(table, model, clock.now()) : null;
      },
      settings,
      watchdog: NO_WATCHDOG,
    };
  }

  async node(name = 'n1', options: NodeOptions = {}): Promise<TestNode> {
    const bus = new MemoryBus(this.broker, name);
    const test = {
      name,
      bus,
      dead: false,
      kill: () => {
        test.dead = true;
        bus.crash();
      },
    };
    const faults: FaultPoints = {
      hit: (point) => {
        if (!test.dead && options.dieAt?.(point) === true) test.kill();
      },
    };
    const tools: ToolSource = {
      find: (tool) => this.tools.find(tool),
      list: () => this.tools.list(),
      call: (call) => (test.dead ? new Promise(() => {}) : this.tools.call(call)),
    };
    const deps = { ...this.deps(name, options.through?.(bus) ?? bus, options), faults, tools };
    const starting = startNode(deps);
    // A node that may not start fails before anybody waits for it.
    starting.catch(() => undefined);
    let settled = false;
    const settle = () => {
      settled = true;
    };
    starting.then(settle, settle);
    // What it stores first may be lost on the way, and is sent again later.
    await this.until('started node', async () => settled, 60_000, 10);
    return Object.assign(test, { deps, node: await starting });
  }

  /** Creates the streams, for tests that publish before any node is there. */
  async prepare(): Promise<this> {
    await Promise.all(Object.values(streamsOf(this.subjects)).map((spec) => this.client.ensureStream(spec)));
    return this;
  }

  async submit(task: unknown, agent = 'plan', user = 'u'): Promise<number> {
    const data = typeof task === 'string' ? task : JSON.stringify(task);
    return (await this.client.publish(this.subjects.task(agent, user), data)).seq;
  }

  /** Advances time until something is there; fails after `ms` of simulated time. */
  async until<T>(what: string, look: () => Promise<T | null | undefined | false>, ms = 600_000, step = 50): Promise<T> {
    for (let passed = 0; passed <= ms; passed += step) {
      const found = await look();
      if (found !== null && found !== undefined && found !== false) return found;
      await this.clock.advance(step);
    }
    throw new Error(`after ${ms} ms of simulated time still no ${what}`);
  }

  async last<T>(stream: string, filter: string, parse: (text: string) => T): Promise<T[]> {
    const found: T[] = [];
    for await (const message of this.client.scan(this.subjects.stream(stream), filter)) found.push(parse(message.data));
    return found;
  }

  results(): Promise<RunResult[]> {
    return this.last('RES', 'proctor.res.>', (text) => RunResult.parse(JSON.parse(text)));
  }

  statuses(): Promise<StatusEvent[]> {
    return this.last('EVT', 'proctor.evt.>', (text) => StatusEvent.parse(JSON.parse(text)));
  }

  result(ms?: number): Promise<RunResult> {
    return this.until('result', async () => (await this.results())[0], ms);
  }

  status(state: string, ms?: number): Promise<StatusEvent> {
    return this.until(`run in ${state}`, async () => (await this.statuses()).find((one) => one.state === state), ms);
  }

  async entries(run: string): Promise<JournalEntry[]> {
    const stream = this.subjects.stream('JRN', run.slice(0, 8));
    const found: JournalEntry[] = [];
    for await (const message of this.client.scan(stream, `proctor.jrn.*.${run}.*`))
      found.push(decodeEntry(message.data, run));
    return found.sort((a, b) => a.n - b.n);
  }
}

/** A plan of echo steps, each after the one before. */
export function chain(length: number, tool = 'echo') {
  const steps = Array.from({ length }, (_, i) => ({
    id: `s${i}`,
    tool,
    args: { i },
    after: i === 0 ? [] : [`s${i - 1}`],
  }));
  return { input: 'chain', plan: { steps } };
}
