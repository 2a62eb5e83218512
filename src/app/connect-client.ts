import { type Client, createClient } from '../client/client.ts';
import { createOperator, type Operator } from '../client/operator.ts';
import { Subjects } from '../core/subjects.ts';
import type { Log } from '../ports/telemetry.ts';
import { connectBus, type NatsAddress } from './connect.ts';
import { type Login, loginIn } from './folder.ts';
import { SILENT } from './local.ts';

/** Clients with a connection of their own: what a program of a user's needs. */

export interface ConnectOptions {
  /** Data folder of a Proctor on this machine, whose server and credentials are used; default `.proctor`. */
  dir?: string;
  /** A server of yours, with the login; `dir` is not looked at then. */
  nats?: NatsAddress;
  /** First token of all subjects; default what the folder says, else `proctor`. */
  prefix?: string;
  /** Trouble with the connection is told here; default nowhere. */
  log?: Log;
}

export interface Connected {
  /** Ends what is under way (AppError `closed`) and the connection; runs go on. */
  close(): Promise<void>;
}

/**
 * A submitter's client. Throws AppError `not_running`, `no_credential`, `unavailable` (no server), `unauthorized`.
 * @param options `user` is who the tasks come from; default `default`
 */
export async function connectClient(options: ConnectOptions & { user?: string } = {}): Promise<Client & Connected> {
  const { user = 'default' } = options;
  const { bus, subjects } = await connected(options, { role: 'submitter', user });
  return { ...createClient({ bus, subjects, user }), close: () => bus.close() };
}

/**
 * An operator's client. Throws like `connectClient`.
 * @param options `by` is who gives the orders, as journals will say: 1 to 128 characters
 */
export async function connectOperator(options: ConnectOptions & { by: string }): Promise<Operator & Connected> {
  const { bus, subjects } = await connected(options, { role: 'operator' });
  return { ...createOperator({ bus, subjects, by: options.by }), close: () => bus.close() };
}

async function connected({ dir = '.proctor', nats, prefix, log = SILENT }: ConnectOptions, login: Login) {
  const { address, subjects } =
    nats === undefined ? await loginIn(dir, login, prefix) : { address: nats, subjects: new Subjects(prefix) };
  return { bus: await connectBus(address, 'proctor-client', subjects, log), subjects };
}
