import type { ChildRun, ChildSpec } from '../child-spec.ts';
import { failureOf, KILLED, reasonText } from '../exit-reason.ts';
import type { Ref } from '../spec-types.ts';
import type { Command, Input } from '../state.ts';
import type { SupervisorTree, TreeWindow } from '../tree.ts';
import { startActor } from './actor-child.ts';
import type { Incarnation, TreeEnv, Voice } from './incarnation.ts';
import { startResource } from './resource-child.ts';

/**
 * The incarnations of one supervisor that run or are being started. JavaScript cannot kill: one that is killed is
 * stopped, its signal aborted, and it is fenced here, so that whatever it still says is reported and otherwise ignored.
 */

interface Child {
  incarnation: Incarnation | null;
  /** `reported`: it has said something since, and that was reported; once is enough. */
  fenced: false | 'silent' | 'reported';
}

/** Makes a child that is a supervisor. */
export type Nest = (init: unknown, ref: Ref, voice: Voice) => Incarnation;

export class Children {
  private readonly running = new Map<Ref, Child>();
  private readonly env: TreeEnv;
  private readonly hear: (input: Input) => void;
  private readonly nest: Nest;

  constructor(env: TreeEnv, hear: (input: Input) => void, nest: Nest) {
    this.env = env;
    this.hear = hear;
    this.nest = nest;
  }

  start({ ref, run, input, spec }: Command & { type: 'start' }): void {
    const child: Child = { incarnation: null, fenced: false };
    this.running.set(ref, child);
    const voice = this.voiceOf(child, ref, spec);
    try {
      child.incarnation = this.begin(run, ref, input, voice);
    } catch (error) {
      voice.failed(failureOf(error));
    }
  }

  shutdown(ref: Ref): void {
    this.running.get(ref)?.incarnation?.shutdown();
  }

  deliver(ref: Ref, message: unknown): void {
    this.running.get(ref)?.incarnation?.deliver(message);
  }

  /** From here on the incarnation does not count, whatever it does. */
  kill(ref: Ref): void {
    const child = this.running.get(ref);
    if (child === undefined) return;
    this.fence(ref, child);
    this.hear({ type: 'exited', ref, reason: KILLED });
  }

  /** All of them, without a word to the supervisor, which is gone. */
  killAll(): void {
    for (const [ref, child] of [...this.running]) this.fence(ref, child);
  }

  tree(ref: Ref, window?: TreeWindow): SupervisorTree | null {
    return this.running.get(ref)?.incarnation?.tree(window) ?? null;
  }

  private fence(ref: Ref, child: Child): void {
    child.fenced = 'silent';
    this.running.delete(ref);
    child.incarnation?.kill();
  }

  private begin(run: ChildRun, ref: Ref, input: unknown, voice: Voice): Incarnation {
    if (run.kind === 'actor') return startActor(run, ref, input, this.env, voice);
    if (run.kind === 'resource') return startResource(run, ref, input, voice);
    return this.nest(run.supervisor, ref, voice);
  }

  private voiceOf(child: Child, ref: Ref, spec: ChildSpec): Voice {
    let course: 'starting' | 'up' | 'over' = 'starting';
    /** Passes a word on if the incarnation still counts. */
    const say = (what: string, input: Input, next: 'up' | 'over'): boolean => {
      if (child.fenced !== false) {
        if (child.fenced === 'silent') this.hear({ type: 'spoke', ref, spec, what });
        child.fenced = 'reported';
        return false;
      }
      if (course === 'over' || (course === 'up' && next === 'up')) return false;
      course = next;
      if (next === 'over') this.running.delete(ref);
      this.hear(input);
      return true;
    };
    return {
      started: (info) => {
        const input: Input = { type: 'started', ref, ...(info === undefined ? {} : { info }) };
        return say('it has come up', input, 'up');
      },
      ignored: () => {
        say('it does not want to run', { type: 'ignored', ref }, 'over');
      },
      failed: (reason, alreadyStarted) => {
        const by = alreadyStarted === undefined ? {} : { alreadyStarted };
        say(`its start failed: ${reasonText(reason)}`, { type: 'start_failed', ref, reason, ...by }, 'over');
      },
      exited: (reason) => {
        say(`it has ended: ${reasonText(reason)}`, { type: 'exited', ref, reason }, 'over');
      },
    };
  }
}
