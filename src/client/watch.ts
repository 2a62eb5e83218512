import { summaryOf, type TracePage } from '../core/decision-trace.ts';
import { AppError } from '../core/errors.ts';
import type { RunResult, StepSummary } from '../core/result.ts';
import { readStatus, type StatusEvent } from '../core/status.ts';
import type { Clock } from '../ports/clock.ts';
import type { ClientBus } from './ask.ts';

/**
 * What happens to one run, from now to its end. Live messages may be missed: while the connection is away, between the
 * death of a node and the next, before the watcher came. So a step whose number does not follow the last one makes the
 * watcher ask for those in between, and after a while of silence it asks where the run stands.
 */

/** Where the run stands, without the steps that its message carried. */
export type RunStatus = Omit<StatusEvent, 'steps'>;

export type RunUpdate =
  /** It moved on: another state, step or progress. */
  | { type: 'status'; status: RunStatus }
  /** It stands still until a person acts: `requires` says who, on which call, and how. */
  | { type: 'waiting'; requires: NonNullable<StatusEvent['requires']>; status: RunStatus }
  /** A finished step; each once, in order, from the first. */
  | { type: 'step'; step: StepSummary }
  /** The last one. */
  | { type: 'ended'; status: RunStatus; result: RunResult };

export interface WatchOptions {
  /** Ends the watching, without an error; the run goes on. */
  signal?: AbortSignal;
  /** False: only where the run stands and how it ends; default true. */
  steps?: boolean;
}

export interface WatchSource extends WatchOptions {
  bus: ClientBus;
  clock: Pick<Clock, 'after'>;
  /** Subject of the run's events, wildcards allowed. */
  events: string;
  /** What nodes answer. */
  status(): Promise<StatusEvent>;
  trace(at: { from: number; step: number }): Promise<TracePage>;
  result(): Promise<RunResult>;
}

/** Silence after which the status is asked for, milliseconds. */
const SILENCE_MS = 5_000;
/** Between two tries to read what is not there yet, or while no node answers, milliseconds. */
const AGAIN_MS = 200;

/** Ends after the update `ended`, or when the signal aborts. Throws what the first `status` throws. */
export async function* watchRun(source: WatchSource): AsyncGenerator<RunUpdate, void, void> {
  const { bus, signal, steps: withSteps = true } = source;
  const heard: StatusEvent[] = [];
  const bell = new Bell(source.clock);
  const ring = () => bell.ring();
  const gone = () => signal?.aborted === true;
  const subscription = bus.subscribe(source.events, ({ data }) => {
    const event = readStatus(data);
    if (event === null) return;
    heard.push(event);
    ring();
  });
  signal?.addEventListener('abort', ring, { once: true });
  const steps = new StepOrder(source, bell);
  try {
    await bus.flush();
    let event: StatusEvent | null = await source.status();
    let asked = true;
    let at = 0;
    let told = '';
    for (;;) {
      if (event !== null) {
        const now: StatusEvent = event;
        if (withSteps) yield* steps.upTo(now, asked);
        if (gone()) return;
        const { steps: _told, ...status } = now;
        if (now.phase === 'complete') {
          const result = await untilThere(() => source.result(), bell, signal);
          if (result !== null) yield { type: 'ended', status, result };
          return;
        }
        const face = faceOf(status);
        // One from a node that had lost the run may come late.
        if (face !== told && status.at >= at) {
          ({ at } = status);
          told = face;
          const { requires } = status;
          yield requires === undefined ? { type: 'status', status } : { type: 'waiting', requires, status };
        }
      }
      asked = heard.length === 0 && (await bell.silent(SILENCE_MS));
      if (gone()) return;
      event = asked ? await unlessTransient(() => source.status()) : (heard.shift() ?? null);
    }
  } finally {
    signal?.removeEventListener('abort', ring);
    await subscription.stop();
  }
}

/** Gives finished steps in order, each once. */
class StepOrder {
  private readonly source: WatchSource;
  private readonly bell: Bell;
  private told = 0;
  /** The journal entry after the decision of the last step that was told. */
  private from = 0;

  constructor(source: WatchSource, bell: Bell) {
    this.source = source;
    this.bell = bell;
  }

  /** @param whole whether steps that the status does not carry are asked for as well: nothing else may bring them */
  async *upTo(status: StatusEvent, whole: boolean): AsyncGenerator<RunUpdate> {
    for (const step of status.steps ?? []) {
      if (step.step > this.told + 1) yield* this.missing(step.step - 1);
      if (step.step === this.told + 1) yield this.tell(step);
    }
    if (whole || status.phase === 'complete') yield* this.missing(status.step);
  }

  /** Asks until the steps are there, or the signal aborts. */
  private async *missing(last: number): AsyncGenerator<RunUpdate> {
    let at = { from: this.from, step: this.told };
    while (this.told < last) {
      if (this.source.signal?.aborted === true) return;
      const page = await unlessTransient(() => this.source.trace(at));
      for (const step of page?.steps ?? []) {
        // The one in work now is not finished.
        if (step.step === this.told + 1 && step.step <= (page?.head.totals.steps ?? 0))
          yield this.tell(summaryOf(step));
      }
      if (page?.next != null) {
        at = page.next;
        continue;
      }
      at = { from: this.from, step: this.told };
      // A replica may lag behind what a status told.
      if (this.told < last) await this.bell.pause(AGAIN_MS);
    }
  }

  private tell(step: StepSummary): RunUpdate {
    this.told = step.step;
    this.from = step.entry + 1;
    return { type: 'step', step };
  }
}

/** Waits that a message, or an abort, cuts short. */
class Bell {
  private readonly clock: Pick<Clock, 'after'>;
  private wake: () => void = () => {};

  constructor(clock: Pick<Clock, 'after'>) {
    this.clock = clock;
  }

  ring(): void {
    this.wake();
  }

  /** Whether nothing rang for so long. */
  async silent(ms: number): Promise<boolean> {
    const silent = await new Promise<boolean>((resolve) => {
      const cancel = this.clock.after(ms, () => resolve(true));
      this.wake = () => {
        cancel();
        resolve(false);
      };
    });
    this.wake = () => {};
    return silent;
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.clock.after(ms, resolve));
  }
}

/** The result, which is stored shortly after the end; null when the signal aborts first. */
async function untilThere(
  read: () => Promise<RunResult>,
  bell: Bell,
  signal: AbortSignal | undefined,
): Promise<RunResult | null> {
  for (;;) {
    const result = await unlessTransient(read);
    if (result !== null || signal?.aborted === true) return result;
    await bell.pause(AGAIN_MS);
  }
}

/** Null when asking again may help: no node answers now, or it is too early. */
async function unlessTransient<T>(ask: () => Promise<T>): Promise<T | null> {
  try {
    return await ask();
  } catch (thrown) {
    if (thrown instanceof AppError && (thrown.retryable || thrown.code === 'unavailable')) return null;
    throw thrown;
  }
}

/** What a watcher would notice of a status; what it has used changes with its steps. */
function faceOf({ state, step, progress, node, requires }: RunStatus): string {
  return JSON.stringify([state, step, progress, node, requires]);
}
