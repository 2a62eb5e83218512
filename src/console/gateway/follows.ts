import { AppError, toAppError } from '../../core/errors.ts';
import type { Log } from '../../ports/telemetry.ts';
import type { Frame } from '../wire.ts';
import { FollowedRun } from './followed-run.ts';
import type { RunSource } from './run-source.ts';

/**
 * The runs that somebody watches, each followed once however many do. A run that nobody watches any more is kept for a
 * while: whoever reloads the page finds it read already.
 */

const KEPT = 24;
/** Entries that are folded before others get a turn, and watchers hear of them. */
const BATCH = 400;
/** Not every message arrives: so often it is looked anyway, milliseconds. */
const LOOK_MS = 5_000;

export type FollowListener = (update: { frames: Frame[]; stepsFrom: number }) => void;

export class Follow {
  readonly run: string;
  readonly view = new FollowedRun();
  /** True until the journal was read to its end for the first time. */
  reading = true;
  failure: AppError | null = null;
  readonly listeners = new Set<FollowListener>();
  readonly failed = new Set<(error: AppError) => void>();
  /** Resolves when there is something to show, or nothing can be. */
  readonly ready: Promise<void>;
  private readonly source: RunSource;
  private readonly ear: { stop(): void };
  private readonly timer: NodeJS.Timeout;
  private busy = false;
  private again = false;
  private stopped = false;

  constructor(source: RunSource, run: string) {
    this.source = source;
    this.run = run;
    this.ear = source.hear(run, () => void this.read());
    this.timer = setInterval(() => void this.read(), LOOK_MS);
    this.timer.unref();
    this.ready = this.read();
  }

  /** One reader at a time; what rings meanwhile is looked at after it. */
  private async read(): Promise<void> {
    if (this.stopped || this.failure !== null) return;
    this.again = true;
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.again) {
        this.again = false;
        await this.readToEnd();
      }
    } catch (thrown) {
      const error = toAppError(thrown);
      // The journal is damaged or newer than this program: looking again does not help.
      if (error.code.startsWith('journal_')) this.fail(error);
    } finally {
      this.busy = false;
    }
  }

  private async readToEnd(): Promise<void> {
    const { view } = this;
    let frames: Frame[] = [];
    for await (const entry of this.source.entries(this.run, view.next)) {
      frames.push(view.push(entry));
      if (frames.length < BATCH) continue;
      await this.tell(frames);
      frames = [];
      await new Promise((resolve) => setImmediate(resolve));
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
    this.ear.stop();
    this.view.stop();
    this.listeners.clear();
  }
}

export class Follows {
  private readonly source: RunSource;
  private readonly log: Log;
  /** In the order of their last use. */
  private readonly open = new Map<string, Follow>();

  constructor(source: RunSource, log: Log) {
    this.source = source;
    this.log = log;
  }

  /**
   * Resolves once the first entries are read. Throws AppError `unknown_run`, `journal_newer`, `journal_corrupt`, and
   * `unavailable` while they cannot be read.
   */
  async get(run: string): Promise<Follow> {
    let follow = this.open.get(run);
    this.open.delete(run);
    follow ??= new Follow(this.source, run);
    this.open.set(run, follow);
    this.makeRoom();
    await follow.ready;
    if (follow.failure !== null) {
      this.drop(run);
      this.log.debug('console.run_not_shown', { run_id: run, code: follow.failure.code });
      throw follow.failure;
    }
    if (follow.view.next === 0) throw new AppError('unavailable', `the journal of run ${run} cannot be read now`);
    return follow;
  }

  private makeRoom(): void {
    for (const [run, follow] of this.open) {
      if (this.open.size <= KEPT) return;
      if (follow.listeners.size === 0) this.drop(run);
    }
  }

  private drop(run: string): void {
    this.open.get(run)?.stop();
    this.open.delete(run);
  }

  stop(): void {
    for (const run of [...this.open.keys()]) this.drop(run);
  }
}
