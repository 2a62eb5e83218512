import { userInfo } from 'node:os';
import { connectBus, type NatsAddress } from '../app/connect.ts';
import { type Found, type Login, loginIn } from '../app/folder.ts';
import { type NatsBus, readSeed, SILENT } from '../app/local.ts';
import { type Client, createClient } from '../client/client.ts';
import { createOperator, type Operator } from '../client/operator.ts';
import { AppError } from '../core/errors.ts';
import { Subjects } from '../core/subjects.ts';
import { fromEnvironment } from './environment.ts';

/**
 * Where a command finds its server: NATS_URL when set (with user and password inside, or PROCTOR_NKEY_FILE), else what
 * runs in the data folder, with the credentials that lie there.
 */

export interface Place {
  dir: string;
  /** Of the subjects; default what the folder says, else `proctor`. */
  prefix?: string;
}

export const DEFAULT_DIR = '.proctor';
const DEFAULT_PREFIX = 'proctor';

/** The server of NATS_URL; null when the variable is not set. */
export async function natsOfEnvironment(): Promise<NatsAddress | null> {
  const url = fromEnvironment('NATS_URL');
  if (url === undefined) return null;
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(url)?.[1];
  if (scheme !== undefined && !['nats', 'tls'].includes(scheme)) {
    throw new AppError('usage', `NATS_URL: expected an address such as nats://host:4222, not one of ${scheme}://`);
  }
  const file = fromEnvironment('PROCTOR_NKEY_FILE');
  return file === undefined ? { url } : { url, nkeySeed: await readSeed(file) };
}

export async function find(place: Place, login: Login): Promise<Found> {
  const own = await natsOfEnvironment();
  if (own !== null) return { address: own, subjects: new Subjects(place.prefix ?? DEFAULT_PREFIX) };
  return loginIn(place.dir, login, place.prefix);
}

/** Connects, does something, and always closes. */
async function withBus<T>(
  place: Place,
  login: Login,
  use: (bus: NatsBus, subjects: Subjects) => Promise<T>,
): Promise<T> {
  const { address, subjects } = await find(place, login);
  const bus = await connectBus(address, 'proctor-cli', subjects, SILENT);
  try {
    return await use(bus, subjects);
  } finally {
    await bus.close();
  }
}

export function withOperator<T>(place: Place & { by?: string }, use: (operator: Operator) => Promise<T>): Promise<T> {
  return withBus(place, { role: 'operator' }, (bus, subjects) =>
    use(createOperator({ bus, subjects, by: place.by ?? whoAmI() })),
  );
}

export function withClient<T>(place: Place & { user: string }, use: (client: Client) => Promise<T>): Promise<T> {
  return withBus(place, { role: 'submitter', user: place.user }, (bus, subjects) =>
    use(createClient({ bus, subjects, user: place.user })),
  );
}

export { withBus };

export function whoAmI(): string {
  try {
    return userInfo().username.slice(0, 128) || 'operator';
  } catch {
    // A container may run under a number that has no name.
    return 'operator';
  }
}
