import type { ChartDefinition, ChartEdge, ChartNode } from '../core/chart-wire.ts';

/** A state chart as the gateway describes and lays it out, and as the page draws it. Coordinates are pixels. */

export type { ChartDefinition, ChartEdge, ChartNode };

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
  kind: ChartNode['kind'] | 'list';
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
