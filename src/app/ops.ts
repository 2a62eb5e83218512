import { type OpsServer, startOpsServer } from '../adapters/http/ops-server.ts';
import type { Log, Telemetry } from '../ports/telemetry.ts';
import { startTelemetry, type TelemetryOptions } from './telemetry.ts';

/** What a node offers to those who watch over it: traces and figures that it sends, and an HTTP server to ask. */

export interface OpsOptions extends Pick<TelemetryOptions, 'service' | 'instance' | 'env'> {
  /** Where the HTTP server listens; without it there is none. */
  http?: { host: string; port: number } | undefined;
  /** Bearer token for `/metrics`. */
  token?: string | undefined;
  /** Why the node takes no work now. */
  notReady(): string[];
  log: Log;
}

export interface Ops {
  telemetry: Telemetry | undefined;
  /** Address of the HTTP server; null without one. */
  url: string | null;
  /** Sends what is left, and stops listening. */
  stop(): Promise<void>;
}

/** Throws AppError `usage` or `port_taken` when the HTTP server cannot be had. */
export async function startOps(options: OpsOptions): Promise<Ops> {
  const { http, token, notReady, log, ...rest } = options;
  const running = await startTelemetry({ ...rest, log, prometheus: http !== undefined });
  const metrics = () => running?.prometheusText() ?? Promise.resolve('');
  let server: OpsServer | null = null;
  try {
    if (http !== undefined) server = await startOpsServer({ ...http, token, notReady, metrics, log });
  } catch (error) {
    await running?.stop();
    throw error;
  }
  return {
    telemetry: running?.telemetry,
    url: server?.url ?? null,
    stop: async () => {
      await server?.stop();
      await running?.stop();
    },
  };
}
