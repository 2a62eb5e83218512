import { reasonText } from '../../supervisors/exit-reason.ts';
import type { Report } from '../../supervisors/reports.ts';
import type { Ref } from '../../supervisors/spec-types.ts';
import type { Command, Input } from '../../supervisors/state.ts';

/**
 * The log of a case, from what supervisors hear and command: `+a` started, `!a` start failed, `-a(r)` ended after it was
 * asked to or killed, `ends(r)` the supervisor at the top ended, `ends(s, r)` a nested one by itself, and reports.
 */
export interface Entry {
  /** A zombie's report is apart: whether a killed child still says something depends on what kind of child it is. */
  kind: 'event' | 'report' | 'zombie';
  text: string;
  /** What an expectation may say instead: less. */
  short: string;
  at: number;
}

type Course = 'starting' | 'up' | 'asked' | 'over';

interface Seen {
  name: string;
  course: Course;
  supervisor: boolean;
  /** It ended by itself; what the supervisor does to it afterwards does not end it. */
  diedItself: boolean;
}

export class Recorder {
  readonly entries: Entry[] = [];
  lastReport: Report | null = null;
  private readonly seen = new Map<Ref, Seen>();
  /** The incarnations of each name, oldest first. */
  private readonly incarnations = new Map<string, Ref[]>();
  private readonly now: () => number;

  constructor(now: () => number) {
    this.now = now;
  }

  /** An incarnation of the child `name` is about to be started as `ref`. */
  starting(ref: Ref, name: string, supervisor: boolean): void {
    this.seen.set(ref, { name, course: 'starting', supervisor, diedItself: false });
    this.incarnations.set(name, [...(this.incarnations.get(name) ?? []), ref]);
  }

  died(ref: Ref): void {
    const seen = this.seen.get(ref);
    if (seen !== undefined) seen.diedItself = true;
  }

  input(input: Input): void {
    if (!('ref' in input)) return;
    const seen = this.seen.get(input.ref);
    if (seen === undefined) return;
    const { name, course, supervisor, diedItself } = seen;
    if (input.type === 'started' && course === 'starting') {
      seen.course = 'up';
      this.event(`+${name}`);
    } else if (input.type === 'ignored') seen.course = 'over';
    else if (input.type === 'start_failed' && course === 'starting') this.failed(seen);
    else if (input.type === 'exited' && course === 'starting') this.failed(seen);
    else if (input.type === 'exited' && course !== 'over') {
      seen.course = 'over';
      const reason = reasonText(input.reason);
      if (course === 'asked' && !diedItself) this.event(`-${name}(${reason})`, `-${name}`);
      else if (supervisor) this.event(`ends(${name},${reason})`, `ends(${name})`);
    }
  }

  command(command: Command): void {
    if (!('ref' in command)) return;
    const seen = this.seen.get(command.ref);
    if (seen === undefined) return;
    if (command.type === 'kill' && seen.course === 'starting') this.failed(seen);
    else if ((command.type === 'kill' || command.type === 'shutdown') && seen.course === 'up') seen.course = 'asked';
  }

  /** The supervisor at the top has ended. */
  topEnded(reason: string): void {
    this.event(`ends(${reason})`, 'ends');
  }

  report(report: Report): void {
    this.lastReport = report;
    if (report.context === 'progress') return;
    const { ref, id } = report.offender;
    const name = (ref === null ? undefined : this.seen.get(ref)?.name) ?? id;
    const short = `report(${report.context},${name})`;
    const text = `report(${report.context},${name},${reasonText(report.reason)})`;
    const kind = report.context === 'zombie' ? 'zombie' : 'report';
    this.entries.push({ kind, text, short, at: this.now() });
  }

  /** The last incarnation of the child. */
  refOf(name: string): Ref | null {
    return this.incarnations.get(name)?.at(-1) ?? null;
  }

  incarnation(name: string, number: number): Ref | null {
    return this.incarnations.get(name)?.[number - 1] ?? null;
  }

  nameOf(ref: Ref): string | null {
    return this.seen.get(ref)?.name ?? null;
  }

  isUp(ref: Ref): boolean {
    const seen = this.seen.get(ref);
    return seen !== undefined && (seen.course === 'up' || seen.course === 'asked') && !seen.diedItself;
  }

  /** The incarnations that run. */
  up(): Ref[] {
    return [...this.seen.keys()].filter((ref) => this.isUp(ref));
  }

  private failed(seen: Seen): void {
    seen.course = 'over';
    this.event(`!${seen.name}`);
  }

  private event(text: string, short = text): void {
    this.entries.push({ kind: 'event', text, short, at: this.now() });
  }
}
