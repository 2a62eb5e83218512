import { AppError, clip, toAppError } from '../core/errors.ts';
import type { RunEventOf } from '../core/events.ts';
import {
  type HumanDetails,
  HumanItem,
  type HumanStanding,
  HumanWord,
  ITEM_STEPS,
  ITEM_TEXT,
  type PersonAnswer,
  standingAfter,
} from '../core/human-wire.ts';
import type { Json } from '../core/json.ts';
import { redact, redactText } from '../core/redact.ts';
import type { RunResult } from '../core/result.ts';
import { streamsOf } from '../core/streams.ts';
import type { StoredMessage } from '../ports/bus.ts';
import type { NodeDeps } from './deps.ts';
import type { RunFold } from './fold.ts';
import { statusOf } from './views.ts';

/** Runs that are queued for people (APPR-6): the item, and what people say about it, in the order of who was first. */

type Accepted = RunEventOf<'accepted'>;

/** Words that are shown, the last ones. */
const WORDS_SHOWN = 20;

/** Where the log of a run ends now. */
interface Head {
  queue: string;
  n: number;
  /** Null: nobody has said anything, or it cannot be read. */
  word: HumanWord | null;
  standing: HumanStanding;
}

/** What a person wants to say, before it is known whether it comes first. */
type Saying =
  | { kind: 'claimed' }
  | { kind: 'released'; why: string }
  | (Pick<PersonAnswer, 'outcome' | 'answer' | 'note'> & { kind: 'done' });

/** Queues a run that ended so. Written again after a crash it is the same item, so that it stands there already is fine. */
export async function queueForPerson(deps: NodeDeps, accepted: Accepted, result: RunResult): Promise<void> {
  const link = result.fallbacks?.findLast(({ to }) => to === 'person');
  if (result.code !== 'queued_for_human' || link?.queue === undefined) return;
  const { run } = result;
  const { queue } = link;
  const item: HumanItem = {
    v: 1,
    kind: 'queued',
    run,
    agent: result.agent,
    agent_version: result.agent_version,
    user: result.user,
    queue,
    at: result.ended_at,
    ...(accepted.parent === undefined ? {} : { parent: accepted.parent.run }),
    task: shown(accepted.task.input),
    partial: result.partial === null ? null : shown(result.partial),
    steps: result.step_log.slice(-ITEM_STEPS),
    error: { code: result.code, reason: result.error?.reason ?? '' },
    errors: result.fallbacks ?? [],
  };
  if (await wrote(deps, deps.subjects.human(queue, run, 0), JSON.stringify(item))) {
    deps.log.warn('person.queued', {
      run_id: run,
      agent: item.agent,
      user_id: item.user,
      queue,
      code: link.error.code,
    });
  }
  deps.faults.hit('end.person_queued');
}

function shown(value: Json): string {
  return clip(redactText(JSON.stringify(redact(value))), ITEM_TEXT);
}

/** False when the subject was written before. */
async function wrote({ bus }: NodeDeps, subject: string, data: string): Promise<boolean> {
  try {
    await bus.publish(subject, data);
    return true;
  } catch (thrown) {
    if (toAppError(thrown).code !== 'taken') throw thrown;
    return false;
  }
}

/** Null when no person was asked about the run. */
export async function humanHead(deps: NodeDeps, run: string): Promise<Head | null> {
  const { bus, subjects } = deps;
  const stored = await bus.last(streamsOf(subjects).human.name, subjects.human('*', run, '*'), { authoritative: true });
  const at = stored === null ? null : subjects.parseHuman(stored.subject);
  if (stored === null || at === null) return null;
  if (at.n === 0) return { ...at, word: null, standing: { state: 'open', since: stored.at } };
  const word = entryIn(HumanWord, stored);
  return { ...at, word, standing: word === null ? { state: 'unreadable', since: stored.at } : standingAfter(word) };
}

/** Null when another version of Proctor wrote it. */
export function entryIn<T>(schema: { safeParse(value: unknown): { data?: T } }, stored: StoredMessage): T | null {
  try {
    return schema.safeParse(JSON.parse(stored.data)).data ?? null;
  } catch {
    return null;
  }
}

