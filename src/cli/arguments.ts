import { readFile } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';
import { InvalidArgumentError } from 'commander';
import { AppError, toAppError } from '../core/errors.ts';
import { isCallId, isRunId } from '../core/ids.ts';
import type { Json } from '../core/json.ts';
import { SCOPE_FORMS, SwitchScope } from '../core/switch-scope.ts';

/** Arguments as commander hands them over: each parser refuses with what it expects. */

export function runId(text: string): string {
  if (isRunId(text)) return text;
  throw new InvalidArgumentError('Expected a run id such as 20260101-abc-1.');
}

export function runOrScope(text: string): string {
  if (isRunId(text) || SwitchScope.safeParse(text).success) return text;
  throw new InvalidArgumentError(`Expected a run id such as 20260101-abc-1, or a scope: ${SCOPE_FORMS}.`);
}

export function callId(text: string): string {
  if (isCallId(text)) return text;
  throw new InvalidArgumentError('Expected a call id such as 4-0, as "proctor show" and "proctor trace" print them.');
}

/** A number of at least 0, such as an amount of money. */
export function amount(text: string): number {
  const value = Number(text);
  if (/^\d+(?:\.\d+)?$/.test(text) && Number.isFinite(value)) return value;
  throw new InvalidArgumentError('Expected a number such as 2 or 0.5.');
}

export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
  };
}

export function replicaCount(text: string): number {
  if (/^[135]$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected 1, 3 or 5: an even number outlives no more servers than one less.');
}

/** `9464`, `0.0.0.0:9464`, `[::1]:9464`; this machine alone when no host is named. */
export function hostAndPort(text: string): { host: string; port: number } {
  const match = /^(?:(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s]+)):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match !== null && port <= 65_535) return { host: match[1] ?? match[2] ?? '127.0.0.1', port };
  throw new InvalidArgumentError('Expected a port such as 9464, or an address such as 0.0.0.0:9464.');
}

const UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `2s`, `500ms`, `1m`, `2h`, `7d`; in milliseconds. */
export function durationIn(min: number, max: number): (text: string) => number {
  return (text) => {
    const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
    const ms = match === null ? Number.NaN : Math.round(Number(match[1]) * (UNITS[match[2] ?? ''] ?? Number.NaN));
    if (ms >= min && ms <= max) return ms;
    throw new InvalidArgumentError(`Expected a time such as 2s or 500ms, from ${min} ms to ${max / 1_000} s.`);
  };
}

/** For options that may be given more than once. */
export function collect(text: string, before: string[] = []): string[] {
  return [...before, text];
}

/** JSON when it is JSON, else the text itself. */
export function jsonOrText(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

/** The JSON value in a file, `-` for stdin. Throws AppError `usage`, `invalid_task` that names the file. */
export async function readTaskFile(path: string): Promise<unknown> {
  const name = path === '-' ? 'stdin' : path;
  let content: string;
  try {
    content = path === '-' ? await readAll(process.stdin) : await readFile(path, 'utf8');
  } catch (thrown) {
    throw new AppError('usage', unreadable(name, thrown), { cause: thrown });
  }
  try {
    return JSON.parse(content);
  } catch (thrown) {
    throw new AppError('invalid_task', `${name} is not JSON: ${toAppError(thrown).message}`, { cause: thrown });
  }
}

/** Why a file could not be read, for who named it. */
export function unreadable(path: string, thrown: unknown): string {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : '';
  if (code === 'ENOENT') return `there is no file ${path}`;
  if (code === 'EISDIR') return `${path} is a folder: name a file in it`;
  return code === 'EACCES' ? `${path} may not be read by this user` : `${path}: ${toAppError(thrown).message}`;
}

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
