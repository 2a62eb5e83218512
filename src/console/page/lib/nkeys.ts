/**
 * The keys of approvers as NATS writes them (nkeys), and signatures with them by the browser's own Ed25519. A text of a key
 * is base32 of what kind of key it is, 32 bytes, and a checksum; the text of a seed has its kind spread over two bytes.
 */

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const SEED = 18 << 3;
const USER = 20 << 3;
/** What stands before the seed in the form that browsers import (PKCS #8, RFC 8410). */
const PKCS8 = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

export interface KeyPair {
  /** Its text. */
  publicKey: string;
  sign(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array>;
}

/** Null for a text that is no seed of a user. Throws a DOMException `NotSupportedError` in a browser without Ed25519. */
export async function pairOf(seed: string): Promise<KeyPair | null> {
  const raw = fromBase32(seed);
  if (raw === null || raw.length !== 36 || !isSound(raw)) return null;
  const [first = 0, second = 0] = raw;
  if ((first & 0xf8) !== SEED || (((first & 7) << 5) | (second >> 3)) !== USER) return null;
  const pkcs8 = new Uint8Array([...PKCS8, ...raw.subarray(2, 34)]);
  // Twice: only for a moment is there a key that could be read out, as that is how its public half is learnt.
  const open = await crypto.subtle.importKey('pkcs8', pkcs8, 'Ed25519', true, ['sign']);
  const { x = '' } = await crypto.subtle.exportKey('jwk', open);
  const key = await crypto.subtle.importKey('pkcs8', pkcs8, 'Ed25519', false, ['sign']);
  pkcs8.fill(0);
  raw.fill(0);
  const half = atob(x.replaceAll('-', '+').replaceAll('_', '/'));
  const told = [USER, ...[...half].map((letter) => letter.charCodeAt(0))];
  const sum = checksum(told);
  return {
    publicKey: toBase32([...told, sum & 0xff, sum >> 8]),
    sign: async (bytes) => new Uint8Array(await crypto.subtle.sign('Ed25519', key, bytes)),
  };
}

function isSound(raw: Uint8Array): boolean {
  const end = raw.length - 2;
  return checksum(raw.subarray(0, end)) === ((raw[end] ?? 0) | ((raw[end + 1] ?? 0) << 8));
}

/** CRC-16 with the polynomial 0x1021, as XMODEM has it. */
function checksum(bytes: Iterable<number>): number {
  let sum = 0;
  for (const byte of bytes) {
    sum ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) sum = ((sum & 0x8000) === 0 ? sum << 1 : (sum << 1) ^ 0x1021) & 0xffff;
  }
  return sum;
}

function fromBase32(text: string): Uint8Array | null {
  const bytes: number[] = [];
  let [held, bits] = [0, 0];
  for (const letter of text) {
    const value = ALPHABET.indexOf(letter);
    if (value < 0) return null;
    held = (held << 5) | value;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((held >> bits) & 0xff);
    held &= (1 << bits) - 1;
  }
  // Bits that belong to no byte are zero: a key has one text.
  return held === 0 && bits < 5 ? new Uint8Array(bytes) : null;
}

function toBase32(bytes: number[]): string {
  let text = '';
  let [held, bits] = [0, 0];
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(held >> bits) & 31];
      held &= (1 << bits) - 1;
    }
  }
  return bits === 0 ? text : text + ALPHABET[(held << (5 - bits)) & 31];
}
