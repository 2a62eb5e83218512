import type { ApiBody } from '../core/door-wire.ts';
import { AppError, clip } from '../core/errors.ts';
import type { RunEventOf } from '../core/events.ts';
import {
  HumanItem,
  type HumanStanding,
  type HumanSummary,
  type HumanWord,
  type PersonAnswer,
} from '../core/human-wire.ts';
import { sameJson } from '../core/json.ts';
import { streamsOf } from '../core/streams.ts';
import type { StoredMessage } from '../ports/bus.ts';
import type { NodeDeps } from './deps.ts';
import type { RunFold } from './fold.ts';
import { answerOfPerson, entryIn, humanHead, sayAbout, tellAnswer } from './human-log.ts';

/** What nodes answer about the queues of people: what waits there, who takes it over, what the answer is. */

/** Characters of a task in the list, and items of one page: an answer stays far below the 1 MB that the server takes. */
const TASK_SHOWN = 200;
const LOOKED_AT = 200;

interface Said {
  ok: true;
  run: string;
  queue: string;
  standing: HumanStanding;
}

/** A page looks at up to `limit` items, and leaves out those that are done. */
export async function listItems(
  deps: NodeDeps,
  { queue = '*', all, limit, after }: ApiBody<'human_items'>,
): Promise<{ items: HumanSummary[]; next: number | null }> {
  const { bus, subjects } = deps;
  const found: StoredMessage[] = [];
  let next: number | null = null;
  const filter = subjects.human(queue, '*', 0);
  for await (const message of bus.scan(streamsOf(subjects).human.name, filter, { fromSequence: after + 1 })) {
    if (found.length >= Math.min(limit, LOOKED_AT)) {
      next = message.seq - 1;
      break;
    }
    found.push(message);
  }
  const read = found.flatMap((message) => {
    const item = entryIn(HumanItem, message);
    if (item === null) deps.log.warn('person.unreadable', { subject: message.subject });
    return item ?? [];
  });
  const items = await Promise.all(read.map((item) => summaryOf(deps, item)));
  return { items: items.filter(({ standing }) => all || standing.state !== 'done'), next };
}

async function summaryOf(deps: NodeDeps, item: HumanItem): Promise<HumanSummary> {
  const { run, agent, user, queue, at, task, errors, error } = item;
  const standing = (await humanHead(deps, run))?.standing ?? { state: 'open', since: at };
  const code = errors.at(-1)?.error.code ?? error.code;
  return { run, agent, user, queue, at, task: clip(task, TASK_SHOWN), code, standing };
}

export async function claimItem(deps: NodeDeps, { run, by }: ApiBody<'human_claim'>): Promise<Said> {
  return said(
    run,
    await sayAbout(deps, { run, by }, { kind: 'claimed' }, ({ standing }) => {
      refuseDone(run, standing);
      refuseOthers(run, by, standing);
      return standing.state === 'open';
    }),
  );
}

/** Whoever holds it may be away: anybody may give it back. */
export async function releaseItem(deps: NodeDeps, { run, by, why }: ApiBody<'human_release'>): Promise<Said> {
  return said(
    run,
    await sayAbout(deps, { run, by }, { kind: 'released', why }, ({ standing }) => {
      refuseDone(run, standing);
      if (standing.state === 'open') throw new AppError('not_claimed', `run ${run} is claimed by nobody`);
      return true;
    }),
  );
}

/** Said again by the same person it is told again: the first time may have been cut short. */
export async function doneWithItem(
  deps: NodeDeps,
  accepted: RunEventOf<'accepted'>,
  fold: RunFold,
  { run, by, outcome, answer, note }: ApiBody<'human_done'>,
): Promise<Said> {
  const word = {
    kind: 'done' as const,
    outcome,
    ...(answer === undefined ? {} : { answer }),
    ...(note === undefined ? {} : { note }),
  };
  const head = await sayAbout(deps, { run, by }, word, (head) => {
    if (head.word?.kind === 'done' && head.word.by === by && isSame(head.word, word)) return false;
    refuseDone(run, head.standing);
    refuseOthers(run, by, head.standing);
    return true;
  });
  await tellAnswer(deps, accepted, fold);
  return said(run, head);
}

type Done = Extract<HumanWord, { kind: 'done' }>;

function isSame(one: Done, other: Pick<Done, 'outcome' | 'answer' | 'note'>): boolean {
  if (one.outcome !== other.outcome || one.note !== other.note) return false;
  if (one.answer === undefined || other.answer === undefined) return one.answer === other.answer;
  return sameJson(one.answer, other.answer);
}

function refuseDone(run: string, { state, by, since }: HumanStanding): void {
  if (state !== 'done') return;
  throw new AppError('already_done', `${by} was done with run ${run} at ${new Date(since).toISOString()}`);
}

function refuseOthers(run: string, by: string, { state, by: holder, since }: HumanStanding): void {
  if (state !== 'claimed' || holder === by) return;
  const text = `${holder} has claimed run ${run} at ${new Date(since).toISOString()}: ask them, or proctor queue release ${run} takes it from them`;
  throw new AppError('already_claimed', text);
}

function said(run: string, { queue, standing }: Pick<Said, 'queue' | 'standing'>): Said {
  return { ok: true, run, queue, standing };
}

/** Null also while the run still works, or is being queued. */
export async function personAnswer(
  deps: NodeDeps,
  { context, path }: RunFold,
): Promise<{ answer: PersonAnswer | null }> {
  if (context.end !== null && context.end.code !== 'queued_for_human') {
    throw new AppError('not_queued', `run ${context.run} was handed to no person: it is ${path}`, { field: 'run' });
  }
  return { answer: await answerOfPerson(deps, context.run) };
}
