import { embed } from './fixtures.ts';

/** A process that holds a folder until it is killed; argument: the folder. Prints `<url> <server pid>` once it serves. */
const dir = process.argv[2];
if (dir === undefined) throw new Error('usage: holder.ts <folder>');
const embedded = await embed(dir);
process.stdout.write(`${embedded.url} ${embedded.serverPid()}\n`);
