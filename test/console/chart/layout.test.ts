import { beforeAll, describe, expect, it } from 'vitest';
import { agentRunMachine } from '../../../machines/agent-run/machine.ts';
import type { Box, ChartDetail, ChartLayout, PlacedNode } from '../../../src/console/chart.ts';
import { layoutChart } from '../../../src/console/gateway/chart/layout.ts';
import { mermaidOf } from '../../../src/console/gateway/chart/mermaid.ts';
import { svgOf } from '../../../src/console/gateway/chart/svg.ts';
import { Charts } from '../../../src/console/gateway/charts.ts';
import { extract } from '../../../src/runtime/extract-chart.ts';
import { largeMachine } from './machines.ts';

/** Charts are judged by their geometry: what is placed, and that nothing lies on anything else. */

const MACHINES = { 'a large machine of a user': largeMachine(), 'the agent run': agentRunMachine };
const WAYS = [
  ['DOWN', 'full'],
  ['RIGHT', 'full'],
  ['DOWN', 'outline'],
  ['RIGHT', 'outline'],
] as const;

function overlap(a: Box, b: Box): boolean {
  // What only touches does not overlap.
  const [ox, oy] = [
    Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x),
    Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y),
  ];
  return ox > 0.5 && oy > 0.5;
}

function inside(a: Box, b: Box): boolean {
  return a.x >= b.x && a.y >= b.y && a.x + a.width <= b.x + b.width && a.y + a.height <= b.y + b.height;
}

/** Pairs of texts, or of a text and a state, that lie on each other. */
function clashes({ nodes, edges }: ChartLayout): string[] {
  const parents = new Set(nodes.flatMap(({ id }) => (id.includes('.') ? [id.slice(0, id.lastIndexOf('.'))] : [])));
  const leaves = nodes.filter(({ id }) => !parents.has(id) || nodes.every((other) => !other.id.startsWith(`${id}.`)));
  const labels = edges.flatMap(({ id, labels }) =>
    labels.map((label, index) => ({ name: `label ${index} of ${id} (${label.text})`, box: label })),
  );
  const heads = nodes.map((node) => ({ name: `name of ${node.id}`, box: headOf(node) }));
  const texts = [...labels, ...heads];
  const found: string[] = [];
  texts.forEach((a, index) => {
    for (const b of texts.slice(index + 1)) if (overlap(a.box, b.box)) found.push(`${a.name} on ${b.name}`);
  });
  for (const { name, box } of labels) {
    for (const node of leaves) if (overlap(box, node)) found.push(`${name} on state ${node.id}`);
  }
  leaves.forEach((a, index) => {
    for (const b of leaves.slice(index + 1)) if (overlap(a, b)) found.push(`state ${a.id} on state ${b.id}`);
  });
  return found;
}

function headOf({ x, y, width, name, kind }: PlacedNode): Box {
  const inner = kind === 'compound' || kind === 'parallel' || kind === 'list';
  const size = Math.min(width, name.length * 7.4);
  return { x: inner ? x + 12 : x + (width - size) / 2, y: y + 7, width: size, height: 14 };
}

describe.each(Object.entries(MACHINES))('%s', (_name, machine) => {
  const { definition } = extract(machine);
  const layouts = new Map<string, ChartLayout>();

  beforeAll(async () => {
    for (const [direction, detail] of WAYS)
      layouts.set(`${direction} ${detail}`, await layoutChart(definition, direction, detail));
  });

  it.each(WAYS)('%s %s has no text on a text and none on a state', (direction, detail) => {
    const layout = layouts.get(`${direction} ${detail}`) as ChartLayout;
    expect(layout.edges.length).toBeGreaterThan(5);
    expect(clashes(layout)).toEqual([]);
  });

  it.each(WAYS)('%s %s places every state and every transition', (direction, detail: ChartDetail) => {
    const layout = layouts.get(`${direction} ${detail}`) as ChartLayout;
    const page: Box = { x: 0, y: 0, width: layout.width, height: layout.height };
    const places = layout.nodes.flatMap((node) => [
      { id: node.id, box: node as Box },
      ...node.rows.map((row) => ({ id: row.id, box: row as Box })),
    ]);
    for (const { id, box } of places) expect(inside(box, page), id).toBe(true);
    const shown = places.map(({ id }) => id);
    const wanted = definition.nodes
      .filter(({ id }) => id !== '' && (detail === 'full' || id.split('.').length <= 2))
      .map(({ id }) => id);
    expect(wanted.filter((id) => !shown.includes(id))).toEqual([]);
    const chips = [...layout.root, ...layout.nodes.flatMap((node) => node.chips)];
    const drawn = new Set([...layout.edges, ...chips].flatMap(({ members }) => members));
    expect(definition.edges.filter(({ id }) => !drawn.has(id)).map(({ id }) => id)).toEqual([]);
    for (const { points, id } of layout.edges) expect(points.length, id).toBeGreaterThan(1);
  });

  it('puts children inside their parents', () => {
    const { nodes } = layouts.get('DOWN full') as ChartLayout;
    const byId = new Map(nodes.map((node) => [node.id, node]));
    const pairs = nodes.flatMap((node) => {
      const parent = byId.get(node.id.slice(0, Math.max(0, node.id.lastIndexOf('.'))));
      return parent === undefined ? [] : [{ node, parent }];
    });
    expect(pairs.length).toBeGreaterThan(10);
    for (const { node, parent } of pairs) expect(inside(node, parent), node.id).toBe(true);
  });

  it('is complete as Mermaid and as a picture', () => {
    const mermaid = mermaidOf(definition);
    expect(mermaid.match(/^ *state "/gm)).toHaveLength(definition.nodes.length - 1);
    const arrows = mermaid.match(/-->/g)?.length ?? 0;
    expect(arrows).toBeGreaterThanOrEqual(definition.edges.length);
    const svg = svgOf(layouts.get('DOWN full') as ChartLayout, ['idle.accepted']);
    expect(svg.match(/class="line"/g)?.length).toBeGreaterThan(10);
    expect(svg).not.toContain('undefined');
  });
});

describe('charts', () => {
  it('of 60 states and more are what is tested', () => {
    const { nodes, edges } = extract(largeMachine()).definition;
    expect(nodes.length - 1).toBeGreaterThanOrEqual(60);
    expect(nodes.filter(({ kind }) => kind === 'history').length).toBeGreaterThan(3);
    expect(nodes.filter(({ kind }) => kind === 'parallel')).toHaveLength(1);
    expect(edges.filter(({ source, target }) => source === target).length).toBeGreaterThan(3);
  });

  it('are laid out once for each way', async () => {
    const charts = new Charts();
    const { definition } = extract(largeMachine());
    const hash = charts.add(definition);
    expect(charts.add(extract(largeMachine()).definition)).toBe(hash);
    expect(await charts.layout(hash, 'DOWN', 'full')).toBe(await charts.layout(hash, 'DOWN', 'full'));
    await expect(charts.layout('nothing', 'DOWN', 'full')).rejects.toMatchObject({ code: 'unknown_chart' });
  });

  it('that were told of longest ago are forgotten, but for those that are always there', () => {
    const charts = new Charts();
    const own = charts.add(extract(agentRunMachine).definition, 'lasting');
    const others = Array.from({ length: 150 }, (_, n) => charts.add({ name: `m${n}`, nodes: [], edges: [] }));
    expect(charts.definition(own).name).toBe(agentRunMachine.id);
    expect(charts.definition(others.at(-1) ?? '').name).toBe('m149');
    expect(() => charts.definition(others[0] ?? '')).toThrow(/no chart of that hash/);
  });
});
