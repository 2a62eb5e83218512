import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { z } from 'zod';
import type { JournalEntry } from '../../src/core/journal-entry.ts';
import { streamsOf } from '../../src/core/streams.ts';
import type { Subjects } from '../../src/core/subjects.ts';
import type { Observer } from '../crash/observer.ts';
import { progress } from '../support/report.ts';
import type { DrillServer } from '../support/server.ts';
import type { Load } from './load.ts';
import type { Verdict } from './verdict.ts';

/**
 * Tells losses of the servers from ours. A message is lost by the servers when they acknowledged it, no node took it out
 * of the stream, and not every copy of the stream holds it; or when all hold it and the consumer counts it as dealt with.
 */

interface Stored {
  stream: string;
  seq: number;
  subject: string;
  by: string;
  at?: number;
  /** What its body holds and no other. */
  text?: string;
}

type Query = { seq: number } | { last_by_subj: string };

interface Witnessed {
  /** By subject, in order of their time. */
  stored: Map<string, Stored[]>;
  /** `stream seq subject` of each message that a node took out: a sequence may be given twice when a stream went back. */
  acked: Set<string>;
  /** Subjects of which a server said last that they hold a message, and who was told. */
  taken: Map<string, string>;
  /** Runs whose activations nodes found in the queue and removed, by sequence, as their logs tell. */
  removed: Map<number, string>;
}

/** Copies are looked at for so many at most: each costs a request to every server. */
const MOST = 200;

const ConsumerInfo = z.object({
  name: z.string(),
  delivered: z.object({ stream_seq: z.int(), consumer_seq: z.int() }),
  ack_floor: z.object({ stream_seq: z.int(), consumer_seq: z.int() }),
  num_ack_pending: z.int(),
  num_redelivered: z.int(),
  num_waiting: z.int(),
  num_pending: z.int(),
});
type ConsumerInfo = z.infer<typeof ConsumerInfo>;

const CameBack = z.object({ seq: z.int(), run_id: z.string() });

export interface Surroundings {
  servers: readonly DrillServer[];
  subjects: Subjects;
  observer: Observer;
  load: Load;
  dir: string;
}

