/**
 * What the main thread and the one that watches it share: a few numbers and a text for each run that is worked on. The
 * main thread writes and never waits; the other reads whatever is there when it looks.
 */

/** Runs with a place of their own; those that come when all are taken are named by the stack alone. */
const PLACES = 8_192;
/** Bytes of a place: who it is (`run\0agent`), then what others' code was begun for it last. */
export const WHO_BYTES = 256;
export const WHAT_BYTES = 128;
const PLACE_BYTES = WHO_BYTES + WHAT_BYTES;

/** Where each number is. `MARK`: place of the run and what is done, or 0. */
export const BEAT = 0;
export const MARK = 1;
export const DEBUGGED = 2;
const NUMBERS = 16;

/** What a mark says is done; it is added to eight times the place, counted from 1; place 0 is nobody's. */
export const DOING = { fold: 1, validate: 2, others: 3 } as const;

export interface Shared {
  numbers: Int32Array<SharedArrayBuffer>;
  /** For each place, how many pieces of others' code are under way. */
  busy: Int32Array<SharedArrayBuffer>;
  texts: Uint8Array<SharedArrayBuffer>;
}

const encoder = new TextEncoder();

export class Marks {
  readonly shared: Shared = {
    numbers: new Int32Array(new SharedArrayBuffer(4 * NUMBERS)),
    busy: new Int32Array(new SharedArrayBuffer(4 * PLACES)),
    texts: new Uint8Array(new SharedArrayBuffer(PLACES * PLACE_BYTES)),
  };
  private readonly free: number[] = [];
  private used = 0;

  /** A place for a run; -1 when all are taken. */
  take(run: string, agent: string): number {
    const place = this.free.pop() ?? (this.used < PLACES ? this.used++ : -1);
    if (place >= 0) this.write(place * PLACE_BYTES, WHO_BYTES, `${run}\0${agent}`);
    return place;
  }

  give(place: number): void {
    if (place < 0) return;
    this.shared.busy[place] = 0;
    this.free.push(place);
  }

  /** Others' code is begun for the run. */
  begin(place: number, what: string): void {
    if (place < 0) return;
    this.write(place * PLACE_BYTES + WHO_BYTES, WHAT_BYTES, what);
    this.shared.busy[place] = (this.shared.busy[place] ?? 0) + 1;
  }

  end(place: number): void {
    if (place >= 0) this.shared.busy[place] = (this.shared.busy[place] ?? 0) - 1;
  }

  private write(from: number, room: number, text: string): void {
    const { texts } = this.shared;
    const { written } = encoder.encodeInto(text, texts.subarray(from, from + room - 1));
    texts[from + written] = 0;
  }
}
