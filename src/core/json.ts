import { z } from 'zod';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Deepest nesting of any JSON value that Proctor takes from outside. */
export const MAX_DEPTH = 64;

/** Any JSON value; parsed JSON text is one already, so nothing is walked here beyond what `depthOf` asks. */
export const Json: z.ZodType<Json> = z.custom<Json>((value) => value !== undefined && depthOf(value) <= MAX_DEPTH, {
  message: `expected a JSON value nested at most ${MAX_DEPTH} deep`,
});

export const JsonObject: z.ZodType<Record<string, Json>> = z.custom<Record<string, Json>>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value) && depthOf(value) <= MAX_DEPTH,
  { message: `expected a JSON object nested at most ${MAX_DEPTH} deep` },
);

/** Nesting depth of a value, without recursion: a hostile one must not exhaust the stack. Stops past MAX_DEPTH. */
export function depthOf(value: unknown): number {
  let level: unknown[] = [value];
  for (let depth = 0; ; depth++) {
    const next: unknown[] = [];
    for (const item of level) {
      if (typeof item === 'object' && item !== null) next.push(...Object.values(item).filter(isContainer));
    }
    if (!level.some(isContainer)) return depth;
    if (depth > MAX_DEPTH) return depth;
    level = next;
  }
}

const encoder = new TextEncoder();

function isContainer(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

/** Bytes of a text in UTF-8. */
export function byteLength(text: string): number {
  return encoder.encode(text).byteLength;
}
