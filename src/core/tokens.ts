/**
 * One encoding for everything that becomes a NATS subject token (agent, user, tool and run names, ids).
 *
 * Letters, digits, `_` and `-` stand for themselves; every other byte of the UTF-8 form becomes `=XX` (upper-case hex),
 * so `alice@example.com` is `alice=40example=2Ecom`. The encoding is injective and its image holds no `.`, `*`, `>` or
 * space, so a name can never change the shape of a subject. The empty string has no token.
 */

const PLAIN = /^[A-Za-z0-9_-]+$/;
const ENCODED = /^(?:[A-Za-z0-9_-]|=[0-9A-F]{2})+$/;
const utf8 = new TextEncoder();
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function encodeToken(name: string): string {
  if (PLAIN.test(name)) return name;
  if (name === '') throw new RangeError('an empty name cannot be a subject token');
  let out = '';
  for (const byte of utf8.encode(name)) {
    const char = String.fromCharCode(byte);
    out += PLAIN.test(char) ? char : `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return out;
}

/** The name behind a token, or `null` when the token is not one that `encodeToken` writes. */
export function decodeToken(token: string): string | null {
  if (PLAIN.test(token)) return token;
  if (!ENCODED.test(token)) return null;
  const bytes: number[] = [];
  for (let i = 0; i < token.length; i++) {
    if (token[i] === '=') {
      bytes.push(Number.parseInt(token.slice(i + 1, i + 3), 16));
      i += 2;
    } else {
      bytes.push(token.charCodeAt(i));
    }
  }
  try {
    const name = strict.decode(new Uint8Array(bytes));
    return encodeToken(name) === token ? name : null;
  } catch {
    return null;
  }
}
