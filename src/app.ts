import { randomBytes } from 'node:crypto';
import { aiModels } from './adapters/ai-sdk/models.ts';
import { systemClock } from './adapters/clock/system-clock.ts';
import { cryptoIds } from './adapters/crypto/ids.ts';
import { type Embedded, startEmbedded } from './adapters/embedded-nats/embedded.ts';
import { findNatsServer } from './adapters/embedded-nats/find-server.ts';
import { jsonSchemaValidator } from './adapters/json-schema/validator.ts';
import { models } from './adapters/model/models.ts';
import { planModel } from './adapters/model/plan.ts';
import { TIME_LIMIT_MS } from './adapters/model/query.ts';
import type { NatsBus } from './adapters/nats/bus.ts';
import { nkeySignatures } from './adapters/nkeys/signing.ts';
import { remoteToolSource } from './adapters/remote-tools/source.ts';
import { queriesInThread } from './adapters/toolbox/json-query.ts';
import { localToolSource } from './adapters/toolbox/source.ts';
import { createToolbox } from './adapters/toolbox/toolbox.ts';
import { startWatchdog } from './adapters/watchdog/watchdog.ts';
import { connectBus, type NatsAddress, type Replication } from './app/connect.ts';
import { AgentDefinition, type AgentInput, BUILT_IN_AGENT } from './core/agent.ts';
import { defineAgent } from './core/agent-input.ts';
import { type AppError, toAppError } from './core/errors.ts';
import { type QuotasInput, quotasFrom } from './core/quotas.ts';
import { streamsOf } from './core/streams.ts';
import { Subjects } from './core/subjects.ts';
import { costOf, hasPrice, type PricingTable, priceOf } from './policy/pricing.ts';
import type { Bus } from './ports/bus.ts';
import type { Cancel, Clock } from './ports/clock.ts';
import type { Model } from './ports/model.ts';
import type { Signatures } from './ports/signing.ts';
import type { Log, Telemetry } from './ports/telemetry.ts';
import type { ToolSource } from './ports/tools.ts';
import { NO_WATCHDOG } from './ports/watchdog.ts';
import { Agents, type GivenAgent } from './runtime/agents.ts';
import { AnswerCache } from './runtime/answer-cache.ts';
import { CostHistory } from './runtime/cost-history.ts';
import { type FaultPoints, NO_FAULTS } from './runtime/fault-points.ts';
import { Journal } from './runtime/journal.ts';
import { Lanes } from './runtime/lanes.ts';
import { LedgerLog } from './runtime/ledger-log.ts';
import { type SupervisorNode, startNode } from './runtime/node.ts';
import { type FirstPolicy, Policies } from './runtime/policies.ts';
import { NodeSettings } from './runtime/settings.ts';
import { Switches } from './runtime/switches.ts';
import { ToolCache } from './runtime/tool-cache.ts';
import { combinedTools } from './runtime/tool-sources.ts';

export { connectBus, type NatsAddress };

/**
 * The composition root: the only place where the runtime and its adapters meet. `startSupervisor` is one node on a bus
 * that is there; `startStack` brings the server as well.
 */

/** The agent that comes with Proctor: follows the plan that a task brings, with any tool that is there. */
export const PLAN_AGENT = AgentDefinition.parse({
  name: BUILT_IN_AGENT,
  model: 'plan',
  description: 'Carries out the plan that the task brings. Needs no model and no key.',
  tools: ['*'],
  limits: { steps: 10_000, wall_ms: 86_400_000, tool_calls: 100_000 },
});

export interface SupervisorOptions {
  bus: Bus;
  subjects: Subjects;
  log: Log;
  /** Traces and figures; without it there are none. */
  telemetry?: Telemetry | undefined;
  /** Unique among the nodes that run now; default a random one. */
  name?: string;
  /** Name of this machine, for those who look for the node; default none. */
  host?: string;
  settings?: Partial<NodeSettings>;
  /** What this node brings beside `plan`: stored for all nodes. A stored version never changes. */
  agents?: AgentInput[];
  /** Where those come from, for whoever reads them later; default `a program`. */
  agentSource?: string;
  /** Model adapters beside `plan` and the providers, by name. */
  models?: Record<string, Model>;
  /** Where keys and addresses of model providers come from, such as `process.env`; without it there are none. */
  env?: Readonly<Record<string, string | undefined>>;
  /** What models cost; a provider's model without a price is not used. */
  pricing?: PricingTable;
  /** Budgets, rates, caps and breakers of the whole cluster: the same on every node. */
  quotas?: QuotasInput;
  /** Folder that the file tools are confined to; without it there is no toolbox. */
  root?: string;
  /** Hosts that http_fetch may reach. */
  allowHosts?: string[];
  /** More tools in this process. */
  tools?: ToolSource[];
  /** Server time minus this process's time, milliseconds. */
  clockOffset?: () => number;
  /** Time and timers; default this process's, moved by `clockOffset`. */
  clock?: Clock;
  /**
   * Put into force, as a version that says who and why, where no policy was ever applied; default none: agents only read
   * until one is.
   */
  firstPolicy?: FirstPolicy;
  faults?: FaultPoints;
  /** How decisions of approvers are checked; default Ed25519 nkeys. */
  signatures?: Signatures;
}