function unreadable(what: string): AppError {
  return new AppError(
    'unreadable',
    `${what} cannot be read: a node of a newer version wrote it; ask that one, or upgrade`,
  );
}

/** Everything about one item. */
export async function humanDetails(deps: NodeDeps, { run }: { run: string }): Promise<HumanDetails> {
  const { bus, subjects } = deps;
  const head = await mustBeQueued(deps, run);
  const at = (n: number) =>
    bus.last(streamsOf(subjects).human.name, subjects.human(head.queue, run, n), { authoritative: true });
  const first = Math.max(1, head.n - WORDS_SHOWN + 1);
  const numbers = Array.from({ length: head.n - first + 1 }, (_, i) => first + i);
  const [stored, ...words] = await Promise.all([at(0), ...numbers.map(at)]);
  const item = stored == null ? null : entryIn(HumanItem, stored);
  if (item === null) throw unreadable(`what was queued about run ${run}`);
  const read = words.map((one) => (one === null ? null : entryIn(HumanWord, one)));
  return { item, standing: head.standing, words: read.filter((word) => word !== null) };
}

async function mustBeQueued(deps: NodeDeps, run: string): Promise<Head> {
  const head = await humanHead(deps, run);
  if (head !== null) return head;
  throw new AppError('not_queued', `run ${run} is in no queue of people`, { field: 'run' });
}

/** The answer of the person who took a run over; null while there is none. */
export async function answerOfPerson(deps: NodeDeps, run: string): Promise<PersonAnswer | null> {
  const head = await humanHead(deps, run);
  if (head?.standing.state === 'unreadable') throw unreadable(`what was said last about run ${run}`);
  return head === null ? null : answerIn(run, head);
}

function answerIn(run: string, { queue, word }: Head): PersonAnswer | null {
  if (word?.kind !== 'done') return null;
  const { by, at, outcome, answer, note } = word;
  return {
    run,
    queue,
    by,
    at,
    outcome,
    ...(answer === undefined ? {} : { answer }),
    ...(note === undefined ? {} : { note }),
  };
}

/**
 * Writes a person's word behind the last one. `allow` throws when that one forbids it, and is false when it says the same
 * already; it is asked again when somebody else came first.
 */
export async function sayAbout(
  deps: NodeDeps,
  { run, by }: { run: string; by: string },
  saying: Saying,
  allow: (head: Head) => boolean,
): Promise<Head> {
  const { bus, subjects, clock, ids, log } = deps;
  const id = ids.random();
  for (;;) {
    const head = await mustBeQueued(deps, run);
    // A word whose acknowledgement was lost stands there as somebody's who was first.
    if (head.standing.state === 'unreadable') throw unreadable(`what was said last about run ${run}`);
    if (head.word?.id === id || !allow(head)) return head;
    const word: HumanWord = { v: 1, id, by, at: clock.now(), ...saying };
    const subject = subjects.human(head.queue, run, head.n + 1);
    if (await wrote(deps, subject, JSON.stringify(word))) {
      log.info(`person.${saying.kind}`, { run_id: run, queue: head.queue, by });
      return { queue: head.queue, n: head.n + 1, word, standing: standingAfter(word) };
    }
    const first = await bus.last(streamsOf(subjects).human.name, subject, { authoritative: true });
    if (first === null) throw new AppError('unavailable', `${subject} cannot be read`, { retryable: true });
  }
}

/** Tells the submitter that a person has answered, with the last status of the run, which stays. */
export async function tellAnswer(deps: NodeDeps, accepted: Accepted, fold: RunFold): Promise<void> {
  const head = await humanHead(deps, accepted.run);
  const answer = head === null ? null : answerIn(accepted.run, head);
  if (answer === null) return;
  const { queue, by, at, outcome } = answer;
  const subject = deps.subjects.event(accepted.agent.name, accepted.user, accepted.run);
  await deps.bus.publish(subject, JSON.stringify({ ...statusOf(fold), person: { queue, at, by, outcome } }));
}
