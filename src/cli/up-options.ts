import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { loadAgents } from '../app/agent-files.ts';
import { type LogLevel, logTo } from '../app/local.ts';
import { type Ops, startOps } from '../app/ops.ts';
import type { Stack, StackOptions } from '../app.ts';
import { AppError } from '../core/errors.ts';
import { Name } from '../core/task.ts';
import { natsOfEnvironment } from './connect.ts';
import { fromEnvironment, openTelemetryEnvironment, providerEnvironment } from './environment.ts';
import type { Io } from './io.ts';
import { pricingTable } from './pricing-table.ts';

/** What `up` was told, as what the stack needs. */

export interface UpOptions {
  dir: string;
  prefix: string;
  port?: number;
  user?: string[];
  root: string;
  allowHost?: string[];
  agents?: string;
  slots?: number;
  lease?: number;
  name?: string;
  logLevel?: LogLevel;
  http?: { host: string; port: number };
  pricing?: string;
  once?: string;
  agent: string;
  json?: boolean;
}

export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug', 'trace'];

export type NamedStackOptions = StackOptions & { name: string };

export async function stackOptions(io: Io, options: UpOptions): Promise<NamedStackOptions> {
  const users = options.user ?? ['default'];
  const unusable = users.find((user) => !Name.safeParse(user).success);
  if (unusable !== undefined) throw new AppError('usage', '--user: expected 1 to 64 characters, no control characters');
  const root = resolve(options.root);
  const folder = await stat(root).catch(() => null);
  if (folder?.isDirectory() !== true) {
    throw new AppError('no_root', `--root ${options.root} is no folder: name the one that tools may read and write`);
  }
  const agents = options.agents === undefined ? [] : await loadAgents(options.agents);
  const nats = await natsOfEnvironment();
  const given = fromEnvironment('PROCTOR_NATS_SERVER');
  return {
    dir: options.dir,
    prefix: options.prefix,
    users,
    ...(nats === null ? {} : { nats }),
    server: { path: fromEnvironment('PATH') ?? '', ...(given === undefined ? {} : { given }) },
    ...(options.port === undefined ? {} : { port: options.port }),
    root,
    allowHosts: options.allowHost ?? [],
    agents: agents.map(({ definition }) => definition),
    ...(options.agents === undefined ? {} : { agentSource: options.agents }),
    settings: {
      ...(options.slots === undefined ? {} : { slots: options.slots }),
      ...(options.lease === undefined ? {} : { lease_ms: options.lease }),
    },
    env: providerEnvironment(),
    pricing: await pricingTable(options.pricing),
    name: options.name ?? `node-${randomBytes(4).toString('hex')}`,
    log: logTo((text) => void process.stderr.write(text), levelOf(io, options)),
  };
}

/** Traces, figures and the HTTP server of a node, as the options and the environment want them. */
export function opsOf(options: UpOptions, settings: NamedStackOptions, stack: () => Stack | null): Promise<Ops> {
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
function levelOf(io: Io, { logLevel, once }: UpOptions): LogLevel {
  if (logLevel !== undefined) return logLevel;
  if (once !== undefined) return 'error';
  return io.errIsTty ? 'warn' : 'info';
}