/** Takes out of the verdict what is proven to be lost by the servers; resolves with the proofs. */
export async function serverLosses(verdict: Verdict, around: Surroundings): Promise<string[]> {
  const { servers, subjects, observer, load } = around;
  const { stored, acked, taken, removed } = readWitnesses(around.dir);
  const twice = givenTwice(stored);
  if (twice.size > 0) progress(`the servers gave ${twice.size} sequences to two acknowledged messages`);
  const connections = await Promise.all(servers.map(({ url }) => connect({ servers: url })));
  const { tasks, queue, inbox, results } = streamsOf(subjects);
  const proofs: string[] = [];
  /** What the copies hold, when they do not all hold it. */
  const missing = async (stream: string, query: Query, text = ''): Promise<string | null> => {
    const held = await Promise.all(connections.map((nc) => holds(nc, stream, query, text)));
    return held.every(Boolean) ? null : held.map((has, i) => `s${i} ${has ? 'has it' : 'has it not'}`).join(', ');
  };
  const prove = async ({ stream, seq, subject, by }: Stored, query = { last_by_subj: subject } as const) => {
    const copies = await missing(stream, query);
    if (copies !== null) proofs.push(`${by} was told that ${subject} is ${stream} ${seq}; ${copies}`);
    return copies !== null;
  };
  /** Of messages that wait to be dealt with. */
  const waits = async (message: Stored): Promise<boolean> => {
    const { stream, seq } = message;
    if (acked.has(`${stream} ${seq} ${message.subject}`)) return false;
    // Tasks share their subject: what another one has in its place is not it.
    const query = stream === tasks.name ? { seq } : { last_by_subj: message.subject };
    const copies = await missing(stream, query, message.text);
    if (copies !== null) {
      proofs.push(`${message.by} was told that ${message.subject} is ${stream} ${seq}; nobody acked it; ${copies}`);
      return true;
    }
    const passed = await passedBy(connections, stream, message);
    if (passed !== null) proofs.push(`${stream} ${seq} (${message.subject}) is there and acked by nobody; ${passed}`);
    return passed !== null;
  };
  try {
    const written = new Set(
      [...observer.runs].flatMap(([run, entries]) => [...entries.keys()].map((n) => `${run}.${n}`)),
    );
    const gone: Stored[] = [];
    for (const [subject, [first]] of stored) {
      if (first === undefined) continue;
      const [run = '', n = ''] = subject.split('.').slice(-2);
      if (first.stream.includes('_JRN_') && !written.has(`${run}.${n}`)) gone.push(first);
      if (first.stream === results.name && !observer.results.has(n)) gone.push(first);
    }
    const hit = new Set<string>();
    for (const one of gone.slice(0, MOST)) if (await prove(one)) hit.add(runIn(one.subject, subjects));
    const lostSteps: string[] = [];
    for (const step of verdict.lostSteps) {
      const first = stored.get(step.split(' ')[0] ?? '')?.[0];
      if (first === undefined || !(await prove(first))) lostSteps.push(step);
    }
    let stuck: string[] = [];
    for (const run of verdict.stuck) {
      const messages = [...stored.values()].flat().filter(({ subject, stream }) => {
        return (stream === queue.name || stream === inbox.name) && subject.includes(run);
      });
      messages.sort((a, b) => (a.at ?? 0) - (b.at ?? 0));
      let proven = hit.has(run);
      for (const [i, message] of messages.entries()) {
        const other = twice.get(`${message.stream} ${message.seq} ${message.subject}`);
        if (other !== undefined) {
          proofs.push(`${message.by} was told that ${message.subject} is ${message.stream} ${message.seq}; ${other}`);
          proven = true;
        }
        const there = message.stream === queue.name ? removed.get(message.seq) : undefined;
        if (there !== undefined && there !== run) {
          const { by, subject, stream, seq } = message;
          proofs.push(`${by} was told that ${subject} is ${stream} ${seq}, where a node found that of run ${there}`);
          proven = true;
        }
        const before = messages.slice(0, i).findLast(({ subject }) => subject === message.subject);
        if (before === undefined || before.seq < message.seq) continue;
        const [was, is] = [before, message].map(({ by, seq }) => `${seq} (${by})`);
        proofs.push(`${message.stream} went back: ${message.subject} was stored as ${was}, and later as ${is}`);
        proven = true;
      }
      for (const message of messages) proven = (await waits(message)) || proven;
      for (const [subject, by] of taken) {
        if (!subject.startsWith(`${subjects.prefix}.queue.`) || !subject.endsWith(`.${run}`)) continue;
        const copies = messages.some((message) => message.subject === subject)
          ? null
          : await missing(queue.name, { last_by_subj: subject });
        if (copies === null) continue;
        proofs.push(
          `${by} was told that ${subject} holds a message already, which nobody was told is stored; ${copies}`,
        );
        proven = true;
      }
      if (!proven) {
        stuck.push(run);
        for (const { stream, seq, subject, by } of messages) {
          const fate = acked.has(`${stream} ${seq} ${subject}`) ? 'acked by a node' : 'acked by nobody';
          const consumer = await consumerOf(connections, stream, subject);
          const stands = consumer === null ? 'no consumer is for it' : JSON.stringify(consumer);
          progress(`not proven: ${run}: ${subject} is ${stream} ${seq}, as ${by} was told; ${fate}; ${stands}`);
        }
      }
    }
    // Who waits for a run that the servers have lost waits for ever.
    const waiting = (run: string): boolean => {
      const children = [...observer.runs].filter(([, entries]) => parentOf(entries) === run).map(([child]) => child);
      return children.some((child) => verdict.stuck.includes(child) && (!stuck.includes(child) || waiting(child)));
    };
    const excused = stuck.filter(waiting);
    stuck = stuck.filter((run) => !excused.includes(run));
    const lost: string[] = [];
    for (const session of verdict.lost) {
      const accepted = load.accepted.get(session);
      const run = runOfSession(observer, session);
      const subject = accepted === undefined ? '' : subjects.task(accepted.agent, accepted.user);
      const task = { stream: tasks.name, seq: accepted?.seq ?? 0, subject, by: 'the submitter', text: `"${session}"` };
      const proven = run === null ? await waits(task) : !stuck.includes(run);
      if (!proven) lost.push(session);
    }
    Object.assign(verdict, { lost, stuck, lostSteps });
    return proofs;
  } finally {
    await Promise.all(connections.map((nc) => nc.close()));
  }
}

