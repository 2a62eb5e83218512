import { type BlobRef, digestOf } from '../core/blob.ts';
import type { AskBody, BlobPart } from '../core/door-wire.ts';
import { AppError } from '../core/errors.ts';
import type { RunEvent } from '../core/events.ts';
import { parseCallId } from '../core/ids.ts';
import type { Json } from '../core/json.ts';
import { redactText } from '../core/redact.ts';
import { readBlobPart } from './blobs.ts';
import type { NodeDeps } from './deps.ts';

/**
 * The whole result of a call, a part at a time: what lies beside the journal as it was stored, what stands in it as one
 * part. Throws AppError `invalid_request`, `no_result`, `call_failed`, `blob_missing`.
 */
export async function blobPart(deps: NodeDeps, { run, c, part }: AskBody<'blob'>): Promise<BlobPart> {
  const brought = await broughtBy(deps, run, c);
  const own = 'value' in brought ? new TextEncoder().encode(JSON.stringify(brought.value)) : null;
  const ref = 'ref' in brought ? brought.ref : await inOnePart(own ?? new Uint8Array());
  if (part >= ref.parts) {
    throw new AppError('invalid_request', `part: the result has the parts 0 to ${ref.parts - 1}`, { field: 'part' });
  }
  const bytes = own ?? (await readBlobPart(deps.bus, deps.subjects, run, c, ref, part));
  // JSON would escape every quote in it; this form has one size.
  return { ...ref, part, data: Buffer.from(bytes).toString('base64') };
}

type Brought = { ref: BlobRef } | { value: Json };

/** What the journal says that the call brought: between the decision that asked for it and the next one. */
async function broughtBy(deps: NodeDeps, run: string, c: string): Promise<Brought> {
  let failure: AppError | null = null;
  search: for await (const entry of deps.journal.entries(run, parseCallId(c).entry + 1)) {
    for (const event of entry.events) {
      if (event.type === 'decided') break search;
      if (!('c' in event) || event.c !== c) continue;
      const brought = resultIn(event);
      if (brought !== null) return brought;
      if (event.type === 'call_failed') {
        failure = new AppError('call_failed', `call ${c} of run ${run} failed: ${redactText(event.error.message)}`, {
          field: 'c',
        });
      }
    }
  }
  throw (
    failure ??
    new AppError('no_result', `run ${run} has no result of a call ${c}: it has not ended, or was never made`, {
      field: 'c',
    })
  );
}

function resultIn(event: RunEvent): Brought | null {
  if (event.type === 'call_done') return event.blob === undefined ? { value: event.result } : { ref: event.blob };
  if (event.type === 'child_ended') return { value: event.answer };
  return event.type === 'resolved' && event.verdict === 'done' ? { value: event.result ?? null } : null;
}

async function inOnePart(bytes: Uint8Array<ArrayBuffer>): Promise<BlobRef> {
  return { sha256: await digestOf(bytes), bytes: bytes.length, parts: 1 };
}
