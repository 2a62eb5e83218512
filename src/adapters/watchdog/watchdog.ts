import { AsyncLocalStorage } from 'node:async_hooks';
import { url as debuggerUrl } from 'node:inspector';
import { Worker } from 'node:worker_threads';
import type { Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/telemetry.ts';
import type { Blocked, OwnWork, Watchdog, WatchedRun } from '../../ports/watchdog.ts';
import { BEAT, DEBUGGED, DOING, MARK, Marks, WHAT_BYTES, WHO_BYTES } from './marks.ts';
import { type Found, type WatcherData, watcher } from './watcher.ts';

/**
 * Finds what blocks the event loop while it does, from a thread of its own. The main thread beats; when the beat stops,
 * the watcher reads what the main thread wrote down before, asks V8 for its stack, and writes a log line by itself. A
 * loop that stays blocked until its runs are long others' can only end: the watcher ends the process.
 */

export interface WatchdogOptions {
  node: string;
  log: Log;
  clock: Clock;
  /** How long the loop may stand before that is worth a line, milliseconds. */
  warnMs: number;
  /** How long before the process ends; 0: never. */
  exitMs: number;
}

/** Exit code of a process that was ended: a temporary failure (EX_TEMPFAIL), to be started again. */
export const EXIT_BLOCKED = 75;

/**
 * On whose behalf others' code runs, also behind its awaits. Following that costs each promise of the process something,
 * so it is begun only when a blocked loop has left open who it was: the next time tells.
 */
let following = false;
const behalf = new AsyncLocalStorage<{ run_id: string; agent: string; doing: string }>();

/** The watcher reads it in the main thread, in the middle of what blocks it. */
const ON_BEHALF = Symbol.for('proctor.behalf');
Object.defineProperty(globalThis, ON_BEHALF, { value: () => behalf.getStore(), configurable: true });

export function startWatchdog({ node, log, clock, warnMs, exitMs }: WatchdogOptions): Watchdog {
  const marks = new Marks();
  const { numbers } = marks.shared;
  const everyMs = Math.max(10, Math.ceil(warnMs / 4));
  let last: Blocked | null = null;

  const workerData: WatcherData = {
    ...marks.shared,
    whoBytes: WHO_BYTES,
    whatBytes: WHAT_BYTES,
    at: { BEAT, MARK, DEBUGGED },
    node,
    pid: process.pid,
    everyMs,
    warnMs,
    exitMs,
    exitCode: EXIT_BLOCKED,
    says: { warn: log.enabled?.('warn') !== false, error: log.enabled?.('error') !== false },
  };
  const thread = new Worker(`(${watcher})(require)`, {
    eval: true,
    name: 'watchdog',
    workerData,
    env: {},
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 },
  });
  thread.unref();
  thread.on('message', (found: Found) => {
    following ||= found.maybe !== undefined;
    last = { at: Math.round(clock.now() - found.ms), ...found };
    log.warn('node.unblocked', { node, ...found });
  });
  thread.on('error', (error) =>
    log.error('watchdog.failed', { message: error.message, consequence: 'nobody finds what blocks the event loop' }),
  );
  const beat = setInterval(() => {
    numbers[DEBUGGED] = debuggerUrl() === undefined ? 0 : 1;
    Atomics.add(numbers, BEAT, 1);
  }, everyMs);
  beat.unref();

  return {
    get last() {
      return last;
    },
    enter: (run, agent) => new Watched(marks, run, agent),
    stop() {
      clearInterval(beat);
      void thread.terminate();
    },
  };
}

class Watched implements WatchedRun {
  private readonly marks: Marks;
  private readonly numbers: Int32Array;
  private readonly run: string;
  private readonly agent: string;
  private place: number;

  constructor(marks: Marks, run: string, agent: string) {
    this.marks = marks;
    this.numbers = marks.shared.numbers;
    this.run = run;
    this.agent = agent;
    this.place = marks.take(run, agent);
  }

  now<T>(doing: OwnWork, work: () => T): T {
    const { numbers } = this;
    const before = numbers[MARK] ?? 0;
    numbers[MARK] = markOf(this.place, DOING[doing]);
    try {
      return work();
    } finally {
      numbers[MARK] = before;
    }
  }

  others<T>(doing: string, work: () => Promise<T>): Promise<T> {
    const { marks, numbers, place } = this;
    marks.begin(place, doing);
    const before = numbers[MARK] ?? 0;
    numbers[MARK] = markOf(place, DOING.others);
    try {
      const answer = following ? behalf.run({ run_id: this.run, agent: this.agent, doing }, work) : work();
      const over = () => {
        // What is still under way when the run has left is nobody's any more.
        if (this.place >= 0) marks.end(place);
      };
      answer.then(over, over);
      return answer;
    } catch (thrown) {
      marks.end(place);
      throw thrown;
    } finally {
      numbers[MARK] = before;
    }
  }

  leave(): void {
    this.marks.give(this.place);
    this.place = -1;
  }
}

function markOf(place: number, doing: number): number {
  return (place + 1) * 8 + doing;
}
