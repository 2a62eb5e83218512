import { parseBeat, silenceLimit } from '../../core/beat-wire.ts';
import type { Subjects } from '../../core/subjects.ts';
import type { Bus } from '../../ports/bus.ts';
import type { Cancel, Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/telemetry.ts';

/**
 * Hears the signs of life of the calls that are out. Silence is counted in looks, not read from the clock: a process
 * that stood still hears what arrived meanwhile before it calls anybody lost.
 */

const LOOK_MS = 500;

export interface HeartbeatsOptions {
  bus: Bus;
  subjects: Subjects;
  clock: Clock;
  log: Log;
  /** Source of fresh ids: letters and digits, not to be guessed. */
  random: () => string;
}

interface Watched {
  tool: string;
  /** Silence that is too long, milliseconds; undefined while the worker has promised no beats. */
  limit: number | undefined;
  quiet: number;
  lost: (silenceMs: number) => void;
}

export interface Watch {
  /** For the header of the call. */
  address: string;
  stop(): void;
}

export class Heartbeats {
  readonly #options: HeartbeatsOptions;
  readonly #own: string;
  readonly #watched = new Map<string, Watched>();
  #listening = false;
  #next: Cancel | null = null;

  constructor(options: HeartbeatsOptions) {
    this.#options = options;
    this.#own = options.random();
  }

  /**
   * @param beatMs how often the worker said that it beats; undefined: it did not
   * @param lost called once, when it has been silent for too long
   */
  watch(tool: string, beatMs: number | undefined, lost: (silenceMs: number) => void): Watch {
    this.#listen();
    const token = this.#options.random();
    const limit = beatMs === undefined ? undefined : silenceLimit(beatMs);
    // The first look may come at any moment.
    this.#watched.set(token, { tool, limit, quiet: -LOOK_MS, lost });
    this.#next ??= this.#options.clock.after(LOOK_MS, () => this.#look());
    return { address: `${this.#own}.${token}`, stop: () => this.#watched.delete(token) };
  }

  #listen(): void {
    if (this.#listening) return;
    this.#listening = true;
    const { bus, subjects, log } = this.#options;
    bus.subscribe(subjects.beat(`${this.#own}.*`), ({ subject, data }) => {
      const watched = this.#watched.get(subject.slice(subject.lastIndexOf('.') + 1));
      if (watched === undefined) return;
      watched.quiet = 0;
      const beat = parseBeat(data);
      if (beat?.progress === undefined) return;
      log.debug('tool.progress', { tool: watched.tool, progress: beat.progress, text: beat.text });
    });
  }

  #look(): void {
    this.#next = null;
    for (const [token, watched] of this.#watched) {
      watched.quiet += LOOK_MS;
      if (watched.limit === undefined || watched.quiet < watched.limit) continue;
      this.#watched.delete(token);
      watched.lost(watched.quiet);
    }
    if (this.#watched.size > 0) this.#next = this.#options.clock.after(LOOK_MS, () => this.#look());
  }
}
