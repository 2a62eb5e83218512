import { z } from 'zod';
import { ResultJson } from './json.ts';

/**
 * The memory of tools that must take effect once and cannot tell a repeat themselves (TOOL-5). Workers may publish to
 * no stream, so a worker asks the nodes, on `idem.<tool>.<verb>`: `begin` before it runs, `done` with the result, or
 * `failed` when nothing was done. Records are kept for a day.
 */

const V = z.literal(1);
const Key = z.string().min(1).max(512);
/** Whose beginning it is: one a try, so that a request that is sent again is told from another try. */
const Claim = z.string().min(1).max(128);

export const IDEM_VERBS = {
  begin: z.strictObject({ v: V, key: Key, claim: Claim }),
  /** Without a result it was too large to be kept. */
  done: z.strictObject({ v: V, key: Key, claim: Claim, result: ResultJson.optional() }),
  failed: z.strictObject({ v: V, key: Key, claim: Claim }),
} as const;
export type IdemVerb = keyof typeof IDEM_VERBS;

/** The answer to `begin`. */
export const Begun = z.discriminatedUnion('state', [
  /** Go on: nobody did it before. */
  z.object({ state: z.literal('begun') }),
  z.object({ state: z.literal('done'), result: ResultJson.optional() }),
  /** Somebody began, at that moment (epoch ms), and never said how it ended. */
  z.object({ state: z.literal('open'), at: z.int() }),
]);
export type Begun = z.infer<typeof Begun>;

/** How long a record is kept, milliseconds. */
export const REMEMBERED_MS = 86_400_000;
