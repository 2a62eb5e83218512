import { z } from 'zod';
import { AppError } from '../../core/errors.ts';
import type { PerSubject, QueueSpec, StreamSpec } from '../../core/streams.ts';
import type { Backlog } from '../../ports/bus.ts';
import type { Log } from '../../ports/telemetry.ts';
import { type JetStreamApi, need } from './api.ts';
import { CONSUMER_NOT_FOUND, STREAM_EXISTS, STREAM_NOT_FOUND } from './faults.ts';
import type { Link } from './link.ts';

/**
 * Streams and their durable consumers. What exists is compared and left alone: updating a stream at every start is
 * known to lose delayed messages on clusters. Only the ack wait of a consumer is brought up to date.
 */
const StreamConfig = z.looseObject({
  subjects: z.array(z.string()).default([]),
  retention: z.string(),
  storage: z.string(),
  max_msgs_per_subject: z.number().default(-1),
  max_age: z.number().default(0),
  discard: z.string().default('old'),
  discard_new_per_subject: z.boolean().default(false),
  allow_direct: z.boolean().default(false),
  no_ack: z.boolean().default(false),
  sealed: z.boolean().default(false),
  num_replicas: z.number().default(1),
});
type StreamConfig = z.infer<typeof StreamConfig>;

const StreamAnswer = z.object({ config: StreamConfig, created: z.string() });

const ConsumerConfig = z.looseObject({
  durable_name: z.string().optional(),
  filter_subject: z.string().default(''),
  deliver_subject: z.string().default(''),
  deliver_policy: z.string().default('all'),
  ack_policy: z.string(),
  ack_wait: z.number().default(0),
  max_deliver: z.number().default(-1),
  max_ack_pending: z.number().default(0),
});
type ConsumerConfig = z.infer<typeof ConsumerConfig>;

const ConsumerAnswer = z.object({ config: ConsumerConfig });
const ConsumerProgress = z.object({
  num_pending: z.int().min(0),
  num_ack_pending: z.int().min(0),
  num_waiting: z.int().min(0),
  delivered: z.object({ stream_seq: z.int().min(0), consumer_seq: z.int().min(0) }),
});

const ConsumerNames = z.object({
  total: z.int().min(0),
  consumers: z
    .array(z.string())
    .nullable()
    .default([])
    .transform((names) => names ?? []),
});

/** What readers must know of a stream. */
export interface StreamFacts {
  created: string;
  retention: string;
  direct: boolean;
}

const NANOS = 1_000_000;

export class StreamStore {
  readonly #api: JetStreamApi;
  readonly #log: Log;
  readonly #replicas: number;
  readonly #facts = new Map<string, StreamFacts>();

