import { chmod, mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureKeys, type Keys } from './keys.ts';
import { type ServerConfig, serverConfig } from './server-config.ts';

export interface WriteConfigOptions extends Omit<ServerConfig, 'keys'> {
  /** Folder for `nats.conf` and `keys/`; made when missing. */
  dir: string;
  users: string[];
  /** Gives that many random bytes, fit for passwords. */
  random: (bytes: number) => Uint8Array;
}

/** Makes what a nats-server elsewhere (a container) needs for the same accounts; keys that exist are kept. */
export async function writeServerConfig(options: WriteConfigOptions): Promise<Keys> {
  const { dir, users, random, ...config } = options;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await chmod(dir, 0o700);
  const keys = await ensureKeys(dir, users, random);
  const path = join(dir, 'nats.conf');
  await writeFile(`${path}.tmp`, serverConfig({ ...config, keys }), { mode: 0o600 });
  await rename(`${path}.tmp`, path);
  return keys;
}
