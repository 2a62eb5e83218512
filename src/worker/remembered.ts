import { AppError, describeFaults, toAppError } from '../core/errors.ts';
import { Begun, type IdemVerb } from '../core/idem-wire.ts';
import { exceedsBytes, type Json, MAX_RESULT_BYTES } from '../core/json.ts';
import type { Subjects } from '../core/subjects.ts';
import type { Bus } from '../ports/bus.ts';
import type { Log } from '../ports/telemetry.ts';
import { UNKNOWN_EFFECT } from '../ports/tools.ts';

/** Patience with the nodes for one answer, milliseconds, and how often they are asked. */
const ASK_MS = 2_000;
const TRIES = 3;
const RETRY_AFTER_MS = 1_000;

export interface RememberedOptions {
  bus: Bus;
  subjects: Subjects;
  tool: string;
  /** This instance; no other, before or after, has the same. */
  worker: string;
}

/** Runs a handler once a key, whatever crashes: the nodes keep what was begun and what came of it. */
export class Remembered {
  readonly #options: RememberedOptions;
  #tries = 0;

  constructor(options: RememberedOptions) {
    this.#options = options;
  }

  /**
   * The JSON text of the result: of `run`, or of the try that ended before. Throws AppError `busy` (nobody keeps
   * records now; nothing was done), `outcome_unknown` (an earlier try never said how it ended), `result_too_large`
   * (an earlier try did it, and its result was not kept).
   */
  async once(key: string, signal: AbortSignal, log: Log, run: () => Promise<string>): Promise<string> {
    const claim = `${this.#options.worker}.${(this.#tries++).toString(36)}`;
    const begun = await this.#begin(key, claim, log);
    if (begun.state === 'open') throw unknown(begun.at);
    if (begun.state === 'done') {
      log.info('tool.remembered');
      if (begun.result !== undefined) return JSON.stringify(begun.result);
      throw new AppError('result_too_large', 'the tool did this before, and its result was too large to be kept');
    }
    let json: string;
    try {
      json = await run();
    } catch (thrown) {
      // After anything else nobody knows whether it took effect, and the record stays open.
      const nothingDone = !signal.aborted && !UNKNOWN_EFFECT.has(toAppError(thrown, 'tool_error').code);
      if (nothingDone) await this.#tell('failed', { key, claim }, log);
      throw thrown;
    }
    const result = exceedsBytes(json, MAX_RESULT_BYTES) ? {} : { result: JSON.parse(json) as Json };
    await this.#tell('done', { key, claim, ...result }, log);
    return json;
  }

  async #begin(key: string, claim: string, log: Log): Promise<Begun> {
    try {
      const answer = Begun.safeParse(JSON.parse(await this.#ask('begin', { key, claim })));
      if (answer.success) return answer.data;
      throw new AppError('error', `the answer: ${describeFaults(answer.error, 'body').message}`);
    } catch (thrown) {
      const { message } = toAppError(thrown);
      // It may be on record, and only the answer lost.
      void this.#tell('failed', { key, claim }, log);
      throw new AppError(
        'busy',
        `no node keeps a record for this call now, so nothing was done (${message}): does a node run, and is the inbox prefix of this worker ${this.#options.subjects.workerInbox}?`,
        { retryable: true, retryAfterMs: RETRY_AFTER_MS, cause: thrown },
      );
    }
  }

  /** A record that is not brought up to date stays open: a repeat goes to a person, and nothing happens twice. */
  async #tell(verb: IdemVerb, body: object, log: Log): Promise<void> {
    try {
      await this.#ask(verb, body);
    } catch (thrown) {
      log.warn('tool.not_remembered', { verb, message: toAppError(thrown).message });
    }
  }

  async #ask(verb: IdemVerb, body: object): Promise<string> {
    const { bus, subjects, tool } = this.#options;
    for (let tries = 1; ; tries++) {
      try {
        const data = JSON.stringify({ v: 1, ...body });
        return (await bus.request(subjects.idem(tool, verb), data, { timeoutMs: ASK_MS })).data;
      } catch (thrown) {
        if (tries >= TRIES || !toAppError(thrown).retryable) throw thrown;
      }
    }
  }
}

function unknown(at: number): AppError {
  const when = new Date(at).toISOString();
  return new AppError(
    'outcome_unknown',
    `a worker began this call at ${when} and never said how it ended; it was not begun again`,
  );
}
