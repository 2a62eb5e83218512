import type { BlobRef } from '../core/blob.ts';
import type { AskBody, BlobPart } from '../core/door-wire.ts';
import { AppError } from '../core/errors.ts';
import { parseCallId } from '../core/ids.ts';
import { readBlobPart } from './blobs.ts';
import type { NodeDeps } from './deps.ts';

/** One part of a result that lies beside the journal. Throws AppError `no_blob`, `blob_missing`. */
export async function blobPart(deps: NodeDeps, { run, c, part }: AskBody<'blob'>): Promise<BlobPart> {
  const ref = await refOf(deps, run, c);
  if (ref === null) {
    throw new AppError('no_blob', `call ${c} of run ${run} has no result beside the journal`, { field: 'c' });
  }
  if (part >= ref.parts) {
    throw new AppError('invalid_request', `part: the result has the parts 0 to ${ref.parts - 1}`, { field: 'part' });
  }
  const bytes = await readBlobPart(deps.bus, deps.subjects, run, c, ref, part);
  // JSON would escape every quote in it; this form has one size.
  return { ...ref, part, data: Buffer.from(bytes).toString('base64') };
}

/** Where the journal refers to it: somewhere after the decision that asked for the call. */
async function refOf(deps: NodeDeps, run: string, c: string): Promise<BlobRef | null> {
  for await (const entry of deps.journal.entries(run, parseCallId(c).entry + 1)) {
    for (const event of entry.events) if (event.type === 'call_done' && event.c === c) return event.blob ?? null;
  }
  return null;
}
