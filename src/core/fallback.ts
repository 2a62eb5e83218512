import { z } from 'zod';
import { clip, ErrorInfo } from './errors.ts';
import { Json } from './json.ts';

/**
 * What a run falls back on when it cannot go on as it began (DEG-1, DEG-2): another model, an answer without tools, the
 * answer that the same task had before, a person. Nothing of it is done unless the agent says so.
 */

const ModelName = z.string().min(1).max(128);

const Text = z.string().max(1024).optional();

/** A queue of people. */
export const PersonQueue = z.string().regex(/^[a-z0-9_-]{1,32}$/, 'expected 1 to 32 of a-z, 0-9, _ and -');

/** Texts for users when there is no answer (DEG-4); they stand beside the answer, never in its place. */
export const FallbackTexts = z.strictObject({
  model: Text,
  tool: Text,
  time: Text,
  budget: Text,
  person: Text,
  everything: Text,
});
export type FallbackTexts = z.infer<typeof FallbackTexts>;

export const DEFAULT_TEXTS: Readonly<Record<keyof FallbackTexts, string>> = {
  model: 'The model that does this work cannot be reached now. Nothing is lost: try again later.',
  tool: 'A tool that this work needs does not answer now. Try again later.',
  time: 'The work took longer than it may. What was found so far is kept.',
  budget: 'The budget for this work is used up. What was found so far is kept.',
  person: 'A person will look at this.',
  everything: 'This could not be done. What was found so far is kept.',
};

export const Fallback = z.strictObject({
  /** Asked in turn, each when the one before it stays down. Their keys and addresses come as those of `model` do. */
  models: z
    .array(z.strictObject({ model: ModelName }))
    .max(8)
    .default([]),
  /** When money or tokens run out: one last answer without tools, from what was found (COST-4). */
  plain: z
    .strictObject({
      /** Who gives it; the model that was asked last when absent. */
      model: ModelName.optional(),
      /** Kept back from the run's budget for it. */
      reserve_usd: z.number().min(0).max(1_000).default(0.02),
      reserve_tokens: z.int().min(0).max(1_000_000).default(4_000),
      output_tokens: z.int().min(1).max(100_000).default(1_000),
    })
    .optional(),
  /** When no model answers: the last answer that this agent gave the same user to the same task. */
  cached: z.strictObject({ max_age_ms: z.int().min(1_000).max(2_592_000_000).default(86_400_000) }).optional(),
  /** When nothing else is left: the queue of the people who take the task over (APPR-6). */
  person: z.strictObject({ queue: PersonQueue }).optional(),
  /** Tools that can stand in for others: what the model is told when one stays down (DEG-3). */
  tools: z.record(z.string().max(64), z.string().max(64)).default({}),
  texts: FallbackTexts.default({}),
});
export type Fallback = z.infer<typeof Fallback>;

/** What went wrong: no model answered, money or tokens, steps or time ran out, or tools kept failing. */
export const FallbackKind = z.enum(['model', 'budget', 'steps', 'tool', 'time']);
export type FallbackKind = z.infer<typeof FallbackKind>;

/** What a run goes on with. */
export const FallbackTo = z.discriminatedUnion('to', [
  z.strictObject({ to: z.literal('model'), model: ModelName }),
  z.strictObject({ to: z.literal('plain'), model: ModelName }),
  /** The answer, and where it is from. */
  z.strictObject({ to: z.literal('cached'), answer: Json, run: z.string().max(64), at: z.int() }),
  z.strictObject({ to: z.literal('person'), queue: z.string().max(32) }),
]);
export type FallbackTo = z.infer<typeof FallbackTo>;

/** What a run has fallen back on so far, in order: its chain. */
export const FallbackLink = z.strictObject({
  kind: FallbackKind,
  to: z.enum(['model', 'plain', 'cached', 'person']),
  /** The model in use from then on. */
  model: ModelName.optional(),
  queue: z.string().max(32).optional(),
  error: ErrorInfo,
});
export type FallbackLink = z.infer<typeof FallbackLink>;

interface Chain {
  fallback?: FallbackLink[] | undefined;
}

/** The model that is asked now. */
export function modelOf(agent: { model: string }, { fallback = [] }: Chain): string {
  return fallback.findLast((link) => link.model !== undefined)?.model ?? agent.model;
}

/** Whether the run may only give its last answer, without tools. */
export function isPlain({ fallback = [] }: Chain): boolean {
  return fallback.some((link) => link.to === 'plain');
}

const WORDS_OF: Record<FallbackKind, string> = {
  model: 'the model before failed',
  budget: 'the budget ran out',
  steps: 'the steps ran out',
  tool: 'its calls kept failing',
  time: 'the time ran out',
};

/** How a result came about that is not what the agent would give when all is well; null when all was. */
export function degradedBy(agent: string, { fallback = [] }: Chain): string | null {
  if (fallback.length === 0) return null;
  const said = fallback.map(({ kind, to, model, error }) => {
    const why = `${WORDS_OF[kind]} (${error.code})`;
    if (to === 'model') return `answered by ${model}: ${why}`;
    if (to === 'plain') return `a last answer without tools: ${why}`;
    if (to === 'cached') return `the answer that ${agent} gave to the same task before: ${why}`;
    return `handed to a person: ${why}`;
  });
  return clip(said.join('; '), 512);
}

/** The agent as a model that it falls back on is asked: address and key of its own model are not for others. */
export function withModel<A extends { model: string; model_options?: unknown }>(agent: A, model: string): A {
  if (model === agent.model) return agent;
  const { model_options: _, ...rest } = agent;
  return { ...rest, model } as A;
}

export function wordsOfLink(link: FallbackTo): string {
  switch (link.to) {
    case 'model':
      return `the model ${link.model}`;
    case 'plain':
      return `a last answer without tools, by ${link.model}`;
    case 'cached':
      return `the answer of run ${link.run}`;
    case 'person':
      return `the queue ${link.queue} of people`;
  }
}
