import { chmod, mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureKeys, type GroupApprover, type Keys } from './keys.ts';
import { serverConfig } from './server-config.ts';

/** File in `keys/` with the accounts of the console. */
const CONSOLE_ACCOUNTS = 'console-accounts.json';

/** A server of a cluster as the others and its clients see it. */
export interface ServerPlace {
  /** File and server name. */
  name: string;
  host: string;
  port: number;
  /** Where the other servers reach it. */
  routePort: number;
}

export interface WriteConfigOptions {
  /** Folder for `<name>.conf` and `keys/`; made when missing. */
  dir: string;
  prefix: string;
  users: string[];
  approvers?: GroupApprover[];
  /** One, or the three or five of a cluster. */
  servers: ServerPlace[];
  /** Folder in which each server keeps its data under its name. */
  storeDir: string;
  /** Address of the unauthenticated monitoring port of each. */
  monitor?: string;
  /** Gives that many random bytes, fit for passwords. */
  random: (bytes: number) => Uint8Array;
}

/** Makes what nats-servers elsewhere (in containers) need for the same accounts; keys that exist are kept. */
export async function writeServerConfigs(options: WriteConfigOptions): Promise<Keys> {
  const { dir, prefix, users, approvers, servers, storeDir, monitor, random } = options;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await chmod(dir, 0o700);
  const keys = await ensureKeys(dir, users, random, approvers);
  await firstAccount(join(dir, 'keys', CONSOLE_ACCOUNTS), random);
  const routes = servers.map(({ host, routePort }) => `${host}:${routePort}`);
  for (const { name, host, port, routePort } of servers) {
    // A host's name may mean another address to those outside.
    const face = isLoopback(host) ? host : '0.0.0.0';
    const text = serverConfig({
      prefix,
      listen: `${face}:${port}`,
      storeDir: join(storeDir, name),
      keys,
      ...(monitor === undefined ? {} : { monitor }),
      ...(servers.length === 1 ? {} : { cluster: { server: name, listen: `${face}:${routePort}`, routes } }),
    });
    const path = join(dir, `${name}.conf`);
    await writeFile(`${path}.tmp`, text, { mode: 0o600 });
    await rename(`${path}.tmp`, path);
  }
  return keys;
}

/** Who may use a console beside these servers: an operator with a token of its own. A file that is there is kept. */
async function firstAccount(path: string, random: WriteConfigOptions['random']): Promise<void> {
  const account = { name: 'operator', role: 'operator', token: Buffer.from(random(24)).toString('base64url') };
  try {
    await writeFile(path, `${JSON.stringify({ accounts: [account] }, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || /^127(?:\.\d{1,3}){3}$/.test(host);
}
