import { createHash } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { type ServerType, serve } from '@hono/node-server';
import { createOperator } from '../../client/operator.ts';
import { AppError } from '../../core/errors.ts';
import type { Subjects } from '../../core/subjects.ts';
import type { Log } from '../../ports/telemetry.ts';
import { openApprovals } from '../../worker/open-approvals.ts';
import { type AppOptions, consoleApp } from './app.ts';
import { ApprovalsState } from './approvals.ts';
import { Assets } from './assets.ts';
import type { Accounts } from './auth/accounts.ts';
import type { TrustedProxy } from './auth/guard.ts';
import { Sessions } from './auth/sessions.ts';
import { Charts } from './charts.ts';
import { type ConsoleBus, clusterRuns, type FollowedList, followList } from './cluster-source.ts';
import { ClusterState } from './cluster-state.ts';
import { Figures } from './figures.ts';
import { Follows } from './follows.ts';
import { Inspections } from './inspections.ts';
import { RUN_CHART } from './run-chart.ts';
import { fileRuns, type readRunFile } from './run-file.ts';
import { RunIndex } from './run-index.ts';
import { Tabs } from './tabs.ts';

/** The console as a whole: one HTTP server over a cluster, or over one run in a file. */

export interface ConsoleOptions {
  host: string;
  /** 0 for any. */
  port: number;
  /** Folder of the built page. */
  assets: string;
  accounts: Accounts;
  /** Signs sessions: the same over restarts, and for all gateways behind one address. */
  secret: string;
  proxy: TrustedProxy | null;
  /** Where browsers reach it, when that is not where it listens. */
  publicUrl?: URL | undefined;
  source: { bus: ConsoleBus; subjects: Subjects } | { file: ReturnType<typeof readRunFile> };
  /** Server time, epoch milliseconds. */
  now(): number;
  log: Log;
}

export interface RunningConsole {
  url: string;
  stop(): Promise<void>;
}

/** Throws AppError `usage` (an address beyond loopback without accounts or proxy), `port_taken`, `no_page`. */
export async function startConsole(options: ConsoleOptions): Promise<RunningConsole> {
  const { host, port, accounts, proxy, publicUrl, source, now, log } = options;
  if (!isLoopback(host) && !accounts.any && proxy === null) {
    throw new AppError(
      'usage',
      `${host} can be reached from other machines: name who may use the console with --token-file or --proxy-header, or listen on 127.0.0.1`,
    );
  }
  const index = new RunIndex();
  const figures = new Figures(index, now);
  const charts = new Charts();
  const chart = charts.add(RUN_CHART, 'lasting');
  // Before the first who looks has to wait for it.
  charts
    .layout(chart, 'RIGHT', 'outline')
    .catch((error: Error) => log.warn('console.no_layout', { message: error.message }));
  const cluster = 'bus' in source ? clusterParts(source, options, charts) : null;
  const follows = new Follows(
    cluster?.runs ?? fileRuns((source as { file: ReturnType<typeof readRunFile> }).file),
    log,
  );
  const tabs = new Tabs({
    index,
    figures,
    cluster: cluster?.state ?? null,
    approvals: cluster?.approvals ?? null,
    inspections: cluster?.inspections ?? null,
    follows,
  });
  const list: FollowedList | null = 'bus' in source ? await followList(source, index) : null;
  figures.live = true;
  const secure = publicUrl?.protocol === 'https:';
  const app = consoleApp({
    guard: {
      accounts,
      sessions: new Sessions(options.secret, now),
      // Two consoles of one machine must not take each other's place in a browser.
      cookie: `proctor_${createHash('sha256').update(options.secret).digest('hex').slice(0, 8)}`,
      proxy,
      hosts: hostsOf(host, publicUrl),
      secure,
    },
    assets: new Assets(options.assets),
    tabs,
    index,
    follows,
    charts,
    now,
    cluster:
      cluster === null ? null : { operatorOf: cluster.operatorOf, state: cluster.state, approvals: cluster.approvals },
    file: 'file' in source ? source.file.run : null,
    connected: () => !('bus' in source) || source.bus.connected,
    log,
  });
  const server = await listen(app, host, port);
  const { address, port: bound } = server.address() as AddressInfo;
  const url = `http://${address.includes(':') ? `[${address}]` : address}:${bound}`;
  log.info('console.listening', { url });
  return {
    url,
    stop: async () => {
      // A server that does not answer keeps nobody waiting.
      void list?.stop();
      tabs.stop();
      follows.stop();
      cluster?.state.stop();
      cluster?.approvals.stop();
      cluster?.inspections.stop();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        if ('closeAllConnections' in server) server.closeAllConnections();
      });
    },
  };
}

function clusterParts(
  { bus, subjects }: { bus: ConsoleBus; subjects: Subjects },
  { now, log }: ConsoleOptions,
  charts: Charts,
) {
  const operatorOf: NonNullable<AppOptions['cluster']>['operatorOf'] = (by) => createOperator({ bus, subjects, by });
  const state = new ClusterState(operatorOf('console'), now);
  const open = openApprovals({ bus, subjects });
  const approvals = new ApprovalsState({ bus, subjects, open, operator: operatorOf('console'), now });
  const inspections = new Inspections({ bus, subjects, charts, now });
  return { runs: clusterRuns(bus, subjects, log), operatorOf, state, approvals, inspections };
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

/** Names that a browser on this machine calls it by; beyond loopback only a public URL says which there are. */
function hostsOf(host: string, publicUrl: URL | undefined): Set<string> | null {
  if (publicUrl !== undefined) return new Set([publicUrl.hostname, 'localhost', '127.0.0.1', '[::1]']);
  return isLoopback(host) ? new Set(['localhost', '127.0.0.1', '[::1]', host]) : null;
}

function listen(app: ReturnType<typeof consoleApp>, host: string, port: number): Promise<ServerType> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname: host, port }, () => resolve(server));
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const taken = cause.code === 'EADDRINUSE';
      const what = taken ? 'something else listens there: name another port, or 0 for any' : cause.message;
      reject(new AppError(taken ? 'port_taken' : 'unavailable', `${host}:${port}: ${what}`, { cause }));
    });
  });
}
