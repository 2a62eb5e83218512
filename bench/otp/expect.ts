import { isDeepStrictEqual } from 'node:util';
import { clip } from '../../src/core/errors.ts';
import { reasonText } from '../../supervisors/exit-reason.ts';
import type { Reply } from '../../supervisors/requests.ts';
import type { Entry } from './recorder.ts';
import type { StartResult } from './world.ts';

/** Comparing what a case expects with what happened. Every function returns null, or a line that says what differs. */

export type Expected = readonly (string | readonly string[])[];

/** `@ms text`, `text`, or `text` without its reason; a list is a group in any order. */
export function compareEntries(
  what: string,
  expected: Expected,
  actual: readonly Entry[],
  began: number,
): string | null {
  const rest = [...actual];
  const items = expected.flatMap((item): (string | string[])[] =>
    typeof item === 'string' ? repeated(item) : [item.flatMap(repeated)],
  );
  const fits = items.every((item) => {
    const group = typeof item === 'string' ? [item] : [...item];
    const taken = rest.splice(0, group.length);
    return taken.length === group.length && matchGroup(group, taken, began);
  });
  if (fits && rest.length === 0) return null;
  return `${what}: expected ${show(expected)}, got ${show(folded(actual, began))}`;
}

function repeated(text: string): string[] {
  const match = /^(.*\S) x(\d+)$/.exec(text);
  return match === null ? [text] : Array.from({ length: Number(match[2]) }, () => match[1] ?? '');
}

/** What happened as a case would write it. */
function folded(entries: readonly Entry[], began: number): string[] {
  const lines: { text: string; times: number }[] = [];
  for (const entry of entries) {
    const text = entry.at === began ? entry.text : `@${entry.at - began} ${entry.text}`;
    const last = lines.at(-1);
    if (last?.text === text) last.times += 1;
    else lines.push({ text, times: 1 });
  }
  return lines.map(({ text, times }) => (times === 1 ? text : `${text} x${times}`));
}

function matchGroup(group: string[], taken: Entry[], began: number): boolean {
  if (group.length > 8) {
    const expected = sorted(group);
    return [taken.map(({ text }) => text), taken.map(({ short }) => short)].some((texts) =>
      isDeepStrictEqual(expected, sorted(texts)),
    );
  }
  const [first, ...others] = group;
  if (first === undefined) return taken.length === 0;
  return taken.some(
    (entry, index) =>
      matches(first, entry, began) && matchGroup(others, [...taken.slice(0, index), ...taken.slice(index + 1)], began),
  );
}

function matches(expected: string, entry: Entry, began: number): boolean {
  const timed = /^@(\d+) +(.*)$/.exec(expected);
  if (timed !== null && entry.at - began !== Number(timed[1])) return false;
  const text = (timed?.[2] ?? expected).replace(/\s*,\s*/g, ',');
  return text === entry.text || text === entry.short;
}

export function compareTexts(what: string, expected: Expected, actual: readonly string[]): string | null {
  const entries = actual.map((text): Entry => ({ kind: 'event', text, short: text, at: 0 }));
  return compareEntries(what, expected, entries, 0);
}

/** Objects: every field that is expected is there and equal. */
export function comparePart(what: string, expected: unknown, actual: unknown): string | null {
  return includes(expected, actual) ? null : `${what}: expected ${show(expected)}, got ${show(actual)}`;
}

function includes(expected: unknown, actual: unknown): boolean {
  if (typeof expected !== 'object' || expected === null || Array.isArray(expected)) {
    return isDeepStrictEqual(expected, actual);
  }
  if (typeof actual !== 'object' || actual === null) return false;
  return Object.entries(expected).every(([key, value]) => includes(value, (actual as Record<string, unknown>)[key]));
}

export function compareWord(what: string, expected: string, words: readonly string[]): string | null {
  const close = (text: string): string => text.replace(/\s*,\s*/g, ',');
  return words.some((word) => close(word) === close(expected))
    ? null
    : `${what}: expected ${expected}, got ${words.join(' or ')}`;
}

export function startWords(result: StartResult | null): string[] {
  if (result === null) return ['nothing'];
  if (result.type !== 'error') return [result.type];
  const inner = /^shutdown\((failed_to_start_child\(.*\))\)$/.exec(result.code)?.[1];
  const words = inner === undefined ? [] : ['error(failed_to_start_child)', `error(${inner})`, 'error(shutdown)'];
  return ['error', `error(${result.code})`, result.code, ...words, ...faultsIn(result.message, result.code)];
}

/** The words that a reply may be expected by, from the least to the most exact. */
export function replyWords(reply: Reply | null): string[] {
  if (reply === null) return ['nothing'];
  if (!reply.ok) return errorWords(reply);
  if (reply.partition !== undefined) return ['ok', String(reply.partition)];
  if (reply.size !== undefined) return ['ok', `ok(${reply.size})`];
  if (reply.child !== undefined) {
    if (typeof reply.child === 'object') return ['ok', 'ref', 'running'];
    return reply.child === 'stopped' ? ['ok', 'none', 'stopped'] : ['ok', reply.child];
  }
  if (reply.ref === null) return ['ok', 'ok(none)'];
  if (reply.ref === undefined) return ['ok'];
  const info = typeof reply.info === 'string' ? [`ok(ref,${reply.info})`] : [];
  return ['ok', ...(info.length === 0 ? ['ok(ref)'] : info)];
}

function errorWords(reply: Reply & { ok: false }): string[] {
  const words: string[] = [reply.error];
  if (reply.ref !== undefined) words.push(`${reply.error}(${reply.ref})`);
  if (reply.reason === undefined) return words;
  const message = reply.reason.type === 'error' ? reply.reason.error.message : '';
  const code = reasonText(reply.reason);
  return ['error', ...words, `error(${code})`, code, ...faultsIn(message, reply.error)];
}

/** `word(field)` for each field that the message names. */
function faultsIn(message: string, word: string): string[] {
  const fields = [...message.matchAll(/(?:^|; )([\w.]+)(?:, [\w.]+)*: /g)].map((match) => match[1] ?? '');
  const names = fields.flatMap((field) => [field, field.split('.').at(-1) ?? '']);
  return [...new Set(names)].flatMap((name) => [`${word}(${name})`, `bad_spec(${name})`, `error(${name})`]);
}

function show(value: unknown): string {
  return clip(JSON.stringify(value) ?? 'nothing', 4_000);
}

function sorted(texts: readonly string[]): string[] {
  return texts.toSorted((a, b) => (a < b ? -1 : 1));
}
