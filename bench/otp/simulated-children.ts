import type { ChildSpec } from '../../supervisors/child-spec.ts';
import { type ExitReason, failure, KILLED, SHUTDOWN } from '../../supervisors/exit-reason.ts';
import type { Ref } from '../../supervisors/spec-types.ts';
import type { Command, Input } from '../../supervisors/state.ts';
import type { FixtureChild } from './fixture.ts';
import type { Recorder } from './recorder.ts';
import type { StartResult } from './world.ts';

/** Children that are entries in a table and do what their scripts say when a supervisor's commands ask it. */

/** Null: the nested supervisor is being started. */
export type Opened = 'ignore' | (StartResult & { type: 'error' }) | null;

export interface Surroundings {
  /** Puts an input into a supervisor's inbox. */
  feed(to: string, input: Input): void;
  /** Has a supervisor deal with an input at once. */
  give(to: string, input: Input): void;
  open(name: string, init: unknown, parent: { name: string; ref: Ref }): Opened;
  after(ms: number, action: () => void): void;
  isEnded(supervisor: string): boolean;
}

interface Entry {
  /** Null for a child of a raw specification: it starts and stops, and is not logged. */
  child: FixtureChild | null;
  spec: ChildSpec;
  supervisor: string;
  tries: number;
  alive: boolean;
  fenced: boolean;
}

export class SimulatedChildren {
  private readonly entries = new Map<Ref, Entry>();
  private readonly recorder: Recorder;
  private readonly around: Surroundings;

  constructor(recorder: Recorder, around: Surroundings) {
    this.recorder = recorder;
    this.around = around;
  }

  alive(): Ref[] {
    return [...this.entries].flatMap(([ref, { alive }]) => (alive ? [ref] : []));
  }

  start(to: string, { ref, run, spec }: Command & { type: 'start' }, child: FixtureChild | null): void {
    const script = child?.nextStart() ?? { do: 'ok', info: undefined };
    const entry: Entry = { child, spec, supervisor: to, tries: child?.tries ?? 1, alive: true, fenced: false };
    this.entries.set(ref, entry);
    if (run.kind === 'supervisor') {
      const opened = this.around.open(ref, run.supervisor, { name: to, ref });
      if (opened === 'ignore') this.said(ref, { type: 'ignored', ref });
      else if (opened !== null) {
        this.said(ref, { type: 'start_failed', ref, reason: failure(opened.code, opened.message) });
      }
      return;
    }
    switch (script.do) {
      case 'ok':
        this.said(ref, { type: 'started', ref, ...(script.info === undefined ? {} : { info: script.info }) });
        break;
      case 'ignore':
        this.said(ref, { type: 'ignored', ref });
        break;
      case 'already_started': {
        const reason = failure('already_started');
        this.said(ref, { type: 'start_failed', ref, reason, alreadyStarted: script.ref });
        break;
      }
      case 'garbage':
        this.said(ref, { type: 'start_failed', ref, reason: failure('bad_return') });
        break;
      case 'error':
      case 'throw':
        this.said(ref, { type: 'start_failed', ref, reason: script.reason });
        break;
      case 'late':
        this.around.after(script.ms, () => {
          if (entry.fenced) this.spoke(ref, entry, 'it came up');
          else this.said(ref, { type: 'started', ref });
        });
        break;
      default:
    }
  }

  /** What a child says about itself, as long as it lives. */
  said(ref: Ref, input: Input): void {
    const entry = this.entries.get(ref);
    if (entry?.alive !== true) return;
    if (input.type !== 'started') entry.alive = false;
    this.around.feed(entry.supervisor, input);
  }

  shutdown(to: string, ref: Ref): void {
    const entry = this.entries.get(ref);
    if (entry?.alive !== true) return;
    if (entry.spec.run?.kind === 'supervisor') {
      this.around.feed(ref, { type: 'stop', from: to, reason: SHUTDOWN });
      return;
    }
    const script = entry.child?.stopScript(entry.tries) ?? { do: 'obey' };
    if (script.do === 'obey') this.gone(ref, SHUTDOWN);
    else if (script.do === 'reason') this.gone(ref, script.reason);
    else if (script.do === 'delay') this.around.after(script.ms, () => this.gone(ref, SHUTDOWN));
  }

  kill(to: string, ref: Ref): void {
    const entry = this.entries.get(ref);
    if (entry?.alive !== true) return;
    entry.alive = false;
    entry.fenced = true;
    if (entry.spec.run?.kind === 'supervisor') this.around.give(ref, { type: 'kill' });
    const ended: Input = { type: 'exited', ref, reason: KILLED };
    // What a killed supervisor held is down before its parent hears of it.
    if (this.around.isEnded(to)) this.around.give(to, ended);
    else this.around.feed(to, ended);
  }

  die(ref: Ref, reason: ExitReason): void {
    const entry = this.entries.get(ref);
    if (entry?.alive !== true) throw new Error(`${this.recorder.nameOf(ref)} is not running`);
    if (entry.spec.run?.kind !== 'supervisor') {
      this.recorder.died(ref);
      this.gone(ref, reason);
    } else if (reason.type === 'killed') this.around.feed(ref, { type: 'kill' });
    else this.around.feed(ref, { type: 'stop', from: entry.supervisor, reason });
  }

  exitAgain(ref: Ref, reason: ExitReason): void {
    const entry = this.entries.get(ref);
    if (entry !== undefined) this.around.feed(entry.supervisor, { type: 'exited', ref, reason });
  }

  speak(ref: Ref): void {
    const entry = this.entries.get(ref);
    if (entry?.fenced === true) this.spoke(ref, entry, 'it spoke');
  }

  private gone(ref: Ref, reason: ExitReason): void {
    this.said(ref, { type: 'exited', ref, reason });
  }

  private spoke(ref: Ref, { supervisor, spec }: Entry, what: string): void {
    this.around.feed(supervisor, { type: 'spoke', ref, spec, what });
  }
}
