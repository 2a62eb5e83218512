import type { HttpBindings } from '@hono/node-server';
import type { Context, MiddlewareHandler } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';
import type { Role } from '../../wire.ts';
import type { Accounts, Person } from './accounts.ts';
import { ROLES } from './accounts.ts';
import { SESSION_MS, type Sessions } from './sessions.ts';

/** Who asks, and whether they may: in front of everything but the page itself and the login. */

export type Env = { Bindings: HttpBindings; Variables: { person: Person } };

/** A reverse proxy that logs people in and says who they are. */
export interface TrustedProxy {
  /** Header with the name, and one with the role; a name without a role is a viewer's. */
  userHeader: string;
  roleHeader: string;
  /** Addresses that it speaks from: nobody else is believed. */
  from: string[];
}

export interface GuardOptions {
  accounts: Accounts;
  sessions: Sessions;
  cookie: string;
  proxy: TrustedProxy | null;
  /** Host names that a browser may call this by; null for any. */
  hosts: ReadonlySet<string> | null;
  /** The page is reached over TLS. */
  secure: boolean;
}

const RANK: Record<Role, number> = { viewer: 0, approver: 1, operator: 2 };

/** A page of another site that resolves its own name to this address gets nothing. */
export function onlyHosts(hosts: ReadonlySet<string> | null): MiddlewareHandler<Env> {
  return async (c, next) => {
    if (hosts === null || hosts.has(hostnameOf(c.req.header('host') ?? ''))) return next();
    return c.json({ code: 'wrong_host', message: 'this console does not answer to that name: see --public-url' }, 421);
  };
}

export function signIn(options: GuardOptions): MiddlewareHandler<Env> {
  return async (c, next) => {
    const person = personOf(c, options);
    if (person === null) return c.json({ code: 'unauthorized', message: 'log in first' }, 401);
    c.set('person', person);
    return next();
  };
}

/** Orders: of somebody with the role, from this very page. */
export function mayOrder(options: GuardOptions, role: Role): MiddlewareHandler<Env> {
  return async (c, next) => {
    const person = c.get('person');
    if (!isOwnPage(c) || !options.sessions.isCsrf(person, c.req.header('x-proctor-csrf') ?? '')) {
      return c.json({ code: 'csrf', message: 'the request did not come from this page: reload it and try again' }, 403);
    }
    if (RANK[person.role] >= RANK[role]) return next();
    return c.json({ code: 'forbidden', message: `this needs the role ${role}; ${person.name} is ${person.role}` }, 403);
  };
}

export function logIn(c: Context<Env>, options: GuardOptions, person: Person): void {
  setCookie(c, options.cookie, options.sessions.seal(person), {
    httpOnly: true,
    sameSite: 'Strict',
    secure: options.secure,
    path: '/',
    maxAge: SESSION_MS / 1_000,
  });
}

function personOf(c: Context<Env>, { accounts, sessions, cookie, proxy }: GuardOptions): Person | null {
  if (proxy?.from.includes(addressOf(c)) === true) {
    const name = c.req.header(proxy.userHeader)?.slice(0, 128) ?? '';
    const role = ROLES.find((one) => one === c.req.header(proxy.roleHeader)) ?? 'viewer';
    if (name !== '') return { name, role };
  }
  const bearer = /^Bearer (\S+)$/i.exec(c.req.header('authorization') ?? '')?.[1];
  if (bearer !== undefined) return accounts.personOf(bearer);
  const session = getCookie(c, cookie);
  return session === undefined ? null : sessions.open(session);
}

function addressOf(c: Context<Env>): string {
  return (c.env.incoming.socket.remoteAddress ?? '').replace(/^::ffff:/, '');
}

/** Browsers say where a request comes from. */
export function isOwnPage(c: Context<Env>): boolean {
  const site = c.req.header('sec-fetch-site');
  if (site !== undefined && site !== 'same-origin') return false;
  const origin = c.req.header('origin');
  if (origin === undefined) return true;
  try {
    return new URL(origin).host === (c.req.header('x-forwarded-host') ?? c.req.header('host'));
  } catch {
    return false;
  }
}

function hostnameOf(host: string): string {
  try {
    return new URL(`http://${host}`).hostname;
  } catch {
    return '';
  }
}
