import { AppError } from '../src/core/errors.ts';

/** Longest id of a child, characters. */
export const MAX_ID = 256;

/**
 * Reads fields of an untrusted object and collects every fault instead of failing at the first. A field that is faulty
 * reads as its default, so that the rest can be looked at too; `check` throws once at the end.
 */
export class Fields {
  private readonly where: string;
  private readonly source: Readonly<Record<string, unknown>>;
  private readonly faults: { field: string; text: string }[] = [];
  /** Set when the source is no object: what is missing in it then is no fault of its own. */
  private broken = false;

  constructor(source: unknown, where: string) {
    this.where = where;
    if (typeof source === 'object' && source !== null && !Array.isArray(source)) {
      this.source = source as Readonly<Record<string, unknown>>;
    } else {
      this.source = {};
      this.fault('', `expected an object, got ${shown(source)}`);
      this.broken = true;
    }
  }

  any(name: string): unknown {
    return this.source[name];
  }

  text(name: string, max: number): string {
    const value = this.source[name];
    if (typeof value === 'string' && value.length > 0 && value.length <= max) return value;
    const got = value === undefined ? 'it is missing' : `got ${shown(value)}`;
    this.fault(name, `expected a text of 1 to ${max} characters; ${got}`);
    return '';
  }

  oneOf<T extends string>(name: string, values: readonly T[], fallback: T): T {
    const value = this.source[name];
    if (value === undefined) return fallback;
    const found = values.find((one) => one === value);
    if (found !== undefined) return found;
    this.fault(name, `expected one of ${values.join(', ')}; got ${shown(value)}`);
    return fallback;
  }

  /** A whole number of at least `least`, or one of the words. */
  count<T extends string>(name: string, bounds: { least: number; or: readonly T[] }, fallback: number | T): number | T {
    const value = this.source[name];
    if (value === undefined) return fallback;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= bounds.least) return value;
    const word = bounds.or.find((one) => one === value);
    if (word !== undefined) return word;
    const words = bounds.or.map((one) => ` or "${one}"`).join('');
    this.fault(name, `expected a whole number from ${bounds.least} up${words}; got ${shown(value)}`);
    return fallback;
  }

  whole(name: string, least: number, fallback: number): number {
    return this.count<never>(name, { least, or: [] }, fallback);
  }

  part(name: string, fallback: number): number {
    const value = this.source[name];
    if (value === undefined) return fallback;
    if (typeof value === 'number' && value >= 0 && value <= 1) return value;
    this.fault(name, `expected a number from 0 to 1; got ${shown(value)}`);
    return fallback;
  }

  flag(name: string, fallback: boolean): boolean {
    const value = this.source[name];
    if (value === undefined) return fallback;
    if (typeof value === 'boolean') return value;
    this.fault(name, `expected true or false; got ${shown(value)}`);
    return fallback;
  }

  callable<T>(name: string): T | null {
    const value = this.source[name];
    if (typeof value === 'function') return value as T;
    this.fault(name, `expected a function; got ${shown(value)}`);
    return null;
  }

  /** Fields of an object inside this one; null when it is absent. Its faults come with `adopt`. */
  inner(name: string): Fields | null {
    const value = this.source[name];
    return value === undefined ? null : new Fields(value, this.path(name));
  }

  adopt(inner: Fields): void {
    this.faults.push(...inner.faults);
  }

  fault(name: string, text: string): void {
    if (this.broken) return;
    this.faults.push({ field: this.path(name), text });
  }

  /** @throws AppError with all faults, one sentence each */
  check(code: string): void {
    const [first] = this.faults;
    if (first === undefined) return;
    throw new AppError(code, this.faults.map(({ field, text }) => `${field}: ${text}`).join('; '), {
      field: first.field,
    });
  }

  private path(name: string): string {
    return name === '' ? this.where : `${this.where}.${name}`;
  }
}

/** A value as it is named in a message: short, and never throwing. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return value.length <= 40 ? `"${value}"` : `"${value.slice(0, 39)}…"`;
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return String(value);
  return Array.isArray(value) ? 'a list' : `a value of type ${typeof value}`;
}