  constructor({ api, link, log, replicas }: { api: JetStreamApi; link: Link; log: Log; replicas: number }) {
    this.#api = api;
    this.#log = log;
    this.#replicas = replicas;
    // Another server, or one with an empty store, may be what is found after a reconnect.
    link.listen({ onUp: () => this.#facts.clear() });
  }

  async ensureStream(spec: StreamSpec): Promise<void> {
    const wanted = { ...streamConfig(spec), num_replicas: this.#replicas };
    const found = (await this.#info(spec.name))?.config;
    if (found !== undefined) {
      this.#tellReplicas(spec.name, found.num_replicas);
      return compare(`stream ${spec.name}`, streamFaults(spec, found));
    }
    const made = await this.#api.call(`STREAM.CREATE.${spec.name}`, wanted, StreamAnswer);
    if (made.ok) return;
    // Somebody else was faster.
    const theirs = made.fault.err_code === STREAM_EXISTS ? await this.#info(spec.name) : null;
    if (theirs === null) need(made, `creating stream ${spec.name}`);
    else compare(`stream ${spec.name}`, streamFaults(spec, theirs.config));
  }

  /** What differs from the spec, one fault a text; null when there is no such stream. */
  async faultsOf(spec: StreamSpec): Promise<string[] | null> {
    const found = await this.#info(spec.name);
    return found === null ? null : streamFaults(spec, found.config);
  }

  async ensureQueue(spec: QueueSpec): Promise<void> {
    const { found } = await this.#consumer(spec);
    const wanted = consumerConfig(spec);
    if (found !== null) {
      compare(`consumer ${spec.name} of stream ${spec.stream}`, consumerFaults(wanted, found));
      if (found.ack_wait === wanted.ack_wait) return;
    }
    const config = found === null ? wanted : { ...found, ack_wait: wanted.ack_wait };
    const body = { stream_name: spec.stream, config };
    const answer = await this.#api.call(`CONSUMER.DURABLE.CREATE.${spec.stream}.${spec.name}`, body, ConsumerAnswer);
    need(answer, `creating consumer ${spec.name} of stream ${spec.stream}`);
  }

  async hasQueue(spec: QueueSpec): Promise<boolean> {
    return (await this.#consumer(spec)).found !== null;
  }

  /** Names of the consumers of a stream, page by page. */
  async queues(stream: string): Promise<string[]> {
    const names: string[] = [];
    for (;;) {
      const answer = await this.#api.call(`CONSUMER.NAMES.${stream}`, { offset: names.length }, ConsumerNames);
      if (!answer.ok && answer.fault.err_code === STREAM_NOT_FOUND) return [];
      const { consumers, total } = need(answer, `consumers of stream ${stream}`);
      names.push(...consumers);
      if (consumers.length === 0 || names.length >= total) return names;
    }
  }

  async removeQueue(stream: string, name: string): Promise<void> {
    const answer = await this.#api.call(`CONSUMER.DELETE.${stream}.${name}`, null, z.object({}));
    if (!answer.ok && [CONSUMER_NOT_FOUND, STREAM_NOT_FOUND].includes(answer.fault.err_code)) return;
    need(answer, `deleting consumer ${name} of stream ${stream}`);
  }

  /** How far a consumer has come. */
  async progress(spec: QueueSpec): Promise<Omit<Backlog, 'oldestAt'>> {
    const answer = await this.#api.call(`CONSUMER.INFO.${spec.stream}.${spec.name}`, null, ConsumerProgress);
    const { num_pending, num_ack_pending, num_waiting, delivered } = need(
      answer,
      `consumer ${spec.name} of stream ${spec.stream}`,
    );
    return {
      messages: num_pending,
      handedOut: delivered.stream_seq,
      inWork: num_ack_pending,
      deliveries: delivered.consumer_seq,
      asking: num_waiting,
    };
  }

  /** Facts of a stream, remembered until the next reconnect; null when there is no such stream. */
  async facts(stream: string): Promise<StreamFacts | null> {
    const known = this.#facts.get(stream);
    if (known !== undefined) return known;
    const info = await this.#info(stream);
    if (info === null) return null;
    const { retention, allow_direct: direct } = info.config;
    const facts = { created: info.created, retention, direct };
    this.#facts.set(stream, facts);
    return facts;
  }

  forget(stream: string): void {
    this.#facts.delete(stream);
  }

  /** A stream keeps the replicas that it was made with: changing them is for whoever runs the servers. */
  #tellReplicas(stream: string, replicas: number): void {
    if (this.#replicas === 1 || replicas === this.#replicas) return;
    const todo = `nats stream edit ${stream} --replicas ${this.#replicas}`;
    this.#log.warn('stream.other_replicas', { stream, replicas, wanted: this.#replicas, todo });
  }

  async #info(stream: string): Promise<z.infer<typeof StreamAnswer> | null> {
    const answer = await this.#api.call(`STREAM.INFO.${stream}`, null, StreamAnswer);
    if (!answer.ok && answer.fault.err_code === STREAM_NOT_FOUND) return null;
    return need(answer, `stream ${stream}`);
  }

  async #consumer(spec: QueueSpec): Promise<{ found: ConsumerConfig | null }> {
    const answer = await this.#api.call(`CONSUMER.INFO.${spec.stream}.${spec.name}`, null, ConsumerAnswer);
    const missing = !answer.ok && [CONSUMER_NOT_FOUND, STREAM_NOT_FOUND].includes(answer.fault.err_code);
    if (missing) return { found: null };
    return { found: need(answer, `consumer ${spec.name} of stream ${spec.stream}`).config };
  }
}

const MAX_PER_SUBJECT: Record<PerSubject, number> = { first: 1, last: 1, all: -1 };

function streamConfig(spec: StreamSpec): StreamConfig {
  return {
    name: spec.name,
    subjects: spec.subjects,
    retention: spec.retention,
    storage: spec.storage,
    max_msgs_per_subject: MAX_PER_SUBJECT[spec.perSubject],
    max_age: (spec.maxAgeMs ?? 0) * NANOS,
    // Where nothing may be lost a full stream refuses; where only the newest counts the older one goes.
    discard: spec.perSubject === 'last' ? 'old' : 'new',
    discard_new_per_subject: spec.perSubject === 'first',
    allow_direct: true,
    no_ack: false,
    sealed: false,
    num_replicas: 1,
  };
}

function streamFaults(spec: StreamSpec, found: StreamConfig): string[] {
  const wanted = streamConfig(spec);
  const keys: (keyof StreamConfig)[] = ['retention', 'storage', 'max_msgs_per_subject', 'discard_new_per_subject'];
  keys.push('allow_direct', 'no_ack', 'sealed');
  if (spec.perSubject !== 'all') keys.push('discard');
  // An entry that expires can be written a second time: only where that is meant.
  if (spec.perSubject === 'first' || spec.maxAgeMs !== undefined) keys.push('max_age');
  const faults = differences(keys, wanted, found);
  const [have, want] = [sorted(found.subjects), sorted(spec.subjects)];
  if (have !== want) faults.unshift(`subjects is "${have}", expected "${want}"`);
  return faults;
}

function consumerConfig(spec: QueueSpec): ConsumerConfig {
  return {
    durable_name: spec.name,
    filter_subject: spec.filter,
    deliver_subject: '',
    deliver_policy: 'all',
    ack_policy: 'explicit',
    ack_wait: spec.ackWaitMs * NANOS,
    max_deliver: -1,
    max_ack_pending: -1,
    replay_policy: 'instant',
  };
}

function consumerFaults(wanted: ConsumerConfig, found: ConsumerConfig): string[] {
  const keys: (keyof ConsumerConfig)[] = ['filter_subject', 'deliver_subject', 'deliver_policy', 'ack_policy'];
  return differences([...keys, 'max_deliver', 'max_ack_pending'], wanted, found);
}

function differences<T extends object>(keys: (keyof T)[], wanted: T, found: T): string[] {
  return keys
    .filter((key) => found[key] !== wanted[key])
    .map((key) => `${String(key)} is ${JSON.stringify(found[key])}, expected ${JSON.stringify(wanted[key])}`);
}

function sorted(subjects: string[]): string {
  return subjects.toSorted((a, b) => a.localeCompare(b)).join(' ');
}

function compare(what: string, faults: string[]): void {
  if (faults.length === 0) return;
  throw new AppError(
    'stream_mismatch',
    `${what} exists with other settings: ${faults.join('; ')}. Change or delete it, or use another subject prefix`,
  );
}
