import { type ConnectionOptions, connect, nkeyAuthenticator } from '@nats-io/transport-node';
import { AppError } from '../../core/errors.ts';
import type { Subjects } from '../../core/subjects.ts';
import { encodeToken } from '../../core/tokens.ts';
import type { Log } from '../../ports/telemetry.ts';
import { NatsBus } from './bus.ts';
import { Link } from './link.ts';

export interface NatsOptions {
  /** `host:port` or `nats://` addresses, separated by commas. */
  servers: string;
  /** What the server's monitoring shows this connection as. */
  name: string;
  user?: string;
  password?: string;
  /** Seed of a user nkey, `SU...`. */
  nkeySeed?: string;
  /** First tokens of the reply subjects, as the user's permissions allow them; default `_INBOX`. */
  inboxPrefix?: string;
  subjects: Subjects;
  log: Log;
  /** Source of fresh ids. */
  random: () => string;
  /** Patience for one attempt, milliseconds; default 5000. */
  timeoutMs?: number;
  /** Oldest server version that will do; default 2.9.0. */
  requireServer?: string;
  /** How many servers keep each stream that is made; default 1. More than one needs a server of 2.11 or newer. */
  replicas?: number;
  /** Take an older server for several replicas all the same. */
  allowOldReplicas?: boolean;
}

const OLDEST_SERVER = '2.9.0';
/** Replicas of older servers can come to differ after a leader dies, and nobody is told. */
const OLDEST_WITH_REPLICAS = '2.11.0';
const RECONNECT_WAIT_MS = 100;
const RECONNECT_JITTER_MS = 400;
/** A server that answers no ping for twice this long counts as gone. */
const PING_MS = 5_000;

/**
 * Connects once; from then on the client reconnects for ever. Throws AppError `unavailable` (nobody there),
 * `unauthorized`, `forbidden` (the inbox), `server_too_old`, `no_jetstream`.
 */
export async function connectNats(options: NatsOptions): Promise<NatsBus> {
  const log = options.log.child({ nats: options.name, prefix: options.subjects.prefix });
  const timeoutMs = options.timeoutMs ?? 5_000;
  const nc = await connect(connectionOptions(options, timeoutMs)).catch((thrown: unknown) => {
    throw connectError(thrown, options.servers);
  });
  const link = new Link(nc, log);
  const inbox = `${options.inboxPrefix ?? '_INBOX'}.${encodeToken(options.random())}`;
  const bus = new NatsBus({ link, log, inbox, timeoutMs, replicas: options.replicas ?? 1 });
  try {
    const oldest = options.requireServer ?? OLDEST_SERVER;
    if (compareVersions(bus.serverVersion, oldest) < 0) {
      const message = `NATS server ${bus.serverVersion} is too old: ${oldest} or newer is needed`;
      throw new AppError('server_too_old', message);
    }
    refuseOldReplicas(options, bus.serverVersion);
    if (nc.info?.jetstream !== true) {
      throw new AppError('no_jetstream', 'the NATS server runs without JetStream: start it with `nats-server -js`');
    }
    await bus.ready();
  } catch (error) {
    await bus.close();
    throw error;
  }
  log.info('nats.connected', { server: nc.getServer(), version: bus.serverVersion });
  return bus;
}

function refuseOldReplicas({ replicas = 1, allowOldReplicas = false }: NatsOptions, version: string): void {
  if (replicas === 1 || allowOldReplicas || compareVersions(version, OLDEST_WITH_REPLICAS) >= 0) return;
  throw new AppError(
    'server_too_old',
    `NATS server ${version} is too old for ${replicas} replicas, whose copies may come to differ: ${OLDEST_WITH_REPLICAS} or newer is needed, or --allow-old-replicas if you accept that`,
  );
}

function connectionOptions(options: NatsOptions, timeoutMs: number): ConnectionOptions {
  return {
    servers: options.servers.split(',').map((server) => server.trim()),
    name: options.name,
    timeout: timeoutMs,
    // Traces of the caller for each request cost a third of the throughput.
    noAsyncTraces: true,
    reconnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_WAIT_MS,
    reconnectJitter: RECONNECT_JITTER_MS,
    ignoreAuthErrorAbort: true,
    pingInterval: PING_MS,
    maxPingOut: 2,
    ...(options.inboxPrefix === undefined ? {} : { inboxPrefix: options.inboxPrefix }),
    ...(options.user === undefined ? {} : { user: options.user }),
    ...(options.password === undefined ? {} : { pass: options.password }),
    ...(options.nkeySeed === undefined
      ? {}
      : { authenticator: nkeyAuthenticator(new TextEncoder().encode(options.nkeySeed)) }),
  };
}

function connectError(thrown: unknown, servers: string): AppError {
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  const where = servers.replace(/\/\/[^@/,]*@/g, '//');
  if (/authorization|authentication/i.test(text)) {
    const message = `NATS at ${where} refused the login: check user and password, or the nkey seed`;
    return new AppError('unauthorized', message, { cause: thrown });
  }
  const message = `cannot reach NATS at ${where} (${text}): is the server running there?`;
  return new AppError('unavailable', message, { retryable: true, cause: thrown });
}

/** Below zero when `a` is older; suffixes such as `-beta` do not count. */
function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split('-')[0]?.split('.').map(Number) ?? []);
  for (let i = 0; i < 3; i++) {
    const difference = (left?.[i] ?? 0) - (right?.[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
