import { AppError } from '../../core/errors.ts';
import type { Json } from '../../core/json.ts';
import { asReference, type Reference } from '../../core/plan.ts';
import { type Allowance, copyJson, runQuery } from './query.ts';

/** Reads the result of a plan step that is done. */
export type ReadResult = (step: string) => Promise<Json>;

/**
 * `value` with every reference in it replaced by what it refers to. A step's whole result may be null; a query that
 * finds nothing may not, because a tool would be called with a hole in its arguments.
 *
 * @param path where `value` stands in the plan, for the error: AppError `bad_reference`, not retryable
 * @param allowance shrinks by what the resolved value takes
 */
export async function resolveReferences(
  value: Json,
  path: string,
  read: ReadResult,
  allowance: Allowance,
): Promise<Json> {
  const reference = asReference(value);
  if (reference !== null) return await resolveOne(reference, path, await read(reference.step), allowance);
  if (Array.isArray(value)) {
    const items: Json[] = [];
    for (const [i, item] of value.entries()) {
      items.push(await resolveReferences(item, `${path}.${i}`, read, allowance));
    }
    return items;
  }
  if (typeof value === 'object' && value !== null) {
    const entries: [string, Json][] = [];
    for (const [key, item] of Object.entries(value)) {
      entries.push([key, await resolveReferences(item, `${path}.${key}`, read, allowance)]);
    }
    return Object.fromEntries(entries);
  }
  allowance.left -= typeof value === 'string' ? value.length + 2 : 4;
  return value;
}

async function resolveOne(reference: Reference, path: string, result: Json, allowance: Allowance): Promise<Json> {
  const { step, query } = reference;
  const what = query === undefined ? `the result of step "${step}"` : `"${query.slice(0, 200)}" on step "${step}"`;
  const fault = (reason: string, cause?: unknown): AppError =>
    new AppError('bad_reference', `${path}: ${what}: ${reason}. Correct the reference in the plan`, {
      field: path,
      cause,
    });
  try {
    if (query === undefined) return copyJson(result, allowance);
    const found = await runQuery(query, result, allowance);
    if (found === null || found === undefined) throw fault('the query finds nothing in the result');
    return copyJson(found, allowance);
  } catch (thrown) {
    if (thrown instanceof AppError && thrown.code !== 'bad_query') throw thrown;
    throw fault(thrown instanceof Error ? thrown.message : String(thrown), thrown);
  }
}
