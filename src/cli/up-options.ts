import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { loadAgents, loadPolicy } from '../app/definition-files.ts';
import { type LogLevel, logTo } from '../app/local.ts';
import { type Ops, startOps } from '../app/ops.ts';
import type { Stack, StackOptions } from '../app.ts';
import { AppError } from '../core/errors.ts';
import { Name } from '../core/task.ts';
import { find, natsOfEnvironment } from './connect.ts';
import { fromEnvironment, openTelemetryEnvironment, providerEnvironment } from './environment.ts';
import { exampleFile } from './example-task.ts';
import type { Io } from './io.ts';
import { pricingTable } from './pricing-table.ts';

/** What `up` and `supervisor` were told, as what the stack needs. */

/** Of every node, whether it brings its server or joins one. */
export interface NodeOptions {
  dir: string;
  root: string;
  allowHost?: string[];
  agents?: string;
  slots?: number;
  userSlots?: number;
  queueLimit?: number;
  userQueueLimit?: number;
  replicas?: number;
  allowOldReplicas?: boolean;
  lease?: number;
  exitBlocked?: number;
  name?: string;
  logLevel?: LogLevel;
  http?: { host: string; port: number };
  pricing?: string;
  json?: boolean;
}

export interface UpOptions extends NodeOptions {
  prefix: string;
  port?: number;
  user?: string[];
  /** False: without the page. */
  console: boolean;
  consolePort?: number;
  once?: string;
  agent: string;
}

export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug', 'trace'];

/** In the folder `examples`. */
const FIRST_POLICY = 'policies/first.yaml';

export type NamedStackOptions = StackOptions & { name: string };

/** Throws AppError `usage`, `no_root`, `no_credential`, and what is wrong with agents or prices. */
export async function stackOptions(io: Io, options: UpOptions): Promise<NamedStackOptions> {
  const users = options.user ?? ['default'];
  const unusable = users.find((user) => !Name.safeParse(user).success);
  if (unusable !== undefined) throw new AppError('usage', '--user: expected 1 to 64 characters, no control characters');
  const nats = await natsOfEnvironment();
  const given = fromEnvironment('PROCTOR_NATS_SERVER');
  return {
    dir: options.dir,
    prefix: options.prefix,
    users,
    ...(nats === null ? {} : { nats }),
    server: { path: fromEnvironment('PATH') ?? '', ...(given === undefined ? {} : { given }) },
    ...(options.port === undefined ? {} : { port: options.port }),
    ...(await firstPolicy()),
    ...(await nodeOptions(options)),
    log: logTo((text) => void process.stderr.write(text), levelOf(io, options)),
  };
}

/** The policy that comes with Proctor for its own server; none when the examples were not installed: then agents only read. */
async function firstPolicy(): Promise<Pick<StackOptions, 'firstPolicy'>> {
  const file = exampleFile(FIRST_POLICY);
  if (file === null) return {};
  const { policy, lines, text } = await loadPolicy(file);
  const why = 'no policy was applied yet: the first one that comes with Proctor';
  return { firstPolicy: { policy, lines, text, by: 'proctor up', why, source: `examples/${FIRST_POLICY}` } };
}

/** What a node needs whose server is there already: that of NATS_URL, or the one that runs in the folder. */
export async function memberOptions(io: Io, options: NodeOptions & { prefix?: string }): Promise<NamedStackOptions> {
  const { address, subjects } = await find(options, { role: 'node' });
  return {
    dir: options.dir,
    prefix: subjects.prefix,
    users: [],
    nats: address,
    server: { path: '' },
    ...(await nodeOptions(options)),
    log: logTo((text) => void process.stderr.write(text), levelOf(io, options)),
  };
}

async function nodeOptions(options: NodeOptions) {
  const root = resolve(options.root);
  const folder = await stat(root).catch(() => null);
  if (folder?.isDirectory() !== true) {
    throw new AppError('no_root', `--root ${options.root} is no folder: name the one that tools may read and write`);
  }
  const agents = options.agents === undefined ? [] : await loadAgents(options.agents);
  const host = hostname();
  return {
    replication: { replicas: options.replicas ?? 1, allowOldReplicas: options.allowOldReplicas ?? false },
    root,
    allowHosts: options.allowHost ?? [],
    agents: agents.map(({ definition }) => definition),
    ...(options.agents === undefined ? {} : { agentSource: options.agents }),
    settings: {
      ...(options.slots === undefined ? {} : { slots: options.slots }),
      ...(options.userSlots === undefined ? {} : { user_slots: options.userSlots }),
      ...(options.queueLimit === undefined ? {} : { queue_limit: options.queueLimit }),
      ...(options.userQueueLimit === undefined ? {} : { user_queue_limit: options.userQueueLimit }),
      ...(options.lease === undefined ? {} : { lease_ms: options.lease }),
      ...(options.exitBlocked === undefined ? {} : { block_exit_ms: options.exitBlocked }),
    },
    env: providerEnvironment(),
    pricing: await pricingTable(options.pricing),
    name: options.name ?? nameOn(host),
    host,
  };
}

/** A name that nobody has to choose: where the node runs, and something that no other node has. */
function nameOn(host: string): string {
  const where =
    host
      .split('.')[0]
      ?.replaceAll(/[^A-Za-z0-9_-]/g, '')
      .slice(0, 40) || 'node';
  return `${where}-${randomBytes(4).toString('hex')}`;
}

/** Traces, figures and the HTTP server of a node, as the options and the environment want them. */
export function opsOf(options: NodeOptions, settings: NamedStackOptions, stack: () => Stack | null): Promise<Ops> {
  return startOps({
    service: 'proctor',
    instance: settings.name,
    env: openTelemetryEnvironment(),
    http: options.http,
    token: fromEnvironment('PROCTOR_HTTP_TOKEN'),
    notReady: () => stack()?.notReady() ?? ['the node is starting'],
    log: settings.log,
  });
}

/** A person at the terminal wants to hear of trouble only; a collector of logs wants everything. */
export function levelOf(io: Io, { logLevel, once }: Partial<UpOptions>): LogLevel {
  if (logLevel !== undefined) return logLevel;
  if (once !== undefined) return 'error';
  return io.errIsTty ? 'warn' : 'info';
}