function readWitnesses(dir: string): Witnessed {
  const witnessed: Witnessed = { stored: new Map(), acked: new Set(), taken: new Map(), removed: new Map() };
  for (const file of readdirSync(dir).filter((name) => name.startsWith('acks-'))) {
    for (const line of readFileSync(join(dir, file), 'utf8').split('\n')) {
      const [what = '', stream = '', seq = '', subject = '', at = ''] = line.split(' ');
      if (what === 'acked') witnessed.acked.add(`${stream} ${seq} ${subject}`);
      if (what === 'taken') witnessed.taken.set(subject, file.slice('acks-'.length));
      if (what !== 'stored') continue;
      const all = witnessed.stored.get(subject) ?? [];
      all.push({ stream, seq: Number(seq), subject, by: file.slice('acks-'.length), at: Number(at) });
      witnessed.stored.set(subject, all);
    }
  }
  for (const line of readFileSync(join(dir, 'node.log'), 'utf8').split('\n')) {
    if (!line.includes('"activation.came_back"')) continue;
    const { seq, run_id } = CameBack.parse(JSON.parse(line));
    witnessed.removed.set(seq, run_id);
  }
  return witnessed;
}

/** Acknowledged messages whose sequence was given to another subject as well: the stream went back; which one, in words. */
function givenTwice(stored: Witnessed['stored']): Map<string, string> {
  const places = new Map<string, Stored[]>();
  for (const message of [...stored.values()].flat()) {
    const place = `${message.stream} ${message.seq}`;
    places.set(place, [...(places.get(place) ?? []), message]);
  }
  const twice = new Map<string, string>();
  for (const [place, messages] of places) {
    for (const { subject } of messages) {
      const other = messages.find((one) => one.subject !== subject);
      if (other !== undefined) twice.set(`${place} ${subject}`, `${other.by} was told that it is ${other.subject}`);
    }
  }
  return twice;
}

/** A server answers a direct get from its own copy. */
async function holds(nc: NatsConnection, stream: string, query: Query, text: string): Promise<boolean> {
  const reply = await nc.request(`$JS.API.DIRECT.GET.${stream}`, JSON.stringify(query), { timeout: 5_000 });
  return reply.headers?.code !== 404 && reply.string().includes(text);
}

async function consumerOf([nc]: NatsConnection[], stream: string, subject: string): Promise<ConsumerInfo | null> {
  const names = (await nc?.request(`$JS.API.CONSUMER.LIST.${stream}`, '', { timeout: 5_000 }))?.json<{
    consumers: { name: string; config: { filter_subject?: string } }[];
  }>();
  const own = names?.consumers.find(({ config }) => {
    const filter = config.filter_subject?.replace(/[>*]+$/, '') ?? '';
    return filter !== '' && subject.startsWith(filter);
  });
  return own === undefined ? null : ConsumerInfo.parse(own);
}

/** Whether the consumer of a message neither has it in work nor will hand it out; in words. */
async function passedBy(
  connections: NatsConnection[],
  stream: string,
  { subject, seq }: Stored,
): Promise<string | null> {
  const info = await consumerOf(connections, stream, subject);
  if (info === null) return null;
  if (info.delivered.stream_seq < seq && info.num_pending === 0) {
    return `consumer ${info.name} is at ${info.delivered.stream_seq} and says that nothing waits behind it`;
  }
  if (info.delivered.stream_seq < seq || info.num_ack_pending > 0) return null;
  return `consumer ${info.name} is at ${info.delivered.stream_seq} with none in work`;
}

function runIn(subject: string, { prefix }: Subjects): string {
  const tokens = subject.split('.');
  return (subject.startsWith(`${prefix}.jrn.`) ? tokens.at(-2) : tokens.at(-1)) ?? '';
}

function parentOf(entries: ReadonlyMap<number, JournalEntry>): string | undefined {
  const accepted = entries.get(0)?.events.find((event) => event.type === 'accepted');
  return accepted?.parent?.run;
}

function runOfSession(observer: Observer, session: string): string | null {
  for (const [run, entries] of observer.runs) {
    const accepted = entries.get(0)?.events.find((event) => event.type === 'accepted');
    if (accepted?.task.session_id === session && accepted.parent === undefined) return run;
  }
  return null;
}
