import { z } from 'zod';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Deepest nesting of any JSON value that Proctor takes from outside. */
export const MAX_DEPTH = 64;

/**
 * Any JSON value. A number that no double can hold (1e999) is refused: it would be Infinity in memory and null in the
 * journal, and a run would go another way after a restart.
 */
export const Json: z.ZodType<Json> = z.custom<Json>((value) => value !== undefined && isJson(value), {
  error: ({ input }) =>
    input === undefined
      ? 'expected a JSON value, but it is missing'
      : `expected a JSON value nested at most ${MAX_DEPTH} deep, of numbers below 1.8e308`,
});

/** Largest result of a call that a journal takes, bytes of its JSON. */
export const MAX_RESULT_BYTES = 256 * 1024;

/** What a call brings, from whomever. */
export const ResultJson: z.ZodType<Json> = z.custom<Json>(
  (value) => value !== undefined && isJson(value) && !exceedsBytes(JSON.stringify(value) ?? '', MAX_RESULT_BYTES),
  { message: `expected a JSON value of at most ${MAX_RESULT_BYTES} bytes, nested at most ${MAX_DEPTH} deep` },
);

export const JsonObject: z.ZodType<Record<string, Json>> = z.custom<Record<string, Json>>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value) && isJson(value),
  { message: `expected a JSON object nested at most ${MAX_DEPTH} deep, of numbers below 1.8e308` },
);

/** Whether a value that was parsed from JSON text is one that is written as it was read. */
export function isJson(value: unknown): boolean {
  return depthOf(value) <= MAX_DEPTH && hasFiniteNumbers(value);
}

/** The depth was looked at before, so recursion is bounded. */
function hasFiniteNumbers(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  return !isContainer(value) || Object.values(value as object).every(hasFiniteNumbers);
}

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

/** Whether two values say the same; the order of an object's names says nothing. */
export function sameJson(a: Json, b: Json): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, i) => sameJson(item, b[i] ?? null));
  }
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return false;
  return names.every((name) => Object.hasOwn(b, name) && sameJson(a[name] ?? null, b[name] ?? null));
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
