import { clip } from './errors.ts';
import type { Json } from './json.ts';
import { isSecretName, REDACTED, redactText } from './redact.ts';

/**
 * The beginning of any value, as JSON without secrets. It costs no more than what it shows: a value of a program may be
 * as large as its memory, hold itself, and have getters that throw.
 */

const MAX_DEPTH = 6;
const MAX_ENTRIES = 24;
const MAX_TEXT = 256;
/** Characters of a text that are looked at for secrets, which may be cut off behind what is shown. */
const MAX_READ = 2_048;

export interface PreviewOptions {
  /** Values that are shown, those in lists and objects counted; default 200. */
  most?: number;
}

export function preview(value: unknown, { most = 200 }: PreviewOptions = {}): Json {
  const room = { left: most };
  try {
    return shown(value, 0, room);
  } catch {
    return '[unreadable]';
  }
}

/** What is left to show; each part of a value gets its share of it, so that a large one hides no other. */
interface Room {
  left: number;
}

function shown(value: unknown, depth: number, room: Room): Json {
  room.left--;
  switch (typeof value) {
    case 'string':
      return clip(redactText(value.slice(0, MAX_READ)), MAX_TEXT);
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'boolean':
      return value;
    case 'object':
      return value === null ? null : ofObject(value, depth, room);
    case 'undefined':
      return null;
    default:
      return typeof value === 'bigint' ? clip(String(value), MAX_TEXT) : `[${typeof value}]`;
  }
}

function ofObject(value: object, depth: number, room: Room): Json {
  if (value instanceof Error) return { name: value.name, message: shown(value.message, depth, room) };
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? '[Date]' : value.toISOString();
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  const most = Math.min(MAX_ENTRIES, room.left);
  if (depth >= MAX_DEPTH || most <= 0) return '…';
  if (Array.isArray(value) || value instanceof Set) {
    const size = Array.isArray(value) ? value.length : value.size;
    const items = shares(first(value, most), room, (item, own) => shown(item, depth + 1, own));
    return items.length < size ? [...items, `… ${size - items.length} more`] : items;
  }
  const names = value instanceof Map ? [] : Object.keys(value);
  const entries: (readonly [unknown, unknown])[] =
    value instanceof Map ? first(value, most) : names.slice(0, most).map((name) => [name, readOf(value, name)]);
  const size = value instanceof Map ? value.size : names.length;
  const found = shares(entries, room, ([key, item], own): [string, Json] => {
    const name = clip(redactText(String(key).slice(0, MAX_READ)), MAX_TEXT);
    return [name, isSecretName(name) ? REDACTED : shown(item, depth + 1, own)];
  });
  if (found.length < size) found.push(['…', `${size - found.length} more`]);
  return Object.fromEntries(found);
}

function first<T>(items: Iterable<T>, most: number): T[] {
  const found: T[] = [];
  for (const item of items) {
    if (found.push(item) >= most) break;
  }
  return found;
}

/** Each item with its share of the room; what one does not need goes to those after it. */
function shares<T, R>(items: T[], room: Room, show: (item: T, own: Room) => R): R[] {
  return items.map((item, i) => {
    const own = { left: Math.ceil(room.left / (items.length - i)) };
    const before = own.left;
    const result = show(item, own);
    room.left -= before - own.left;
    return result;
  });
}

function readOf(value: object, name: string): unknown {
  try {
    return (value as Record<string, unknown>)[name];
  } catch {
    return '[unreadable]';
  }
}
