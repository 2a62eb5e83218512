import { createHash, randomBytes } from 'node:crypto';
import type { Ids } from '../../ports/ids.ts';

export const cryptoIds: Ids = {
  random: () => randomBytes(8).toString('hex'),
  fraction: () => randomBytes(4).readUInt32BE() / 2 ** 32,
  hash: (...parts) => createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32),
};
