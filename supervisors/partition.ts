/**
 * Which partition a key belongs to: a whole number by its absolute value, any other key by a hash, modulo the number of
 * partitions in use. The mapping is not a contract and changes with the size.
 */
export function partitionOf(key: string | number, size: number): number {
  if (typeof key === 'number' && Number.isSafeInteger(key)) return Math.abs(key) % size;
  return hash(String(key)) % size;
}

/** FNV-1a, 32 bits. */
export function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  return value >>> 0;
}
