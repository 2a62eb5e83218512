import type { Json } from '../../core/json.ts';

/** How much two texts have in common, from the fingerprints of their first words. */

const MAX_WORDS = 64;
/** Characters that are looked at. */
const MAX_CHARS = 512;
/** A text of fewer words says too little to be like another. */
const LEAST_WORDS = 4;
const BASIS = 0x811c9dc5;

/** 24 bits for each different word, in no order. */
class Words {
  /** A list: for so few, looking through it is faster than a set. */
  readonly all: number[] = [];
  private left = MAX_CHARS;

  add(text: string): void {
    const end = Math.min(text.length, this.left);
    this.left -= end;
    let hash = BASIS;
    for (let i = 0; i <= end && this.all.length < MAX_WORDS; i++) {
      const code = i < end ? lowered(text.charCodeAt(i)) : 0;
      if (code !== 0) hash = Math.imul(hash ^ code, 0x01000193);
      else if (hash !== BASIS) {
        const word = (hash ^ (hash >>> 15)) & 0xffffff;
        if (!this.all.includes(word)) this.all.push(word);
        hash = BASIS;
      }
    }
  }

  /** All names and values. */
  addAll(value: Json): void {
    if (this.left <= 0 || this.all.length >= MAX_WORDS) return;
    if (typeof value === 'string') this.add(value);
    else if (typeof value !== 'object' || value === null) this.add(String(value));
    else if (Array.isArray(value)) for (const item of value) this.addAll(item);
    else {
      for (const name of Object.keys(value)) {
        this.add(name);
        this.addAll(value[name] ?? null);
      }
    }
  }
}

/** A letter of a word, in lower case; 0 for what stands between words. */
function lowered(code: number): number {
  if (code >= 97 && code <= 122) return code;
  if (code >= 65 && code <= 90) return code + 32;
  return (code >= 48 && code <= 57) || code === 95 || code > 127 ? code : 0;
}

export function wordsOf(text: string | undefined): number[] {
  if (text === undefined || text === '') return [];
  const words = new Words();
  words.add(text);
  return words.all;
}

export function wordsOfArguments(calls: readonly { args: Json }[]): number[] {
  const words = new Words();
  for (const { args } of calls) words.addAll(args);
  return words.all;
}

/** Of all words that either has, the share that both have; 0 when one has too few to tell. */
export function likeness(one: number[], other: number[]): number {
  if (one.length < LEAST_WORDS || other.length < LEAST_WORDS) return 0;
  let both = 0;
  for (const word of one) if (other.includes(word)) both++;
  return both / (one.length + other.length - both);
}
