/**
 * Makes keys and nats.conf for a server in a container: `node scripts/nats-config.mjs <folder> [<user>,<user>…]`.
 * It uses the build. Keys that exist are kept.
 */
import { randomBytes } from 'node:crypto';
import { writeServerConfig } from '../dist/src/adapters/embedded-nats/write-config.js';

const [dir, names = 'default'] = process.argv.slice(2);
if (dir === undefined) throw new Error('usage: node scripts/nats-config.mjs <folder> [<user>,<user>…]');
const users = names.split(',').map((user) => user.trim());
await writeServerConfig({
  dir,
  users,
  prefix: 'proctor',
  // Inside its container; what is published of it is for the compose file to say.
  listen: '0.0.0.0:4222',
  monitor: '127.0.0.1:8222',
  storeDir: '/data',
  random: randomBytes,
});
process.stdout.write(`keys and nats.conf for ${users.length} users are in ${dir}\n`);
