/** A state chart as the gateway describes and lays it out, and as the page draws it. Coordinates are pixels. */

export type NodeKind = 'atomic' | 'compound' | 'parallel' | 'final' | 'history';

export interface ChartNode {
  /** Path from the root, dotted; the root is the empty text. */
  id: string;
  name: string;
  kind: NodeKind;
  /** Null for the root. */
  parent: string | null;
  description: string;
  /** Child that is entered first. */
  initial: string | null;
  deep: boolean;
  entry: string[];
  exit: string[];
  invokes: string[];
}

/** One transition; several targets make several edges of one transition. */
export interface ChartEdge {
  id: string;
  source: string;
  /** Null: it stays where it is. */
  target: string | null;
  kind: 'event' | 'always' | 'after' | 'done' | 'error';
  /** What a person reads: `pause`, `after 30 s`, `done: fetch`; empty for `always`. */
  event: string;
  guard: string | null;
  /** What tells it from others on the same event, as ` · tool_call`; empty when the event alone does. */
  choice: string;
  actions: string[];
  /** Order among the transitions of its source. */
  order: number;
}

export interface ChartDefinition {
  name: string;
  nodes: ChartNode[];
  edges: ChartEdge[];
}

export interface Point {
  x: number;
  y: number;
}

export interface Box extends Point {
  width: number;
  height: number;
}

/** Transitions that are not drawn as lines: many of one kind would hide the rest. */
export interface Chip {
  text: string;
  title: string;
  /** The edges that it stands for. */
  members: string[];
}

export interface PlacedNode extends Box {
  id: string;
  name: string;
  kind: NodeKind | 'list';
  description: string;
  deep: boolean;
  depth: number;
  chips: (Chip & Box)[];
  /** Of a list: the states in it, which have no lines of their own. */
  rows: (Box & { id: string; name: string })[];
}

export interface PlacedEdge {
  id: string;
  source: string;
  target: string;
  members: string[];
  points: Point[];
  labels: (Box & { text: string; title: string })[];
}

/** `outline`: what is below the states at the top stands in them as rows. */
export type ChartDetail = 'outline' | 'full';

export interface ChartLayout {
  /** Of the definition: the same chart has the same hash everywhere. */
  hash: string;
  name: string;
  direction: 'DOWN' | 'RIGHT';
  detail: ChartDetail;
  width: number;
  height: number;
  /** Transitions of the whole chart. */
  root: Chip[];
  nodes: PlacedNode[];
  edges: PlacedEdge[];
  /** Where a chart or a compound begins: a dot and the way from it. */
  starts: { at: Point; points: Point[] }[];
}
