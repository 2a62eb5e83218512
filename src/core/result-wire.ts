import { z } from 'zod';
import { BLOB_PART_BYTES, BlobRef } from './blob.ts';

/**
 * A result that is too large to be answered at once (TOOL-11). The worker answers what there is to fetch and keeps the
 * JSON text; the node asks the worker's own subject for one part after the other, each answered as it stands: UTF-8
 * text of at most BLOB_PART_BYTES, cut between characters. The node names the subject itself: what a worker sends is
 * never published to.
 */

const Token = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'expected 1 to 64 letters, digits, _ or -');

export const LargeResult = z.strictObject({
  ...BlobRef.shape,
  /** The instance that keeps the text. */
  worker: Token,
  /** The text, among those that it keeps. */
  id: Token,
});
export type LargeResult = z.infer<typeof LargeResult>;

/** What a node asks for: a part, or that the text be dropped, as everything is stored. */
export const ResultRequest = z.union([
  z.strictObject({ v: z.literal(1), part: z.int().min(0).max(255) }),
  z.strictObject({ v: z.literal(1), done: z.literal(true) }),
]);

/** The parts of a text, each whole characters of UTF-8. */
export function partsOf(text: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let start = 0; start < text.length; ) {
    let end = Math.min(start + BLOB_PART_BYTES, text.length);
    while (end < text.length && isContinuation(text[end])) end--;
    parts.push(text.subarray(start, end));
    start = end;
  }
  return parts;
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}
