import { cryptoIds } from '../adapters/crypto/ids.ts';
import type { NatsBus } from '../adapters/nats/bus.ts';
import { connectNats } from '../adapters/nats/connect.ts';
import type { Subjects } from '../core/subjects.ts';
import type { Log } from '../ports/telemetry.ts';

/** How to reach a NATS server. A password in the URL is taken from it. */
export interface NatsAddress {
  url: string;
  user?: string;
  password?: string;
  nkeySeed?: string;
  inboxPrefix?: string;
}

/** Of streams that the connection makes. */
export interface Replication {
  /** How many servers keep each of them; default 1. */
  replicas?: number;
  /** Several replicas on servers older than 2.11 all the same. */
  allowOldReplicas?: boolean;
}

/** Connects to a server; throws AppError when nobody answers or the credentials are refused. */
export function connectBus(
  address: NatsAddress,
  name: string,
  subjects: Subjects,
  log: Log,
  replication: Replication = {},
): Promise<NatsBus> {
  const { url, ...rest } = address;
  const { servers, ...userInfo } = splitUserInfo(url);
  return connectNats({ servers, name, subjects, log, random: cryptoIds.random, ...userInfo, ...rest, ...replication });
}

function splitUserInfo(url: string): { servers: string; user?: string; password?: string } {
  const match = /^([a-z]+:\/\/)?([^:@/]+):([^@/]+)@(.+)$/.exec(url);
  if (match === null) return { servers: url };
  const [, scheme = '', user = '', password = '', rest = ''] = match;
  return { servers: `${scheme}${rest}`, user: decodeURIComponent(user), password: decodeURIComponent(password) };
}
