import { AppError } from '../core/errors.ts';
import type { Json } from '../core/json.ts';
import type { StoredPart } from './answers.ts';

/** The result of one call from its parts, one request each; what comes must have the digest that the journal knows. */
export async function readCallResult(read: (part: number) => Promise<StoredPart>): Promise<Json> {
  const first = await read(0);
  const parts = [Buffer.from(first.data, 'base64')];
  for (let part = 1; part < first.parts; part++) parts.push(Buffer.from((await read(part)).data, 'base64'));
  const whole = Buffer.concat(parts);
  const digest = Buffer.from(await crypto.subtle.digest('SHA-256', whole)).toString('hex');
  if (digest === first.sha256) return JSON.parse(whole.toString('utf8')) as Json;
  throw new AppError(
    'blob_corrupt',
    'the stored result does not have the digest that the journal says: it was damaged',
  );
}
