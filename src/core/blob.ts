import { z } from 'zod';

/** Bytes of one part of a stored result; a message of the bus takes 1 MB. */
export const BLOB_PART_BYTES = 512 * 1024;
/** Largest result that is stored in parts, bytes of its JSON. */
export const MAX_BLOB_BYTES = 32 * 1024 * 1024;

/** Of the JSON text, what the journal holds for who only glances at it. */
export const BLOB_PREVIEW_CHARS = 1_000;

/**
 * A result too large for a journal entry (TOOL-11). Its JSON text lies in parts, `blob.<period>.<run>.<c>.<sha256>.<i>`,
 * each written once; the journal holds this reference and a preview. The digest is part of the subject, so two attempts
 * that answered differently do not mix.
 */
export const BlobRef = z.strictObject({
  /** Of the whole JSON text, lower-case hex. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  bytes: z.int().min(1).max(MAX_BLOB_BYTES),
  parts: z.int().min(1).max(256),
});
export type BlobRef = z.infer<typeof BlobRef>;

/** As `sha256` of a BlobRef. */
export async function digestOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** What a tool source answers instead of the result itself, once every part of it is stored. */
export class StoredResult {
  readonly ref: BlobRef;
  /** The first characters of the JSON text. */
  readonly preview: string;

  constructor(ref: BlobRef, preview: string) {
    this.ref = ref;
    this.preview = preview;
  }
}
