import { createHash } from 'node:crypto';
import ELK, { type ElkExtendedEdge, type ElkNode, type LayoutOptions } from 'elkjs/lib/elk.bundled.js';
import type { Box, ChartDefinition, ChartDetail, ChartLayout, Chip, PlacedNode, Point } from '../../chart.ts';
import { type DrawnEdge, type Simplified, STAYS, simplify } from './simplify.ts';

/**
 * Places a chart with ELK, on the server: the page only draws. Options do not inherit in ELK, so every compound gets
 * them; the choice of cycle breaking and the absence of a model order steer around a fault of elkjs 0.9 to 0.12.
 */

/** Width of a character of the page's chart fonts, generous, so that a text never leaves its box. */
const CHAR = { name: 7.4, label: 6.3, chip: 6 };
const LABEL_HEIGHT = 15;
export const NODE_HEIGHT = 30;
const CHIP_HEIGHT = 18;
const ROW_HEIGHT = 20;
const ROW_GAP = 5;
const HEAD = 28;
const PAD = 12;
const CORNER = 22;

type Direction = ChartLayout['direction'];

const elk = new (ELK as unknown as typeof ELK.default)();

export function hashOf(definition: ChartDefinition): string {
  return createHash('sha256').update(JSON.stringify(definition)).digest('hex').slice(0, 32);
}

/** Throws what ELK throws when none of its ways leads to a layout. */
export async function layoutChart(
  definition: ChartDefinition,
  direction: Direction,
  detail: ChartDetail,
): Promise<ChartLayout> {
  const simple = simplify(definition, detail);
  const graph = (breaking: string) => elkGraph(simple, direction, breaking);
  const placed = await elk.layout(graph('DEPTH_FIRST')).catch(() => elk.layout(graph('GREEDY')));
  return { ...readLayout(placed, simple, definition, direction), detail };
}

function options(direction: Direction, breaking: string, top: number): LayoutOptions {
  return {
    'elk.algorithm': 'layered',
    'elk.direction': direction,
    'elk.hierarchyHandling': 'INCLUDE_CHILDREN',
    'elk.json.shapeCoords': 'ROOT',
    'elk.json.edgeCoords': 'ROOT',
    'elk.edgeRouting': 'ORTHOGONAL',
    'elk.padding': `[top=${top},left=${PAD + 2},bottom=${PAD + 2},right=${PAD + 2}]`,
    'elk.spacing.nodeNode': '18',
    'elk.spacing.edgeNode': '10',
    'elk.spacing.edgeEdge': '8',
    'elk.spacing.edgeLabel': '4',
    'elk.spacing.labelLabel': '2',
    'elk.spacing.labelNode': '6',
    'elk.spacing.nodeSelfLoop': '12',
    'elk.spacing.componentComponent': '24',
    'elk.layered.spacing.nodeNodeBetweenLayers': '20',
    'elk.layered.spacing.edgeNodeBetweenLayers': '9',
    'elk.layered.spacing.edgeEdgeBetweenLayers': '7',
    'elk.layered.considerModelOrder.strategy': 'NONE',
    'elk.layered.cycleBreaking.strategy': breaking,
    'elk.layered.nodePlacement.strategy': 'BRANDES_KOEPF',
    'elk.layered.nodePlacement.bk.fixedAlignment': 'BALANCED',
    'elk.layered.edgeLabels.sideSelection': 'SMART_DOWN',
    'elk.layered.thoroughness': '4',
    'elk.edgeLabels.inline': 'true',
  };
}

function elkGraph(simple: Simplified, direction: Direction, breaking: string): ElkNode {
  const { nodes, lists, edges, chips } = simple;
  const starts: ElkExtendedEdge[] = [];
  const build = (id: string): ElkNode => {
    const node = nodes.find((one) => one.id === id);
    if (node === undefined) throw new RangeError(`no state ${id}`);
    const own = chips.get(id) ?? [];
    const rows = lists.get(id);
    if (rows !== undefined) {
      const { width, height } = flow(
        rows.map(({ name }) => rowWidth(name)),
        listWidth(rows),
        ROW_HEIGHT,
      );
      const chipsSize = stacked(own);
      return {
        id: named(id),
        width: Math.max(width, chipsSize.width) + 2 * PAD,
        height: HEAD + height + chipsSize.height + PAD,
      };
    }
    const children = nodes.filter(({ parent }) => parent === id);
    if (children.length === 0) return { id: named(id), ...leafSize(node.name, node.kind, own) };
    const inner = children.map((child) => build(child.id));
    if (node.initial !== null && children.some((child) => child.id === node.initial)) {
      const dot = `start:${id}`;
      inner.unshift({ id: dot, width: 8, height: 8 });
      starts.push({ id: `begin:${id}`, sources: [dot], targets: [named(node.initial)] });
    }
    const chipsSize = stacked(own);
    const top = id === '' ? PAD : HEAD + chipsSize.height + 6;
    const least = Math.max(node.name.length * CHAR.name + 40, chipsSize.width + 2 * PAD);
    return {
      id: named(id),
      children: inner,
      layoutOptions: {
        ...options(direction, breaking, top),
        'elk.nodeSize.constraints': 'MINIMUM_SIZE',
        'elk.nodeSize.minimum': `(${Math.ceil(least)},${top + 30})`,
      },
    };
  };
  const root = build('');
  return { ...root, edges: [...starts, ...edges.map(elkEdge)] };
}

function elkEdge({ id, source, target, labels }: DrawnEdge): ElkExtendedEdge {
  const width = Math.max(0, ...labels.map(({ text }) => labelWidth(text)));
  return {
    id,
    sources: [named(source)],
    targets: [named(target)],
    // One box for all of them: they stay together.
    labels: width === 0 ? [] : [{ text: id, width, height: labels.length * LABEL_HEIGHT }],
  };
}

