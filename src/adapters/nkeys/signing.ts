import { createHash } from 'node:crypto';
import { createUser, fromPublic, fromSeed } from '@nats-io/nkeys';
import { AppError } from '../../core/errors.ts';
import type { Signatures, Signer } from '../../ports/signing.ts';

/** Ed25519 keys as NATS writes them: `U...` is the public half of a user, `SU...` the seed. */

const utf8 = new TextEncoder();

export const nkeySignatures: Signatures = {
  sha256: (text) => createHash('sha256').update(text).digest('hex'),
  verify(publicKey, text, signature) {
    try {
      return fromPublic(publicKey).verify(utf8.encode(text), Buffer.from(signature, 'base64'));
    } catch {
      return false;
    }
  },
};

/** Throws AppError `bad_key_file` when the seed is none of a user. */
export function nkeySigner(seed: string): Signer {
  let pair: ReturnType<typeof fromSeed>;
  try {
    pair = fromSeed(utf8.encode(seed.trim()));
    if (!pair.getPublicKey().startsWith('U')) throw new Error('not of a user');
  } catch {
    // What the parser says could show the seed.
    throw new AppError(
      'bad_key_file',
      'the key is no nkey seed of a user: give the file that "proctor keys new" wrote',
    );
  }
  return {
    publicKey: pair.getPublicKey(),
    sign: (text) => Buffer.from(pair.sign(utf8.encode(text))).toString('base64url'),
  };
}

/** A new key: the seed is the secret. */
export function newNkey(): { seed: string; publicKey: string } {
  const pair = createUser();
  return { seed: new TextDecoder().decode(pair.getSeed()), publicKey: pair.getPublicKey() };
}
