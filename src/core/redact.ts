/**
 * Secrets out of what is shown or logged (OBS-1): values under secret names at any depth, by exact name so that
 * `tokens_in` stays, and key-shaped strings inside values.
 */

export const REDACTED = '***REDACTED***';

const SECRET_NAMES = new Set([
  'password',
  'token',
  'secret',
  'api_key',
  'apikey',
  'authorization',
  'nkey_seed',
  'seed',
]);

/** Shapes of keys of common providers, NATS seeds, bearer headers, and user information in URLs. */
const KEY_SHAPES: [RegExp, string][] = [
  [/\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}/g, REDACTED],
  [/\b(?:ghp|gho|ghs|github_pat|xox[abprs]|AKIA|AIza)[A-Za-z0-9_-]{12,}/g, REDACTED],
  [/\bS[UACNOX][A-Z2-7]{56}\b/g, REDACTED],
  [/\bBearer\s+[A-Za-z0-9._~+/-]{8,}=*/gi, `Bearer ${REDACTED}`],
  [/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@:]+:[^\s/@]+@/gi, `$1${REDACTED}@`],
];

const MAX_DEPTH = 32;

export function redactText(text: string): string {
  return KEY_SHAPES.reduce((out, [shape, mark]) => out.replace(shape, mark), text);
}

/** A copy without secrets; deeper than 32 levels nothing is shown. */
export function redact(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) return REDACTED;
  if (Array.isArray(value)) return value.map((item) => redact(item, depth + 1));
  if (value instanceof Error) return { name: value.name, message: redactText(value.message) };
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name,
      SECRET_NAMES.has(name.toLowerCase()) ? REDACTED : redact(item, depth + 1),
    ]),
  );
}
