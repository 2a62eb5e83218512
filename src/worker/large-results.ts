import { createHash } from 'node:crypto';
import { MAX_BLOB_BYTES } from '../core/blob.ts';
import { AppError } from '../core/errors.ts';
import { type LargeResult, partsOf, ResultRequest } from '../core/result-wire.ts';
import type { IncomingRequest } from '../ports/bus.ts';
import type { Cancel, Clock } from '../ports/clock.ts';

/** How long a result is kept after the deadline of its call, for a node that is slow to fetch it. */
const GRACE_MS = 60_000;
/** Most that is kept altogether, bytes; the oldest goes first. */
const MAX_KEPT_BYTES = 1024 ** 3;

interface Kept {
  parts: Uint8Array[];
  bytes: number;
  key: string;
  large: LargeResult;
  cancel: Cancel;
}

/** Results too large for one message, kept until the node that called has fetched them. */
export class LargeResults {
  readonly #worker: string;
  readonly #clock: Clock;
  readonly #kept = new Map<string, Kept>();
  #count = 0;
  #bytes = 0;
  #waiting: (() => void)[] = [];

  /** @param worker the id of this instance */
  constructor(worker: string, clock: Clock) {
    this.#worker = worker;
    this.#clock = clock;
  }

  /**
   * @param key of the call, for a repeat of it
   * @param deadline of the call, epoch milliseconds
   * Throws AppError `result_too_large`.
   */
  keep(json: string, key: string, deadline: number): LargeResult {
    const text = Buffer.from(json);
    if (text.length > MAX_BLOB_BYTES) {
      throw new AppError(
        'result_too_large',
        `the tool ran, but its result has ${text.length} bytes and at most ${MAX_BLOB_BYTES} are allowed: return less`,
      );
    }
    const id = (this.#count++).toString(36);
    const parts = partsOf(text);
    const sha256 = createHash('sha256').update(text).digest('hex');
    const large = { sha256, bytes: text.length, parts: parts.length, worker: this.#worker, id };
    const cancel = this.#clock.after(deadline + GRACE_MS - this.#clock.now(), () => this.#drop(id));
    this.#kept.set(id, { parts, bytes: text.length, key, large, cancel });
    this.#bytes += text.length;
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= MAX_KEPT_BYTES) break;
      this.#drop(oldest);
    }
    return large;
  }

  /** What is kept for a call; null when nothing is. */
  ofKey(key: string): LargeResult | null {
    for (const kept of this.#kept.values()) if (kept.key === key) return kept.large;
    return null;
  }

  /** The text of a part, or null when the node said that it is done. */
  answer(request: IncomingRequest): string | null {
    const id = request.subject.slice(request.subject.lastIndexOf('.') + 1);
    const wanted = ResultRequest.safeParse(jsonOf(request.data));
    if (!wanted.success) throw new AppError('bad_request', 'body: expected {"v":1,"part":n} or {"v":1,"done":true}');
    if ('done' in wanted.data) {
      this.#drop(id);
      return null;
    }
    const part = this.#kept.get(id)?.parts[wanted.data.part];
    if (part === undefined) throw new AppError('not_found', `result ${id}, part ${wanted.data.part}: not kept here`);
    return Buffer.from(part.buffer, part.byteOffset, part.byteLength).toString();
  }

  /** Resolves when everything was fetched, or has been kept for long enough. */
  async idle(): Promise<void> {
    if (this.#kept.size > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #drop(id: string): void {
    const kept = this.#kept.get(id);
    if (kept === undefined) return;
    kept.cancel();
    this.#kept.delete(id);
    this.#bytes -= kept.bytes;
    if (this.#kept.size > 0) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
