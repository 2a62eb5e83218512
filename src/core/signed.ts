import { z } from 'zod';

/** The public half of an Ed25519 key, as NATS writes that of a user. */
export const PublicKey = z.string().regex(/^U[A-Z2-7]{55}$/, 'expected a public nkey of a user: U and 55 characters');

/** Largest payload, characters. */
const MAX_PAYLOAD = 300_000;

/** A text and who signed its UTF-8 bytes: the signature is Ed25519, in base64 or base64url. */
export const Signed = z.strictObject({
  key: PublicKey,
  payload: z.string().min(2).max(MAX_PAYLOAD),
  signature: z.string().regex(/^[A-Za-z0-9+/_-]{86}={0,2}$/, 'expected 64 bytes in base64'),
});
export type Signed = z.infer<typeof Signed>;
