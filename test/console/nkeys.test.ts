import { createAccount } from '@nats-io/nkeys';
import { describe, expect, it } from 'vitest';
import { newNkey, nkeySignatures } from '../../src/adapters/nkeys/signing.ts';
import { pairOf } from '../../src/console/page/lib/nkeys.ts';

/** The page reads and signs with keys by the browser's own means: as nodes write them, and check them. */

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

describe('a key of an approver, in the page', () => {
  it('has the public key that it has elsewhere, and its signatures count there', async () => {
    for (let n = 0; n < 50; n++) {
      const { seed, publicKey } = newNkey();
      const pair = await pairOf(seed);
      expect(pair?.publicKey).toBe(publicKey);
      const text = `{"run":${n}}`;
      const signature = Buffer.from((await pair?.sign(new TextEncoder().encode(text))) ?? []).toString('base64url');
      expect(nkeySignatures.verify(publicKey, text, signature)).toBe(true);
      expect(nkeySignatures.verify(publicKey, `${text} `, signature)).toBe(false);
    }
  });

  it('is none when a letter of it is another one, wherever it stands, or when it is of another kind', async () => {
    const { seed, publicKey } = newNkey();
    for (let at = 0; at < seed.length; at++) {
      const other = ALPHABET[(ALPHABET.indexOf(seed[at] ?? '') + 1) % 32] ?? '';
      expect(await pairOf(`${seed.slice(0, at)}${other}${seed.slice(at + 1)}`), `letter ${at}`).toBeNull();
    }
    const account = new TextDecoder().decode(createAccount().getSeed());
    for (const text of ['', 'SU', seed.slice(0, -1), `${seed}A`, seed.toLowerCase(), publicKey, account, `${seed}\0`]) {
      expect(await pairOf(text), text).toBeNull();
    }
  });
});
