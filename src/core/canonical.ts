import type { Json } from './json.ts';

/**
 * JSON text with the keys of every object sorted and no space (RFC 8785): equal values have equal texts, whoever writes
 * them. For values of bounded depth.
 */
export function canonicalText(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const parts = Object.keys(value)
    .sort((a, b) => (a < b ? -1 : 1))
    .map((key) => `${JSON.stringify(key)}:${canonicalText(value[key] ?? null)}`);
  return `{${parts.join(',')}}`;
}

/** What an approval is bound to: SHA-256 of the canonical text, in hex. */
export function digestOf({ sha256 }: { sha256: (text: string) => string }, args: Json): string {
  return sha256(canonicalText(args));
}
