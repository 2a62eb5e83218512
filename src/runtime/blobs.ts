import { type BlobRef, digestOf } from '../core/blob.ts';
import { AppError } from '../core/errors.ts';
import { periodOfRun } from '../core/ids.ts';
import { blobStream } from '../core/streams.ts';
import type { Subjects } from '../core/subjects.ts';
import type { Bus } from '../ports/bus.ts';

/** Reads results that lie in parts beside the journal: see `core/blob.ts`. */

/** One part, from 0. Throws AppError `blob_missing`. */
export async function readBlobPart(
  bus: Bus,
  subjects: Subjects,
  run: string,
  c: string,
  ref: BlobRef,
  part: number,
): Promise<Uint8Array> {
  const { name } = blobStream(subjects, periodOfRun(run));
  const stored = await bus.last(name, subjects.blob(run, c, ref.sha256, part));
  if (stored !== null) return stored.bytes();
  throw new AppError(
    'blob_missing',
    `the result of call ${c} of run ${run}: part ${part} of ${ref.parts} is not there`,
  );
}

/** The parts in order, one in memory at a time. Whoever puts them together checks the digest: `readBlob` does. */
export async function* readBlobParts(
  bus: Bus,
  subjects: Subjects,
  run: string,
  c: string,
  ref: BlobRef,
): AsyncGenerator<Uint8Array> {
  for (let part = 0; part < ref.parts; part++) yield await readBlobPart(bus, subjects, run, c, ref, part);
}

/** The whole JSON text. Throws AppError `blob_missing`, or `blob_corrupt` when it is not what the journal refers to. */
export async function readBlob(bus: Bus, subjects: Subjects, run: string, c: string, ref: BlobRef): Promise<string> {
  const whole = new Uint8Array(ref.bytes);
  let bytes = 0;
  for await (const part of readBlobParts(bus, subjects, run, c, ref)) {
    if (bytes + part.length > ref.bytes) throw corrupt(run, c, 'is longer than the journal says');
    whole.set(part, bytes);
    bytes += part.length;
  }
  if ((await digestOf(whole.subarray(0, bytes))) !== ref.sha256) {
    throw corrupt(run, c, 'does not have the digest that the journal says');
  }
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(whole);
}

function corrupt(run: string, c: string, why: string): AppError {
  return new AppError('blob_corrupt', `the stored result of call ${c} of run ${run} ${why}: it was damaged or forged`);
}
