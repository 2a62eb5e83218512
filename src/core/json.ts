import { z } from 'zod';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Deepest nesting of any JSON value that Proctor takes from outside. */
export const MAX_DEPTH = 64;

/** Any JSON value; parsed JSON text is one already, so nothing is walked here beyond what `depthOf` asks. */
export const Json: z.ZodType<Json> = z.custom<Json>((value) => value !== undefined && depthOf(value) <= MAX_DEPTH, {
  message: `expected a JSON value nested at most ${MAX_DEPTH} deep`,
});

/** Largest result of a call that a journal takes, bytes of its JSON. */
export const MAX_RESULT_BYTES = 256 * 1024;

/** What a call brings, from whomever. */
export const ResultJson: z.ZodType<Json> = z.custom<Json>(
  (value) =>
    value !== undefined && depthOf(value) <= MAX_DEPTH && !exceedsBytes(JSON.stringify(value) ?? '', MAX_RESULT_BYTES),
  { message: `expected a JSON value of at most ${MAX_RESULT_BYTES} bytes, nested at most ${MAX_DEPTH} deep` },
);

export const JsonObject: z.ZodType<Record<string, Json>> = z.custom<Record<string, Json>>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value) && depthOf(value) <= MAX_DEPTH,
  { message: `expected a JSON object nested at most ${MAX_DEPTH} deep` },
);

/** Nesting depth of a value, without recursion: a hostile one must not exhaust the stack. Stops past MAX_DEPTH. */
export function depthOf(value: unknown): number {
  let level: unknown[] = isContainer(value) ? [value] : [];
  for (let depth = 0; ; depth++) {
    if (level.length === 0 || depth > MAX_DEPTH) return depth;
    const next: unknown[] = [];
    for (const container of level) {
      for (const item of Object.values(container as object)) if (isContainer(item)) next.push(item);
    }
    level = next;
  }
}

/** Bytes of a text in UTF-8. */
export function byteLength(text: string): number {
  return encoder.encode(text).byteLength;
}

/** Whether a text is longer than `max` bytes in UTF-8; most texts are judged by their length alone. */
export function exceedsBytes(text: string, max: number): boolean {
  if (text.length > max) return true;
  return text.length * 3 > max && byteLength(text) > max;
}

const encoder = new TextEncoder();

function isContainer(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}
