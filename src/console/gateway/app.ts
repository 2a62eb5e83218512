import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { deleteCookie } from 'hono/cookie';
import { secureHeaders } from 'hono/secure-headers';
import { AppError, toAppError } from '../../core/errors.ts';
import { VERSION } from '../../core/version.ts';
import type { Log } from '../../ports/telemetry.ts';
import type { Me, StreamEvents } from '../wire.ts';
import { type ClusterApiOptions, clusterApi } from './api-cluster.ts';
import { type RunsApiOptions, runsApi } from './api-runs.ts';
import type { Assets } from './assets.ts';
import type { Person } from './auth/accounts.ts';
import { Attempts } from './auth/attempts.ts';
import { type Env, type GuardOptions, isOwnPage, logIn, mayOrder, onlyHosts, signIn } from './auth/guard.ts';
import { checked, LoginBody, MAX_BODY, WatchBody } from './bodies.ts';
import { sseSink } from './stream.ts';
import type { Tabs } from './tabs.ts';

/** The gateway's addresses: the page, `/api/stream` down, requests and orders up. */

export interface AppOptions extends RunsApiOptions {
  guard: GuardOptions;
  assets: Assets;
  tabs: Tabs;
  /** Null for a run in a file: nothing can be asked or ordered. */
  cluster: Omit<ClusterApiOptions, 'guard'> | null;
  /** The run of that file. */
  file: string | null;
  connected(): boolean;
  log: Log;
}

const POLICY = {
  defaultSrc: ["'none'"],
  scriptSrc: ["'self'"],
  styleSrc: ["'self'"],
  imgSrc: ["'self'"],
  connectSrc: ["'self'"],
  baseUri: ["'none'"],
  formAction: ["'none'"],
  frameAncestors: ["'none'"],
};
const BEAT_MS = 4_000;
const NOT_JSON = new AppError('invalid_request', 'body: expected JSON');
const TAB_ID = /^[A-Za-z0-9_-]{16,64}$/;

export function consoleApp(options: AppOptions): Hono<Env> {
  const { guard, assets, log } = options;
  const app = new Hono<Env>();
  app.use(
    secureHeaders({
      contentSecurityPolicy: POLICY,
      xFrameOptions: 'DENY',
      referrerPolicy: 'no-referrer',
      strictTransportSecurity: false,
    }),
  );
  app.use(onlyHosts(guard.hosts));
  app.get('/healthz', (c) => c.json({ status: options.connected() ? 'ok' : 'disconnected' }));
  app.route('/api', api(options));
  app.get('*', (c) => assets.serve(c));
  app.onError((thrown, c) => {
    const error = thrown instanceof SyntaxError ? NOT_JSON : toAppError(thrown, 'internal');
    const status = statusOf(error);
    if (status === 500) log.error('console.failed', { path: c.req.path, message: error.message });
    const message = error.code === 'internal' ? 'the console failed: its log says why' : error.message;
    return c.json({ code: error.code, message }, status);
  });
  return app;
}

function api(options: AppOptions): Hono<Env> {
  const { guard, tabs, cluster } = options;
  const app = new Hono<Env>();
  const attempts = new Attempts(options.now);
  app.use(
    bodyLimit({
      maxSize: MAX_BODY,
      onError: (c) => {
        // The rest of the body is not read.
        c.header('Connection', 'close');
        return c.json({ code: 'too_large', message: `a request has at most ${MAX_BODY} bytes` }, 413);
      },
    }),
  );
  app.use(async (c, next) => {
    await next();
    if (!c.res.headers.has('Cache-Control')) c.res.headers.set('Cache-Control', 'no-store');
  });
  app.post('/login', async (c) => {
    if (!isOwnPage(c)) return c.json({ code: 'csrf', message: 'the request did not come from this page' }, 403);
    if (!attempts.allowed()) {
      return c.json({ code: 'too_many', message: 'too many wrong tokens: wait a minute and try again' }, 429);
    }
    const person = guard.accounts.personOf(checked(LoginBody, await c.req.json()).token);
    if (person === null) {
      attempts.failed();
      options.log.warn('console.login_refused', { address: c.env.incoming.socket.remoteAddress ?? '' });
      return c.json({ code: 'unauthorized', message: 'that token is not known, or was used before' }, 401);
    }
    logIn(c, guard, person);
    return c.json({ name: person.name, role: person.role });
  });
  app.use(signIn(guard));
  app.get('/me', (c) => {
    const person = c.get('person');
    const me: Me = { ...person, csrf: guard.sessions.csrf(person), file: options.file, version: VERSION };
    return c.json(me);
  });
  app.post('/logout', mayOrder(guard, 'viewer'), (c) => {
    deleteCookie(c, guard.cookie, { path: '/' });
    return c.json({});
  });
  app.get('/stream', (c) => {
    const id = c.req.query('tab') ?? '';
    if (!TAB_ID.test(id)) return c.json({ code: 'invalid_request', message: 'tab: expected 16 to 64 letters' }, 400);
    return openStream(options, c.env, id, c.get('person'), c.req.header('last-event-id') ?? '');
  });
  app.post('/stream/:tab/watch', mayOrder(guard, 'viewer'), async (c) => {
    const watch = checked(WatchBody, await c.req.json());
    if (await tabs.watch(c.req.param('tab'), c.get('person').name, watch)) return c.json({});
    return c.json({ code: 'unknown_tab', message: 'the stream of this tab is not open here' }, 404);
  });
  app.route('/', runsApi(options));
  if (cluster !== null) app.route('/', clusterApi({ ...cluster, guard }));
  app.all('*', (c) => c.json({ code: 'not_found', message: 'there is nothing at this address' }, 404));
  return app;
}

function openStream(options: AppOptions, env: HttpBindings, id: string, owner: Person, lastId: string): Response {
  const { tabs, now, connected } = options;
  const { outgoing } = env;
  const sink = sseSink(outgoing);
  const state = (): StreamEvents['beat'] => ({ now: now(), connected: connected() });
  const opened = tabs.connect(
    id,
    owner.name,
    owner.role !== 'viewer',
    { ...sink, send: (event, data, at) => sink.send(event, withState(event, data), at) },
    lastId,
  );
  function withState(event: string, data: unknown): unknown {
    return event === 'hello' ? { ...(data as object), ...state() } : data;
  }
  if (opened === null) {
    outgoing.end();
    return RESPONSE_ALREADY_SENT;
  }
  const beat = setInterval(() => sink.send('beat', state()), BEAT_MS);
  outgoing.once('close', () => {
    clearInterval(beat);
    opened.close();
  });
  return RESPONSE_ALREADY_SENT;
}

function statusOf({ code }: AppError): 400 | 403 | 404 | 409 | 422 | 500 | 502 | 503 | 504 {
  if (code === 'invalid_request') return 400;
  if (code === 'csrf') return 403;
  if (code.startsWith('unknown_') || code === 'not_queued') return 404;
  if (code.startsWith('journal_')) return 422;
  if (code === 'no_node' || code === 'unavailable' || code === 'closed') return 503;
  if (code === 'timeout') return 504;
  if (code === 'bad_answer') return 502;
  return code === 'internal' || code === 'error' ? 500 : 409;
}
