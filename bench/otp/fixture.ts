import { AppError } from '../../src/core/errors.ts';
import {
  type ExitReason,
  failure,
  IGNORE,
  KILLED,
  NORMAL,
  SHUTDOWN,
  shutdownWith,
} from '../../supervisors/exit-reason.ts';
import type { Case, ChildOptions, SupervisorOptions } from './case-file.ts';
import { type ChildShorthand, parseChild, parseTree, type TreeShorthand } from './shorthand.ts';

/** What a case says about its children and supervisors, ready to be run at either level. */

export type StartScript =
  | { do: 'ok'; info: string | undefined }
  | { do: 'ignore' | 'garbage' | 'hang' }
  | { do: 'error' | 'throw'; reason: ExitReason }
  | { do: 'already_started'; ref: string }
  | { do: 'late'; ms: number };

export type StopScript = { do: 'obey' | 'hang' } | { do: 'delay'; ms: number } | { do: 'reason'; reason: ExitReason };

/** A child as specs are written, without what says how it is run. */
export interface FixtureFields extends Record<string, unknown> {
  id: string;
}

export class FixtureChild {
  readonly name: string;
  readonly fields: FixtureFields;
  readonly nested: FixtureTree | null;
  private readonly starts: string[];
  private readonly stops: string[];
  private readonly count: { tries: number };
  private last: StartScript = { do: 'ok', info: undefined };

  /** @param count shared by all children of that name: a child that is added again goes on in its scripts */
  constructor(
    name: string,
    fields: FixtureFields,
    nested: FixtureTree | null,
    options: ChildOptions,
    count: { tries: number },
  ) {
    this.count = count;
    this.name = name;
    this.fields = fields;
    this.nested = nested;
    this.starts = listOf(options.starts, 'ok');
    this.stops = listOf(options.stops, 'obey');
    for (const start of this.starts) parseStart(start);
    for (const stop of this.stops) parseStop(stop);
  }

  /** How often its start was tried. */
  get tries(): number {
    return this.count.tries;
  }

  nextStart(): StartScript {
    const at = Math.min(this.tries, this.starts.length - 1);
    this.count.tries += 1;
    this.last = parseStart(this.starts[at] ?? 'ok');
    return this.last;
  }

  /** What the init function of a child that is a supervisor does: as its start was last told to. */
  init(tree: () => unknown): () => unknown {
    return () => {
      if (this.last.do === 'ignore') return IGNORE;
      if (this.last.do === 'garbage') return 'garbage';
      if (this.last.do === 'error' || this.last.do === 'throw') raise(this.last.reason);
      return tree();
    };
  }

  /** Of the incarnation that is up: the n-th try. */
  stopScript(tries: number): StopScript {
    return parseStop(this.stops[Math.min(tries, this.stops.length) - 1] ?? 'obey');
  }
}

/** Throws what a reason stands for. */
export function raise(reason: ExitReason): never {
  const { code, message } =
    reason.type === 'error' ? reason.error : { code: reason.type, message: `it ended with ${reason.type}` };
  throw new AppError(code, message);
}

export interface FixtureTree {
  name: string;
  /** The supervisor as specs are written, without children. */
  fields: Record<string, unknown>;
  /** What its init answers instead: `ignore`, `garbage` or `throw(r)`. */
  init: string | null;
  children: FixtureChild[];
}

export class Fixture {
  readonly top: FixtureTree;
  readonly children = new Map<string, FixtureChild>();
  private readonly counts = new Map<string, { tries: number }>();
  private readonly options: Record<string, ChildOptions>;
  private readonly supervisors: Record<string, SupervisorOptions>;
  private readonly otpExact: boolean;

  constructor({ setup, children, supervisors, otpExact }: Case) {
    this.options = children;
    this.supervisors = supervisors;
    this.otpExact = otpExact;
    this.top = this.tree('top', parseTree(setup));
  }

  /** A child that a step adds, by its shorthand. */
  child(text: string): FixtureChild {
    return this.makeChild(parseChild(text), this.options);
  }

  /** A supervisor as a reload gives it. */
  reloaded(name: string, setup: string, options: Record<string, ChildOptions>): FixtureTree {
    return this.tree(name, parseTree(setup), { ...this.options, ...options });
  }

  named(name: string): FixtureChild {
    const child = this.children.get(name);
    if (child === undefined) throw new Error(`the case has no child "${name}"`);
    return child;
  }

  private tree(name: string, short: TreeShorthand, options = this.options): FixtureTree {
    const { init, ...own } = this.supervisors[name] ?? {};
    const { children, ...flags } = short;
    return {
      name,
      fields: { ...flags, otpExact: this.otpExact, ...own },
      init: init ?? null,
      children: children.map((child) => this.makeChild(child, options)),
    };
  }

  private makeChild(short: ChildShorthand, all: Record<string, ChildOptions>): FixtureChild {
    const options = all[short.name] ?? {};
    const { starts: _starts, stops: _stops, ...own } = options;
    const fields: FixtureFields = {
      restart: short.restart,
      significant: short.significant,
      ...(short.nested === null ? { shutdown: 1_000 } : {}),
      ...own,
      id: options.id ?? short.name,
    };
    const nested = short.nested === null ? null : this.tree(short.name, short.nested);
    let count = this.counts.get(short.name);
    if (count === undefined) {
      count = { tries: 0 };
      this.counts.set(short.name, count);
    }
    const child = new FixtureChild(short.name, fields, nested, options, count);
    if (!this.children.has(child.name)) this.children.set(child.name, child);
    return child;
  }
}

/** Whether an actor can have that outcome of its start, too. */
export function canActor(start: string): boolean {
  return !/^(?:garbage|already_started|ok\()/.test(start);
}

function listOf(script: string | string[] | undefined, fallback: string): string[] {
  if (script === undefined) return [fallback];
  return typeof script === 'string' ? [script] : script;
}

function parseStart(text: string): StartScript {
  const [word, inside] = split(text);
  switch (word) {
    case 'ok':
      return { do: 'ok', info: inside };
    case 'ignore':
    case 'garbage':
    case 'hang':
      return { do: word };
    case 'error':
    case 'throw':
      return { do: word, reason: parseReason(inside ?? 'error') };
    case 'already_started':
      return { do: word, ref: inside ?? 'p' };
    case 'late':
      return { do: word, ms: milliseconds(text, inside) };
    default:
      throw new Error(`"${text}" is no outcome of a start`);
  }
}

function parseStop(text: string): StopScript {
  const [word, inside] = split(text);
  switch (word) {
    case 'obey':
    case 'hang':
      return { do: word };
    case 'delay':
      return { do: word, ms: milliseconds(text, inside) };
    case 'reason':
      return { do: word, reason: parseReason(inside ?? 'error') };
    default:
      throw new Error(`"${text}" is no behaviour of a stop`);
  }
}

function milliseconds(text: string, inside: string | undefined): number {
  const ms = Number(inside);
  if (inside === undefined || !Number.isSafeInteger(ms) || ms < 0) throw new Error(`"${text}" needs milliseconds`);
  return ms;
}

export function parseReason(text: string): ExitReason {
  const [word, inside] = split(text);
  if (word === 'normal') return NORMAL;
  if (word === 'killed' || word === 'kill') return KILLED;
  if (word !== 'shutdown') return failure(text);
  return inside === undefined ? SHUTDOWN : shutdownWith(inside);
}

/** `word(inside)` as its two parts. */
export function split(text: string): [string, string | undefined] {
  const match = /^(\w+)\((.*)\)$/s.exec(text);
  return match === null ? [text, undefined] : [match[1] ?? '', match[2]];
}
