import { createHash } from 'node:crypto';
import { BLOB_PART_BYTES, BLOB_PREVIEW_CHARS, StoredResult } from '../../core/blob.ts';
import { AppError, toAppError } from '../../core/errors.ts';
import { periodOfRun } from '../../core/ids.ts';
import type { LargeResult } from '../../core/result-wire.ts';
import { blobStream } from '../../core/streams.ts';
import type { Subjects } from '../../core/subjects.ts';
import type { Bus } from '../../ports/bus.ts';
import type { ToolCall } from '../../ports/tools.ts';
import { Turns } from './turns.ts';

/**
 * Fetches a large result from the worker that keeps it and stores it, one part at a time: this process never holds more
 * than a part of each transfer, and there are few transfers at once. What the worker said about the whole is checked at
 * the end; until then nothing refers to what was stored.
 */

const TRANSFERS = 2;
/** Patience for one part, milliseconds, and how often it is asked for. */
const PART_MS = 10_000;
const TRIES = 3;
/** How a JSON text begins. */
const JSON_START = /^\s*[[{"0-9tfn-]/;

export class LargeResultStore {
  readonly #bus: Bus;
  readonly #subjects: Subjects;
  readonly #turns = new Turns(TRANSFERS);
  readonly #periods = new Map<string, Promise<void>>();

  constructor(bus: Bus, subjects: Subjects) {
    this.#bus = bus;
    this.#subjects = subjects;
  }

  /**
   * Throws AppError `result_lost` when the worker does not have it any more, `bad_result` when it is not what the
   * worker said, and what the bus throws when the parts cannot be stored.
   */
  store(call: ToolCall, large: LargeResult): Promise<StoredResult> {
    return this.#turns.run(async () => {
      call.signal.throwIfAborted();
      await this.#ensurePeriod(periodOfRun(call.run));
      const { worker, id, ...ref } = large;
      const subject = this.#subjects.toolResult(call.tool, worker, id);
      const hash = createHash('sha256');
      let bytes = 0;
      let preview = '';
      for (let part = 0; part < ref.parts; part++) {
        const text = await this.#fetch(call, subject, part);
        const size = Buffer.byteLength(text);
        bytes += size;
        if (size === 0 || size > BLOB_PART_BYTES || bytes > ref.bytes) {
          throw bad(call, `part ${part} has ${size} bytes, ${bytes} with those before; ${ref.bytes} were announced`);
        }
        if (part === 0) {
          if (!JSON_START.test(text)) throw bad(call, 'it does not begin like a JSON text');
          // A copy: a slice would keep the whole part in memory.
          preview = Buffer.from(text.slice(0, BLOB_PREVIEW_CHARS)).toString();
        }
        hash.update(text);
        await this.#storePart(call, this.#subjects.blob(call.run, call.c, ref.sha256, part), text);
      }
      if (bytes !== ref.bytes || hash.digest('hex') !== ref.sha256) {
        throw bad(call, `its ${bytes} bytes do not have the announced size and digest`);
      }
      this.#bus.emit(subject, '{"v":1,"done":true}');
      return new StoredResult(ref, preview);
    });
  }

  async #fetch(call: ToolCall, subject: string, part: number): Promise<string> {
    const { signal } = call;
    for (let tries = 1; ; tries++) {
      try {
        const reply = await this.#bus.request(subject, JSON.stringify({ v: 1, part }), { timeoutMs: PART_MS, signal });
        return reply.data;
      } catch (thrown) {
        const error = toAppError(thrown);
        if (signal.aborted || error.code === 'closed') throw error;
        const passing = error.code === 'timeout' || error.code === 'unavailable';
        if (passing && tries < TRIES) continue;
        const message = `the tool "${call.tool}" did its work, but its worker no longer gives the result (part ${part}: ${error.message})`;
        throw new AppError('result_lost', message, { retryable: true, cause: error });
      }
    }
  }

  /** One that was written before, by an earlier attempt that got as far, is as good if it is the same. */
  async #storePart(call: ToolCall, subject: string, text: string): Promise<void> {
    try {
      await this.#bus.publish(subject, text, { signal: call.signal });
    } catch (thrown) {
      if (!(thrown instanceof AppError) || thrown.code !== 'taken') throw thrown;
      const { name } = blobStream(this.#subjects, periodOfRun(call.run));
      const stored = await this.#bus.last(name, subject, { authoritative: true });
      if (stored?.data !== text) throw bad(call, 'another text is stored under the same digest');
    }
  }

  #ensurePeriod(period: string): Promise<void> {
    let ready = this.#periods.get(period);
    if (ready === undefined) {
      ready = this.#bus.ensureStream(blobStream(this.#subjects, period));
      this.#periods.set(period, ready);
      ready.catch(() => this.#periods.delete(period));
    }
    return ready;
  }
}

function bad(call: ToolCall, why: string): AppError {
  return new AppError('bad_result', `the large result of the tool "${call.tool}": ${why}; it may have done its work`);
}
