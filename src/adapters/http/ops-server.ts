import { createHash, timingSafeEqual } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { type ServerType, serve } from '@hono/node-server';
import { type Context, Hono } from 'hono';
import { AppError, toAppError } from '../../core/errors.ts';
import type { Log } from '../../ports/telemetry.ts';

/**
 * What those ask who watch over a node: `/healthz` (the process is alive and its event loop turns), `/readyz` (it takes
 * work; 503 with the reasons when not) and `/metrics` (Prometheus). Beyond this machine nothing is shown but the first
 * two without the token.
 */

export interface OpsServerOptions {
  host: string;
  /** 0 for any. */
  port: number;
  /** Bearer token for `/metrics`; beyond loopback there must be one. */
  token?: string | undefined;
  /** Why the node takes no work now; empty when it does. */
  notReady(): string[];
  metrics(): Promise<string>;
  log: Log;
}

export interface OpsServer {
  /** Where it listens, as `http://127.0.0.1:9464`. */
  url: string;
  stop(): Promise<void>;
}

const PROMETHEUS_TEXT = 'text/plain; version=0.0.4; charset=utf-8';

/** Throws AppError `usage` for an address beyond loopback without a token, `port_taken`, `unavailable`. */
export async function startOpsServer(options: OpsServerOptions): Promise<OpsServer> {
  const { host, port, token, log } = options;
  if (token === undefined && !isLoopback(host)) {
    throw new AppError(
      'usage',
      `${host} can be reached from other machines: set PROCTOR_HTTP_TOKEN, which /metrics then asks for, or listen on 127.0.0.1`,
    );
  }
  const began = performance.now();
  const app = new Hono();
  app.get('/healthz', (c) => c.json({ status: 'ok', uptime_s: Math.round((performance.now() - began) / 1000) }));
  app.get('/readyz', (c) => {
    const reasons = options.notReady();
    return reasons.length === 0 ? c.json({ status: 'ready' }) : c.json({ status: 'not_ready', reasons }, 503);
  });
  app.get('/metrics', async (c) => {
    if (token !== undefined && !isBearer(c, token)) {
      c.header('WWW-Authenticate', 'Bearer');
      return c.json({ error: 'unauthorized', todo: 'send Authorization: Bearer <PROCTOR_HTTP_TOKEN>' }, 401);
    }
    return c.body(await options.metrics(), 200, { 'Content-Type': PROMETHEUS_TEXT });
  });
  app.notFound((c) => c.json({ error: 'not_found', paths: ['/healthz', '/readyz', '/metrics'] }, 404));
  app.onError((thrown, c) => {
    log.error('http.failed', { path: c.req.path, message: toAppError(thrown).message });
    return c.json({ error: 'internal' }, 500);
  });
  const server = await listen(app, host, port);
  const { address, port: bound } = server.address() as AddressInfo;
  const url = `http://${address.includes(':') ? `[${address}]` : address}:${bound}`;
  log.info('http.listening', { url });
  return {
    url,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        if ('closeAllConnections' in server) server.closeAllConnections();
      }),
  };
}

function listen(app: Hono, host: string, port: number): Promise<ServerType> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname: host, port }, () => resolve(server));
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const taken = cause.code === 'EADDRINUSE';
      const what = taken ? 'something else listens there: name another port, or 0 for any' : cause.message;
      reject(new AppError(taken ? 'port_taken' : 'unavailable', `${host}:${port}: ${what}`, { cause }));
    });
  });
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

/** Compared by hash, so that the time it takes tells nothing. */
function isBearer(c: Context, token: string): boolean {
  const given = /^Bearer (\S+)$/i.exec(c.req.header('authorization') ?? '')?.[1] ?? '';
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(token));
}
