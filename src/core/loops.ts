import { z } from 'zod';
import { Anomalies } from './anomalies.ts';

/**
 * Loop detection (SUP-4) as it is written down: thresholds in an agent's definition, verdicts in the journal, and what
 * the detector remembers of a run in its snapshot.
 */

export const LoopRule = z.enum([
  /** The same calls with the same results, alone or in a cycle of up to five steps. */
  'repeat',
  /** A tool fails in the same way, whatever it is given. */
  'error',
  /** New calls of a tool that reads, and always the same result. */
  'no_progress',
  /** A tool is called for nearly the same reason, or with nearly the same arguments and the same result. */
  'similar',
  /** An agent is given what it has given away itself. */
  'delegation',
  /** Few tools among the last calls: off unless an agent asks for it. */
  'few_tools',
]);
export type LoopRule = z.infer<typeof LoopRule>;

/** What is done about a loop, from the mildest on: said, told to the model, put to a person, ended. */
export const LOOP_RUNGS = ['warn', 'nudge', 'ask', 'stop'] as const;
export const LoopRung = z.enum(LOOP_RUNGS);
export type LoopRung = z.infer<typeof LoopRung>;

/** Longest cycle that is looked for, steps. */
export const MAX_PERIOD = 5;

const Count = z.int().min(2).max(1_000).nullable();
type Count = z.infer<typeof Count>;

/** How often it must have happened for each rung; null: the rung is never reached. */
export type Ladder = Record<LoopRung, Count>;

function ladder({ warn, nudge, ask, stop }: Ladder) {
  return z
    .strictObject({
      warn: Count.default(warn),
      nudge: Count.default(nudge),
      ask: Count.default(ask),
      stop: Count.default(stop),
    })
    .check((ctx) => {
      let below: { rung: LoopRung; at: number } | null = null;
      for (const rung of LOOP_RUNGS) {
        const at = ctx.value[rung];
        if (at === null) continue;
        if (below !== null && at < below.at) {
          const message = `expected at least ${below.at}, which ${below.rung} has: a loop climbs ${LOOP_RUNGS.join(', ')}`;
          ctx.issues.push({ code: 'custom', input: at, path: [rung], message });
        }
        below = { rung, at };
      }
    })
    .prefault({});
}

/** Thresholds of loop detection; the defaults are measured on recorded runs (docs/loops.md). */
export const LoopSettings = z.strictObject({
  /** False: nothing is looked for in runs of this agent. */
  detect: z.boolean().default(true),
  repeat: ladder({ warn: 3, nudge: 4, ask: 5, stop: 6 }),
  error: ladder({ warn: 5, nudge: 6, ask: 8, stop: 10 }),
  no_progress: ladder({ warn: 6, nudge: 7, ask: 9, stop: 12 }),
  similar: ladder({ warn: 3, nudge: 6, ask: null, stop: null }),
  delegation: ladder({ warn: 2, nudge: 3, ask: null, stop: null }),
  /** Warns when fewer than 3 tools are among the last 10 calls, of 5 or more. */
  few_tools: z.boolean().default(false),
});
export type LoopSettings = z.infer<typeof LoopSettings>;

export const DEFAULT_LOOP_SETTINGS: LoopSettings = LoopSettings.parse({});

/** Longest name of what is called: a tool, `agent:<name>` or `person`. */
const Callee = z.string().max(80);

/** What detection says of a run and by which rule: it stands in the entry of the decision that it is about. */
export const LoopVerdict = z.strictObject({
  rung: LoopRung,
  rule: LoopRule,
  /** How often it has happened. */
  count: z.int().min(1),
  /** Steps of one round; only for `repeat`. */
  period: z.int().min(1).max(MAX_PERIOD).optional(),
  callee: Callee,
});
export type LoopVerdict = z.infer<typeof LoopVerdict>;

const Names = z.array(z.string().min(1).max(128)).max(32);

/** What differs from call to call of a tool and says nothing. */
export const Volatile = z.strictObject({
  /** Names of arguments, at any depth. */
  arguments: Names.optional(),
  /** Names of fields of the result, at any depth; true: all of it, as with pages that are never twice the same. */
  result: z.union([z.literal(true), Names]).optional(),
});
export type Volatile = z.infer<typeof Volatile>;

/** A fingerprint: equal values have equal ones. */
const Print = z.number();
/** Fingerprints of words. */
const Words = z.array(z.int()).max(64);

const Cycle = z.strictObject({
  /** The last steps, newest first: what was asked for, and that together with what came of it. */
  asked: z.array(Print).max(MAX_PERIOD),
  steps: z.array(Print).max(MAX_PERIOD),
  /** For each period from 1 on: how many steps in a row were like the one a period before. */
  runs: z.array(z.int()).length(MAX_PERIOD),
});
export type Cycle = z.infer<typeof Cycle>;

const OpenCall = z.strictObject({
  tool: Print,
  asked: Print,
  volatile: Volatile.shape.result,
  /** What came of it; null while nothing has. */
  got: Print.nullable(),
  /** The failure, when it failed. */
  failure: Print.optional(),
});

/** What the detector remembers of a run: bounded, however long that is. */
export const LoopState = z.strictObject({
  v: z.literal(1),
  /** The step whose calls are under way. */
  open: z
    .strictObject({
      entry: z.int(),
      callee: Callee,
      calls: z.array(OpenCall).max(64),
      /** It carries out a step of the plan in force. */
      planned: z.boolean(),
      /** All its calls only read, and are no such steps. */
      reads: z.boolean(),
      /** A call was not made as it goes on with a loop, or no person allowed it: nothing was learnt of it. */
      barred: z.boolean(),
      reasoning: Words,
      args: Words,
    })
    .nullable(),
  acts: Cycle,
  /** Decisions without an act, since the last one. */
  thoughts: Cycle,
  /** The last finished step: its tools, what it got, the words of its reasoning and its arguments. */
  last: z.strictObject({ callee: Callee, tools: Print, got: Print, reasoning: Words, args: Words }),
  error: z.strictObject({ of: Print, count: z.int() }),
  /** Steps in a row with the same tools and results; and those that were nearly the same. */
  same: z.int(),
  similar: z.int(),
  /** Tools of the last calls, newest last. */
  tools: z.array(Print).max(10),
  /** What was last said of the run. */
  said: z.strictObject({ loop: LoopVerdict.optional(), anomalies: Anomalies.optional() }),
});
export type LoopState = z.infer<typeof LoopState>;
