import { AppError, toAppError } from '../../core/errors.ts';
import type { Log } from '../../ports/telemetry.ts';
import type { Frame } from '../wire.ts';
import { FollowedRun } from './followed-run.ts';
import { Rounds } from './rounds.ts';
import type { RunSource } from './run-source.ts';

/**
 * The runs that somebody watches, each followed once however many do. A run that nobody watches any more is kept for a
 * while: whoever reloads the page finds it read already.
 */

/** Runs that nobody watches. */
const KEPT = 24;
/** Entries that are folded before others get a turn, and watchers hear of them. */
const BATCH = 400;
/** Not every message arrives: so often it is looked anyway, milliseconds. */
const LOOK_MS = 5_000;

/** What was heard of and is not there yet is asked for again after twice as long, then four times, milliseconds. */
const AGAIN_MS = 10;

export type FollowListener = (update: { frames: Frame[]; stepsFrom: number }) => void;

export class Follow {
  readonly run: string;
  readonly view = new FollowedRun();
  /** True until the journal was read to its end for the first time. */
  reading = true;
  failure: AppError | null = null;
  readonly listeners = new Set<FollowListener>();
  readonly failed = new Set<(error: AppError) => void>();
  /** How many have asked for it who may be about to listen. */
  asked = 0;
  private readonly source: RunSource;
  private readonly rounds: Rounds;
  private readonly ear: { stop(): void };
  private readonly timer: NodeJS.Timeout;
  /** The newest entry that was heard of. */
  private heard = -1;
  /** Whether it is to be looked what comes, heard of or not. */
  private looking = false;
  private busy: Promise<void> | null = null;
  private again: NodeJS.Timeout | null = null;
  private againMs = AGAIN_MS;
  private stopped = false;

  constructor(source: RunSource, rounds: Rounds, run: string) {
    this.source = source;
    this.rounds = rounds;
    this.run = run;
    this.ear = source.hear(run, (n) => {
      this.heard = Math.max(this.heard, n);
      if (this.busy === null && this.canRead) rounds.join(this.read);
    });
    this.timer = setInterval(() => {
      if (this.isWanted) void this.look();
    }, LOOK_MS);
    this.timer.unref();
  }

  /** Nothing is read for nobody. */
  get isWanted(): boolean {
    return this.listeners.size > 0 || this.asked > 0;
  }

  /** Resolves when all is read that is there now, or cannot be read now. */
  look(): Promise<void> {
    this.looking = true;
    return this.read();
  }

  /** What is heard of, or looked for. One reader at a time. */
  private readonly read = (): Promise<void> => {
    this.busy ??= Promise.resolve().then(() => this.readAll());
    return this.busy;
  };

  private async readAll(): Promise<void> {
    const { view } = this;
    const before = view.next;
    let isDue = true;
    try {
      while (!this.isOver && (this.looking || (isDue && this.heard >= view.next))) {
        // Exactly what was heard of: asking for more would find nothing.
        const max = this.looking ? undefined : this.heard - view.next + 1;
        if (max !== undefined) isDue = false;
        this.looking = false;
        await this.readOn(max);
      }
    } catch (thrown) {
      const error = toAppError(thrown);
      // The journal is damaged or newer than this program: looking again does not help.
      if (error.code.startsWith('journal_')) this.fail(error);
    } finally {
      this.busy = null;
      if (this.heard >= view.next) this.readLater(view.next > before);
    }
  }

  /**
   * An entry is heard of when it is sent, and can be read when it is stored, which on several servers takes longer. One
   * that is refused is never there: after a while only looking finds what comes.
   */
  private readLater(gotSome: boolean): void {
    this.againMs = gotSome ? AGAIN_MS : this.againMs * 2;
    if (!this.canRead) return;
    if (gotSome) this.rounds.join(this.read);
    else if (this.againMs <= LOOK_MS) this.readAfter(this.againMs);
    else {
      this.heard = -1;
      this.againMs = AGAIN_MS;
    }
  }

  private readAfter(ms: number): void {
    clearTimeout(this.again ?? undefined);
    this.again = setTimeout(() => void this.read(), ms);
  }

  private get canRead(): boolean {
    return !this.isOver && this.isWanted;
  }

  private get isOver(): boolean {
    return this.stopped || this.failure !== null;
  }

  private async readOn(max: number | undefined): Promise<void> {
    const { view } = this;
    const frames: Frame[] = [];
    try {
      for await (const entry of this.source.entries(this.run, view.next, max)) {
        frames.push(view.push(entry));
        if (frames.length < BATCH) continue;
        await this.tell(frames.splice(0));
        await new Promise((resolve) => setImmediate(resolve));
      }
    } catch (thrown) {
      // What is folded is not read again: watchers hear of it now or never.
      if (frames.length > 0) await this.tell(frames);
      throw thrown;
    }
    const first = this.reading;
    this.reading = false;
    if (first && view.next === 0) {
      const text = `there is no run ${this.run}, or it has not begun: check the id, or look in the list of runs`;
      this.fail(new AppError('unknown_run', text));
    } else if (frames.length > 0 || first) {
      await this.tell(frames);
    }
  }

  private async tell(frames: Frame[]): Promise<void> {
    const stepsFrom = await this.view.updateSteps();
    for (const listener of this.listeners) listener({ frames, stepsFrom });
  }

  private fail(error: AppError): void {
    this.failure = error;
    for (const told of this.failed) told(error);
  }

  stop(): void {
    this.stopped = true;
    clearInterval(this.timer);
    clearTimeout(this.again ?? undefined);
    this.ear.stop();
    this.view.stop();
    this.listeners.clear();
  }
}

export class Follows {
  private readonly source: RunSource;
  private readonly log: Log;
  private readonly rounds = new Rounds();
  /** In the order of their last use. */
  private readonly open = new Map<string, Follow>();
  private readonly timer: NodeJS.Timeout;

  constructor(source: RunSource, log: Log) {
    this.source = source;
    this.log = log;
    // Also when all tabs are closed at once, and nobody asks for a run after that.
    this.timer = setInterval(() => this.makeRoom(), LOOK_MS);
    this.timer.unref();
  }

  /**
   * Resolves once what is there is read; it goes on as long as somebody listens. Throws AppError `unknown_run`,
   * `journal_newer`, `journal_corrupt`, and `unavailable` while they cannot be read.
   */
  async get(run: string): Promise<Follow> {
    const follow = this.open.get(run) ?? new Follow(this.source, this.rounds, run);
    this.open.delete(run);
    this.open.set(run, follow);
    follow.asked++;
    this.makeRoom();
    // What others watch is of now already.
    await (follow.listeners.size > 0 ? undefined : follow.look());
    // Whoever asked listens, or has read what it wants, before the next turn of the loop.
    setImmediate(() => follow.asked--);
    if (follow.failure !== null) {
      if (this.open.get(run) === follow) this.drop(run);
      this.log.debug('console.run_not_shown', { run_id: run, code: follow.failure.code });
      throw follow.failure;
    }
    if (follow.view.next === 0) throw new AppError('unavailable', `the journal of run ${run} cannot be read now`);
    return follow;
  }

  private makeRoom(): void {
    const unwatched = [...this.open.values()].filter(({ isWanted }) => !isWanted);
    for (const { run } of unwatched.slice(0, -KEPT)) this.drop(run);
  }

  private drop(run: string): void {
    this.open.get(run)?.stop();
    this.open.delete(run);
  }

  stop(): void {
    clearInterval(this.timer);
    for (const run of [...this.open.keys()]) this.drop(run);
  }
}
