import { z } from 'zod';

/** A state chart as data: what whoever runs the machine tells, and what is laid out and drawn. Part of `inspect-wire.ts`. */

/** States and transitions of a chart that can be told: a larger one cannot be laid out while somebody waits. */
export const MAX_CHART_NODES = 300;
export const MAX_CHART_EDGES = 1_500;

const Id = z.string().max(512);
const Word = z.string().max(256);
const Words = z.array(Word).max(64);

const ChartNode = z.object({
  /** Path from the root, dotted; the root is the empty text. */
  id: Id,
  name: Word,
  kind: z.enum(['atomic', 'compound', 'parallel', 'final', 'history']),
  /** Null for the root. */
  parent: Id.nullable(),
  description: z.string().max(1_024),
  /** Child that is entered first. */
  initial: Id.nullable(),
  deep: z.boolean(),
  entry: Words,
  exit: Words,
  invokes: Words,
});
export type ChartNode = z.infer<typeof ChartNode>;

/** One transition; several targets make several edges of one transition. */
const ChartEdge = z.object({
  id: Id,
  source: Id,
  /** Null: it stays where it is. */
  target: Id.nullable(),
  kind: z.enum(['event', 'always', 'after', 'done', 'error']),
  /** What a person reads: `pause`, `after 30 s`, `done: fetch`; empty for `always`. */
  event: Word,
  guard: Word.nullable(),
  /** What tells it from others on the same event, as ` · tool_call`; empty when the event alone does. */
  choice: Word,
  actions: Words,
  /** Order among the transitions of its source. */
  order: z.int(),
});
export type ChartEdge = z.infer<typeof ChartEdge>;

export const ChartDefinition = z.object({
  name: Word,
  nodes: z.array(ChartNode).max(MAX_CHART_NODES),
  edges: z.array(ChartEdge).max(MAX_CHART_EDGES),
});
export type ChartDefinition = z.infer<typeof ChartDefinition>;