const named = (id: string) => `state:${id}`;
const labelWidth = (text: string) => Math.ceil(text.length * CHAR.label) + 8;
const chipWidth = (text: string) => Math.ceil(text.length * CHAR.chip) + 14;
const rowWidth = (text: string) => Math.ceil(text.length * CHAR.label) + 14;

function leafSize(name: string, kind: string, chips: Chip[]): { width: number; height: number } {
  if (kind === 'history') return { width: 26, height: 26 };
  const { width, height } = stacked(chips);
  const corner = chips.some(({ text }) => text === STAYS) ? CORNER : 0;
  return {
    width: Math.max(Math.ceil(name.length * CHAR.name) + 28 + corner, width + 2 * PAD, 64),
    height: NODE_HEIGHT + (height === 0 ? 0 : height + 4),
  };
}

/** The chips below the name. */
function stacked(chips: Chip[]): { width: number; height: number } {
  const below = chips.filter(({ text }) => text !== STAYS);
  return {
    width: Math.max(0, ...below.map(({ text }) => chipWidth(text))),
    height: below.length * (CHIP_HEIGHT + 3),
  };
}

function placeChips(chips: Chip[], { x, y, width }: Box, below: number): PlacedNode['chips'] {
  let line = 0;
  return chips.map((chip) => {
    if (chip.text === STAYS)
      return { ...chip, x: x + width - CORNER, y: y + 5, width: CORNER - 4, height: CHIP_HEIGHT };
    const at = y + below + line++ * (CHIP_HEIGHT + 3);
    return { ...chip, x: x + PAD, y: at, width: chipWidth(chip.text), height: CHIP_HEIGHT };
  });
}

/** So that a list is about twice as wide as it is high. */
function listWidth(rows: { name: string }[]): number {
  const area = rows.reduce((sum, { name }) => sum + (rowWidth(name) + ROW_GAP) * (ROW_HEIGHT + ROW_GAP), 0);
  return Math.max(180, Math.sqrt(area * 2.4));
}

/** Items in lines of a width, each with its place. */
function flow(widths: number[], max: number, lineHeight: number) {
  const places: Point[] = [];
  let [x, y, width] = [0, 0, 0];
  for (const one of widths) {
    if (x > 0 && x + one > max) [x, y] = [0, y + lineHeight + ROW_GAP];
    places.push({ x, y });
    x += one + ROW_GAP;
    width = Math.max(width, x - ROW_GAP);
  }
  return { places, width, height: widths.length === 0 ? 0 : y + lineHeight };
}

function readLayout(
  placed: ElkNode,
  { nodes, lists, edges, chips }: Simplified,
  definition: ChartDefinition,
  direction: Direction,
): Omit<ChartLayout, 'detail'> {
  const found = new Map<string, ElkNode & { depth: number }>();
  const walk = (node: ElkNode, depth: number) => {
    found.set(node.id, { ...node, depth });
    for (const child of node.children ?? []) walk(child, depth + 1);
  };
  walk(placed, -1);
  const lines = new Map((placed.edges ?? []).map((edge) => [edge.id, edge]));
  const placedNodes = nodes.flatMap((node): PlacedNode[] => {
    const at = found.get(named(node.id));
    if (at === undefined || node.id === '') return [];
    const { x = 0, y = 0, width = 0, height = 0, depth } = at;
    const rows = lists.get(node.id);
    const own = chips.get(node.id) ?? [];
    const below = node.kind === 'compound' || node.kind === 'parallel' ? HEAD - 2 : NODE_HEIGHT - 3;
    const after = stacked(own).height;
    const cells = flow(
      (rows ?? []).map(({ name }) => rowWidth(name)),
      listWidth(rows ?? []),
      ROW_HEIGHT,
    );
    return [
      {
        ...{ id: node.id, name: node.name, description: node.description, deep: node.deep, depth, x, y, width, height },
        kind: rows === undefined ? node.kind : 'list',
        chips: placeChips(own, { x, y, width, height }, below),
        rows: (rows ?? []).map(({ id, name }, index) => ({
          id,
          name,
          x: x + PAD + (cells.places[index]?.x ?? 0),
          y: y + HEAD + after + (cells.places[index]?.y ?? 0),
          width: rowWidth(name),
          height: ROW_HEIGHT,
        })),
      },
    ];
  });
  return {
    hash: hashOf(definition),
    name: definition.name,
    direction,
    width: Math.ceil(placed.width ?? 0),
    height: Math.ceil(placed.height ?? 0),
    root: chips.get('') ?? [],
    nodes: placedNodes,
    edges: edges.map(({ id, source, target, members, labels }) => {
      const line = lines.get(id);
      const box = line?.labels?.[0];
      const { x = 0, y = 0, width = 0 } = box ?? {};
      return {
        ...{ id, source, target, members, points: pointsOf(line) },
        labels: labels.map((label, index) => ({
          ...label,
          x: x + (width - labelWidth(label.text)) / 2,
          y: y + index * LABEL_HEIGHT,
          width: labelWidth(label.text),
          height: LABEL_HEIGHT,
        })),
      };
    }),
    starts: nodes.flatMap(({ id }) => {
      const dot = found.get(`start:${id}`);
      if (dot === undefined) return [];
      return [{ at: { x: (dot.x ?? 0) + 4, y: (dot.y ?? 0) + 4 }, points: pointsOf(lines.get(`begin:${id}`)) }];
    }),
  };
}

function pointsOf(edge: ElkExtendedEdge | undefined): Point[] {
  return (edge?.sections ?? []).flatMap(({ startPoint, bendPoints = [], endPoint }) => [
    startPoint,
    ...bendPoints,
    endPoint,
  ]);
}
