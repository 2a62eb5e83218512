import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openConsole } from '../../src/app/console.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { childOptions, hearParent, say } from '../support/children.ts';
import { silent } from '../support/log.ts';
import { type GatewayOptions, TOKEN } from './gateway-wire.ts';

/** A console as a process of its own, for one who logs in with a token. */

const { url, prefix, dir, assets } = childOptions<GatewayOptions>();
const tokenFile = join(dir, 'accounts.json');
await writeFile(tokenFile, JSON.stringify({ accounts: [{ name: 'watcher', role: 'viewer', token: TOKEN }] }));
const opened = await openConsole({
  host: '127.0.0.1',
  port: 0,
  tokenFile,
  proxy: null,
  dir: null,
  person: { name: 'watcher', role: 'viewer' },
  source: { address: { url }, subjects: new Subjects(prefix) },
  ...(assets === undefined ? {} : { assets }),
  log: silent,
});
hearParent(({ heap }) => {
  if (heap !== true) return;
  globalThis.gc?.();
  say(`heap ${process.memoryUsage().heapUsed}`);
});
say(`at ${opened.url}`);
