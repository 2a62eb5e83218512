import { createHash, randomFillSync } from 'node:crypto';
import type { Ids } from '../../ports/ids.ts';

/** Drawn from the system so many bytes at a time: each draw costs as much as a hundred ids. */
const pool = Buffer.alloc(4_096);
let used = pool.length;

function draw(bytes: number): Buffer {
  if (used + bytes > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += bytes;
  return pool.subarray(used - bytes, used);
}

export const cryptoIds: Ids = {
  random: () => draw(8).toString('hex'),
  fraction: () => draw(4).readUInt32BE() / 2 ** 32,
  hash: (...parts) => createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32),
};
