import { clip } from '../core/errors.ts';
import type { Json } from '../core/json.ts';
import { redactText } from '../core/redact.ts';
import type { Io } from './io.ts';

/** Values as a person reads them. What tools, models and submitters wrote is made harmless for the terminal first. */

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is being replaced
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g;

/** One line without anything that could move the cursor or recolour the terminal. */
export function line(text: string): string {
  return text.replace(CONTROL, ' ');
}

export function preview(value: Json, max = 120): string {
  return clip(line(redactText(typeof value === 'string' ? value : JSON.stringify(value))), max);
}

/** JSON for people, or a text as it is, line by line. */
export function pretty(value: Json): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2);
  return text.split('\n').map(line).join('\n');
}

/** 950 ms, 12.3 s, 4 m 5 s, 3 h 20 m, 2 d 4 h. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1_000);
  const [days, hours, minutes] = [
    Math.floor(seconds / 86_400),
    Math.floor(seconds / 3_600) % 24,
    Math.floor(seconds / 60) % 60,
  ];
  if (seconds < 3_600) return `${minutes} m ${seconds % 60} s`;
  return seconds < 86_400 ? `${hours} h ${minutes} m` : `${days} d ${hours} h`;
}

/** An amount of money without the noise of floating point. */
export function usd(amount: number): string {
  return `${Number(amount.toPrecision(4))} USD`;
}

/** `1 step`, `2 steps`. */
export function counted(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

export function ago(at: number, now: number): string {
  return duration(Math.max(0, now - at));
}

export function moment(at: number): string {
  return new Date(at).toISOString();
}

/** The time of a day, UTC, to the millisecond. */
export function timeOfDay(at: number): string {
  return moment(at).slice(11, 23);
}

export interface Paint {
  bold(text: string): string;
  dim(text: string): string;
  good(text: string): string;
  bad(text: string): string;
  warn(text: string): string;
}

export function paintFor(io: Pick<Io, 'colours'>): Paint {
  const code = (n: number) => (text: string) => (io.colours ? `\u001b[${n}m${text}\u001b[0m` : text);
  return { bold: code(1), dim: code(2), good: code(32), bad: code(31), warn: code(33) };
}

/** A state in the colour of what it means. */
export function paintState(paint: Paint, state: string): string {
  if (state.startsWith('completed')) return paint.good(state);
  if (state.startsWith('failed') || state === 'rejected' || state === 'idle.held') return paint.bad(state);
  return state === 'waiting.person' || state === 'waiting.approval' ? paint.warn(state) : state;
}
