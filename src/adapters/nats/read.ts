import { z } from 'zod';
import { AppError } from '../../core/errors.ts';
import type { Stored, StoredMessage } from '../../ports/bus.ts';
import { fromAnswer, type JetStreamApi, need, StoredAnswer } from './api.ts';
import { DELETE_FAILED, NO_MESSAGE, SEQUENCE_NOT_FOUND, STREAM_NOT_FOUND } from './faults.ts';
import type { StreamStore } from './streams.ts';

/**
 * Reads of single messages. A direct get is the fast way, but a stream that is not there, or that allows none, leaves
 * it unanswered; so streams are looked up once, and a direct get that fails is asked of the leader instead.
 */
export type Query = { seq: number } | { last_by_subj: string } | { seq: number; next_by_subj: string };

const Removed = z.object({ success: z.boolean() });

export class Reader {
  readonly #api: JetStreamApi;
  readonly #streams: StreamStore;

  constructor(api: JetStreamApi, streams: StreamStore) {
    this.#api = api;
    this.#streams = streams;
  }

  last(stream: string, subject: string, authoritative: boolean): Promise<StoredMessage | null> {
    const query = { last_by_subj: subject };
    if (authoritative) return this.fromLeader(stream, query);
    return this.#read(stream, /[*>]/.test(subject) ? query : subject, query);
  }

  bySequence(stream: string, seq: number): Promise<StoredMessage | null> {
    return this.#read(stream, { seq }, { seq });
  }

  /** Asks the stream's leader; null when it has no such message, or there is no such stream. */
  async fromLeader(stream: string, query: Query): Promise<StoredMessage | null> {
    const answer = await this.#api.call(`STREAM.MSG.GET.${stream}`, query, StoredAnswer);
    if (!answer.ok && [NO_MESSAGE, STREAM_NOT_FOUND].includes(answer.fault.err_code)) return null;
    return fromAnswer(need(answer, `reading stream ${stream}`));
  }

  /** Deletes exactly this message; one that is gone already is fine. False when another one has its place. */
  async remove(stream: string, { seq, subject, data }: Stored): Promise<boolean> {
    const found = await this.fromLeader(stream, { seq });
    if (found === null) return true;
    if (found.subject !== subject || found.data !== data) return false;
    const answer = await this.#api.call(`STREAM.MSG.DELETE.${stream}`, { seq, no_erase: true }, Removed);
    if (answer.ok || answer.fault.err_code === SEQUENCE_NOT_FOUND) return true;
    // Beyond either end of the stream the server only says that deleting failed.
    if (answer.fault.err_code === DELETE_FAILED && (await this.fromLeader(stream, { seq })) === null) return true;
    need(answer, `removing message ${seq} of stream ${stream}`);
    return true;
  }

  async #read(
    stream: string,
    direct: string | { seq: number } | { last_by_subj: string },
    query: Query,
  ): Promise<StoredMessage | null> {
    const facts = await this.#streams.facts(stream);
    if (facts === null) return null;
    if (facts.direct) {
      try {
        return await this.#api.direct(stream, direct);
      } catch (error) {
        if (!(error instanceof AppError) || !error.retryable) throw error;
        this.#streams.forget(stream);
      }
    }
    return this.fromLeader(stream, query);
  }
}