export async function startSupervisor(options: SupervisorOptions): Promise<SupervisorNode> {
  const { bus, subjects, log } = options;
  const clock = options.clock ?? systemClock(options.clockOffset ?? (() => 0));
  const node = options.name ?? `node-${cryptoIds.random()}`;
  const { env = {}, pricing = { v: 1, prices: [] } } = options;
  const providers = aiModels({ env, clock, cost: (model, tokens, at) => costOf(priceOf(pricing, model, at), tokens) });
  // A thread cannot be waited for where time is simulated.
  const queries = options.clock === undefined ? queriesInThread(clock, TIME_LIMIT_MS) : undefined;
  const known = models({ plan: planModel(queries), ...options.models }, providers);
  const sources: ToolSource[] = [...(options.tools ?? [])];
  if (options.root !== undefined) {
    const toolbox = createToolbox({ root: options.root, allowHosts: options.allowHosts ?? [], clock });
    sources.push(localToolSource(toolbox, clock));
  }
  sources.push(remoteToolSource({ bus, subjects, clock, log, random: cryptoIds.random }));
  const agents = new Agents({
    bus,
    subjects,
    clock,
    ids: cryptoIds,
    log,
    node,
    given: givenAgents(options),
    usable: (agent) => missing(() => known.check(agent)),
  });
  const settings = NodeSettings.parse(options.settings ?? {});
  const quotas = quotasFrom(options.quotas);
  const ledger = new LedgerLog({ bus, subjects, clock, ids: cryptoIds, log });
  const staleMs = settings.switch_stale_ms;
  const switches = new Switches({ bus, subjects, clock, ids: cryptoIds, log, node, staleMs });
  const policies = new Policies({ bus, subjects, log, first: options.firstPolicy });
  // A clock that is not this process's says nothing about its event loop.
  const watchdog =
    options.clock === undefined ? startWatchdog({ node, log, clock, ...blockLimits(settings) }) : NO_WATCHDOG;
  const starting = startNode({
    node,
    host: options.host ?? '',
    bus,
    journal: new Journal(bus, subjects, log),
    subjects,
    clock,
    ids: cryptoIds,
    log,
    telemetry: options.telemetry ?? null,
    models: known,
    tools: combinedTools(sources),
    validator: jsonSchemaValidator(),
    answers: new AnswerCache(),
    toolResults: new ToolCache(),
    costs: new CostHistory(),
    signatures: options.signatures ?? nkeySignatures,
    agents,
    policies,
    faults: options.faults ?? NO_FAULTS,
    lanes: new Lanes({ bus, subjects, clock, log, leaseMs: settings.lease_ms }),
    ledger,
    quotas: () => policies.quotas ?? quotas,
    price: (model) => {
      // A model in this process costs nothing unless the table says so.
      const own = model === PLAN_AGENT.model || Object.hasOwn(options.models ?? {}, model);
      return own && !hasPrice(pricing, model) ? null : priceOf(pricing, model, clock.now());
    },
    settings,
    switches,
    watchdog,
  });
  return starting.catch(async (thrown: unknown) => {
    watchdog.stop();
    // What follows them would keep the process alive.
    switches.quit();
    await Promise.all([ledger.stop(), policies.stop(), agents.stop()]);
    throw thrown;
  });
}

function blockLimits({ lease_ms, block_warn_ms, block_exit_ms = 3 * lease_ms }: NodeSettings) {
  return { warnMs: block_warn_ms, exitMs: block_exit_ms };
}

/** What the options bring, and `plan` unless they bring one of that name. */
function givenAgents({ agents = [], agentSource = 'a program' }: SupervisorOptions): GivenAgent[] {
  const given = agents.map((agent) => ({ definition: defineAgent(agent), source: agentSource }));
  const replaced = given.some(({ definition }) => definition.name === PLAN_AGENT.name);
  return replaced ? given : [{ definition: PLAN_AGENT, source: 'built in' }, ...given];
}

/** The AppError that a look-up ends in; null when it finds what it looks for. */
function missing(look: () => unknown): AppError | null {
  try {
    look();
    return null;
  } catch (thrown) {
    return toAppError(thrown);
  }
}

