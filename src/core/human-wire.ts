import { z } from 'zod';
import { RunId } from './events.ts';
import { FallbackLink, PersonQueue } from './fallback.ts';
import { ResultJson } from './json.ts';
import { ReasonCode } from './reasons.ts';
import { StepSummary } from './result.ts';

/**
 * A task that agents could not do and a person takes over (APPR-6), version 1: a write-once log a run, on
 * `human.<queue>.<run>.<n>`. Entry 0 is the item, written as the run ends; the others are what people say about it, and
 * the last one holds. Whoever writes an entry first wins.
 */

const V = z.literal(1);
const By = z.string().min(1).max(128);

export const HumanWhy = z.string().max(1024).default('');
export const PersonNote = z.string().min(1).max(8_192);
export const HumanOutcome = z.enum(['solved', 'not_solved']);
export type HumanOutcome = z.infer<typeof HumanOutcome>;

/** Steps that an item shows, and characters of task and of what was found. */
export const ITEM_STEPS = 5;
export const ITEM_TEXT = 4_096;

/** Entry 0. Texts are previews without secrets; the whole is in the journal of the run. */
export const HumanItem = z.object({
  v: V,
  kind: z.literal('queued'),
  run: RunId,
  agent: z.string(),
  agent_version: z.string(),
  user: z.string(),
  queue: PersonQueue,
  /** When the run ended; epoch milliseconds, like all moments here. */
  at: z.int(),
  /** The run that delegated this one. */
  parent: RunId.optional(),
  /** The beginning of what was asked, and of what was found, as JSON text. */
  task: z.string().max(ITEM_TEXT),
  partial: z.string().max(ITEM_TEXT).nullable(),
  /** The last finished ones. */
  steps: z.array(StepSummary).max(ITEM_STEPS),
  error: z.object({ code: ReasonCode, reason: z.string().max(2_048) }),
  /** All that was tried, in order, with the error that ended each. */
  errors: z.array(FallbackLink).max(16),
});
export type HumanItem = z.infer<typeof HumanItem>;

/** `id` tells the writer's own word from that of another who was first. */
const Word = { v: V, id: z.string().max(64), by: By, at: z.int() };

/** What a person says, from entry 1 on. */
export const HumanWord = z.discriminatedUnion('kind', [
  z.object({ ...Word, kind: z.literal('claimed') }),
  z.object({ ...Word, kind: z.literal('released'), why: HumanWhy }),
  z.object({
    ...Word,
    kind: z.literal('done'),
    outcome: HumanOutcome,
    answer: ResultJson.optional(),
    note: PersonNote.optional(),
  }),
]);
export type HumanWord = z.infer<typeof HumanWord>;

/** What a person says at the end has something in it. */
export function hasContent({ answer, note }: { answer?: unknown; note?: unknown }): boolean {
  return answer !== undefined || note !== undefined;
}
export const NO_CONTENT = { message: 'expected an answer or a note', path: ['answer'] };

/** What a person answered in the place of the agents. */
export const PersonAnswer = z.object({
  run: RunId,
  queue: PersonQueue,
  by: By,
  at: z.int(),
  outcome: HumanOutcome,
  answer: ResultJson.optional(),
  note: PersonNote.optional(),
});
export type PersonAnswer = z.infer<typeof PersonAnswer>;

/**
 * Where an item stands: `by` and `since` of who has it, or of who was done with it. `unreadable`: the node that answers
 * is older than the one that wrote the last word.
 */
export const HumanStanding = z.object({
  state: z.enum(['open', 'claimed', 'done', 'unreadable']),
  by: By.optional(),
  since: z.int(),
  outcome: HumanOutcome.optional(),
});
export type HumanStanding = z.infer<typeof HumanStanding>;

/** A line of the list. */
export const HumanSummary = HumanItem.pick({ run: true, agent: true, user: true, queue: true, at: true }).extend({
  task: z.string(),
  /** What ended the chain. */
  code: z.string(),
  standing: HumanStanding,
});
export type HumanSummary = z.infer<typeof HumanSummary>;

/** One of them with all that is known; `words` are the last 20. */
export const HumanDetails = z.object({ item: HumanItem, standing: HumanStanding, words: z.array(HumanWord) });
export type HumanDetails = z.infer<typeof HumanDetails>;

/** Where an item stands after a word about it. */
export function standingAfter(word: HumanWord): HumanStanding {
  const { kind, by, at } = word;
  if (kind === 'released') return { state: 'open', since: at };
  return { state: kind, by, since: at, ...(kind === 'done' ? { outcome: word.outcome } : {}) };
}
