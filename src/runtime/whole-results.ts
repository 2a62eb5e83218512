import type { BlobRef } from '../core/blob.ts';
import { AppError } from '../core/errors.ts';
import { isJson, type Json, MAX_DEPTH } from '../core/json.ts';
import type { Bus } from '../ports/bus.ts';
import { readBlob } from './blobs.ts';
import type { NodeDeps } from './deps.ts';

/** The large result that is being read on each bus: a second one waits, as each takes several times its bytes. */
const reading = new WeakMap<Bus, Promise<unknown>>();

/** A result that lies beside the journal, whole. Throws AppError `blob_missing`, `blob_corrupt`, `bad_result`. */
export function wholeResult({ bus, subjects }: NodeDeps, run: string, c: string, ref: BlobRef): Promise<Json> {
  const parse = async (): Promise<Json> => {
    const value: unknown = JSON.parse(await readBlob(bus, subjects, run, c, ref));
    if (isJson(value)) return value as Json;
    throw new AppError('bad_result', `the result of call ${c} of run ${run} is nested more than ${MAX_DEPTH} deep`);
  };
  const before = reading.get(bus) ?? Promise.resolve();
  const result = before.then(parse, parse);
  // What is remembered is that it is over, not the result.
  reading.set(
    bus,
    result.then(
      () => {},
      () => {},
    ),
  );
  return result;
}