export interface StackOptions {
  /** Folder for keys, server configuration and data. */
  dir: string;
  prefix: string;
  /** Who may submit, on the embedded server. */
  users: string[];
  /** A server of yours; without it one is started. */
  nats?: NatsAddress;
  /** Which nats-server to start: PATH, and a path given by hand. */
  server: { path: string; given?: string };
  /** Preferred port of the embedded server; default 4222. */
  port?: number;
  /** Of streams that are not there yet. */
  replication?: Replication;
  root: string;
  allowHosts: string[];
  settings: Partial<NodeSettings>;
  name?: string;
  host?: string;
  /** Agents for the cluster beside `plan`, and where they come from. */
  agents?: AgentInput[];
  agentSource?: string;
  /** As for a node: where keys of model providers come from, and what models cost. */
  env?: Readonly<Record<string, string | undefined>>;
  pricing?: PricingTable;
  /** As for a node: what the whole cluster shares. */
  quotas?: QuotasInput;
  /** As for a node, of the server that is started here: a cluster of yours is left alone. */
  firstPolicy?: FirstPolicy;
  log: Log;
  telemetry?: Telemetry | undefined;
}

export interface Stack {
  url: string;
  subjects: Subjects;
  bus: NatsBus;
  node: SupervisorNode;
  /** Null when the server is yours. */
  embedded: Embedded | null;
  /**
   * Resolves when the embedded server cannot be kept alive, or the node has given up and handed its runs over; pending
   * for ever otherwise.
   */
  failed: Promise<AppError>;
  /** Why the node takes no work now; empty when it does. */
  notReady(): string[];
  /** Hands runs over, then stops everything in the reverse order of its start. */
  stop(): Promise<void>;
}

/** How often the offset to the server's clock is measured, milliseconds. */
const CLOCK_EVERY_MS = 60_000;

export async function startStack(options: StackOptions): Promise<Stack> {
  const { log } = options;
  const subjects = new Subjects(options.prefix);
  const embedded = options.nats === undefined ? await startServer(options) : null;
  const address = options.nats ?? { url: embedded?.url ?? '', nkeySeed: embedded?.keys.roles.node.seed ?? '' };
  let bus: NatsBus | null = null;
  let offset: { read: () => number; stop: Cancel } | null = null;
  try {
    bus = await connectBus(address, options.name ?? 'proctor', subjects, log, options.replication);
    const followed = await followServerClock(bus, subjects, log);
    offset = followed;
    const { firstPolicy, ...rest } = options;
    const node = await startSupervisor({
      ...rest,
      ...(embedded === null || firstPolicy === undefined ? {} : { firstPolicy }),
      ...{ bus, subjects, clockOffset: followed.read },
    });
    const connected = bus;
    let stopping = false;
    return {
      url: embedded?.url ?? options.nats?.url ?? '',
      subjects,
      bus,
      node,
      embedded,
      failed: embedded === null ? node.failed : Promise.race([embedded.failed, node.failed]),
      notReady: () => [
        ...(stopping ? ['draining: the node hands its runs over and takes no more'] : []),
        ...(node.order === null ? [] : [`${node.order.order}: told so by ${node.order.by}`]),
        ...(connected.connected ? [] : ['nats: not connected, the node waits for the server']),
        ...node.notReady(),
      ],
      stop: async () => {
        stopping = true;
        followed.stop();
        await node.stop();
        await connected.close();
        await embedded?.stop();
      },
    };
  } catch (error) {
    offset?.stop();
    await bus?.close();
    await embedded?.stop();
    throw error;
  }
}

async function startServer(options: StackOptions): Promise<Embedded> {
  const serverPath = await findNatsServer(options.server.path, options.server.given);
  return startEmbedded({
    dir: options.dir,
    prefix: options.prefix,
    users: options.users,
    serverPath,
    log: options.log,
    random: (bytes) => randomBytes(bytes),
    ...(options.port === undefined ? {} : { preferPort: options.port }),
  });
}

/** The offset between this process's clock and the server's, measured now and each minute on a write of our own. */
export async function followServerClock(
  bus: NatsBus,
  subjects: Subjects,
  log: Log,
  clock: Clock = systemClock(),
): Promise<{ read: () => number; stop: Cancel }> {
  const { clock: stream } = streamsOf(subjects);
  await bus.ensureStream(stream);
  const subject = subjects.clock(cryptoIds.random());
  let offset = await bus.serverTimeOffset(stream.name, subject);
  let cancel: Cancel = () => {};
  const again = () => {
    cancel = clock.after(CLOCK_EVERY_MS, () => {
      bus.serverTimeOffset(stream.name, subject).then(
        (measured) => {
          offset = measured;
          again();
        },
        (error: unknown) => {
          log.warn('clock.not_measured', { message: toAppError(error).message, offset_ms: offset });
          again();
        },
      );
    });
  };
  again();
  return { read: () => offset, stop: () => cancel() };
}
