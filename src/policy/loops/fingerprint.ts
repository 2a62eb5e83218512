import type { Json } from '../../core/json.ts';

/**
 * Fingerprints of values: equal for values that say the same, whatever the order of their keys, their white space and
 * the form of their numbers (`39`, `39.0` and `"39"` are one). 53 bits, so that two different values have one by chance
 * is as good as impossible; it is no digest, and nobody's safety hangs on it.
 *
 * Every character is looked at, as two results may differ in the middle; the cost is that of writing the value as JSON.
 */

const NOTHING: readonly string[] = [];
/** What each kind of value begins with. */
const [NULL, TRUE, FALSE, NUMBER, TEXT, LIST, OBJECT, END] = [1, 2, 3, 4, 5, 6, 7, 8];

let a = 0;
let b = 0;

function begin(): void {
  a = 0xdeadbeef;
  b = 0x41c6ce57;
}

function add(n: number): void {
  a = Math.imul(a ^ n, 0x9e3779b1);
  b = Math.imul(b ^ n, 0x5f356495);
  a ^= a >>> 15;
  b ^= b >>> 13;
}

function end(): number {
  const high = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35);
  const low = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
  return (high >>> 11) * 0x100000000 + (low >>> 0);
}

/** Of a JSON value of bounded depth. @param ignored names of fields that say nothing, at any depth */
export function printOf(value: Json, ignored: readonly string[] = NOTHING): number {
  begin();
  walk(value, ignored);
  return end();
}

/** Of fingerprints in their order. */
export function printOfAll(...prints: number[]): number {
  begin();
  for (const print of prints) {
    add(print | 0);
    add((print / 0x100000000) | 0);
  }
  return end();
}

/** Of an error's words: what holds a digit (a count, a time, an id) is left out, as it differs each time. */
export function printOfFailure(code: string, message: string): number {
  begin();
  characters(code);
  add(END);
  const length = Math.min(message.length, MAX_MESSAGE);
  let [wordA, wordB] = [a, b];
  let digit = false;
  for (let i = 0; i <= length; i++) {
    const code = i < length ? message.charCodeAt(i) : 0;
    if (isDigit(code)) digit = true;
    if (isDigit(code) || isLetter(code)) {
      add(code);
      continue;
    }
    if (digit) {
      a = wordA;
      b = wordB;
      add(NUMBER);
    }
    add(code + 0x200);
    [wordA, wordB] = [a, b];
    digit = false;
  }
  return end();
}

/** Characters of a message that are looked at. */
const MAX_MESSAGE = 2_048;

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function isLetter(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95 || code > 127;
}

function walk(value: Json, ignored: readonly string[]): void {
  if (typeof value === 'string') text(value);
  else if (typeof value === 'number') number(value);
  else if (value === null) add(NULL);
  else if (typeof value === 'boolean') add(value ? TRUE : FALSE);
  else if (Array.isArray(value)) {
    add(LIST);
    for (const item of value) walk(item, ignored);
    add(END);
  } else {
    add(OBJECT);
    for (const name of sortedNames(value)) {
      if (ignored.length > 0 && ignored.includes(name)) continue;
      characters(name);
      add(END);
      walk(value[name] ?? null, ignored);
    }
    add(END);
  }
}

/** Most objects have one name, or have them in order. */
function sortedNames(value: { [name: string]: Json }): string[] {
  const names = Object.keys(value);
  for (let i = 1; i < names.length; i++) {
    if ((names[i - 1] as string) > (names[i] as string)) return names.sort((one, other) => (one < other ? -1 : 1));
  }
  return names;
}

function number(value: number): void {
  add(NUMBER);
  if (Number.isInteger(value) && Math.abs(value) < 0x80000000) add(value);
  else characters(String(value));
  add(END);
}

/** A number without leading zeros that a double holds exactly: `"007"` and long ids stay texts. */
const NUMBER_TEXT = /^-?(?:0|[1-9]\d*)(?:\.\d+)?$/;
const MAX_NUMBER_TEXT = 15;

function text(value: string): void {
  if (value.length <= MAX_NUMBER_TEXT && NUMBER_TEXT.test(value)) {
    number(Number(value));
    return;
  }
  add(TEXT);
  characters(value);
  add(END);
}

/** White space at the ends says nothing, and any of it between words is one space. */
function characters(value: string): void {
  let space = false;
  let begun = false;
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code === 32 || (code <= 13 && code >= 9) || code === 0xa0) {
      space = true;
      continue;
    }
    if (space && begun) add(0x120);
    space = false;
    begun = true;
    add(code + 0x200);
  }
}
