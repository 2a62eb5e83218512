import type { ChartDefinition, ChartDetail, ChartEdge, ChartNode, Chip } from '../../chart.ts';

/**
 * What of a chart is drawn as lines. Some things would drown the rest and become chips, which light up as lines do:
 * transitions of the whole chart, those that stay where they are, one event that leads from many states to one, and one
 * that leads from one state to very many. What leads from several children of a compound to one place is drawn from the
 * compound, what leads to several of them to the compound. Lines with the same ends are one line. A compound of many
 * ends is one box with rows.
 */

/** From so many states on, to so many, and from or to so many children of one compound. */
const MANY_SOURCES = 4;
const MANY_TARGETS = 9;
const SIBLINGS = 3;
/** So many children without a transition of their own make a list. */
const MANY_ROWS = 5;

export interface DrawnEdge {
  id: string;
  source: string;
  target: string;
  members: string[];
  labels: { text: string; title: string }[];
}

export interface Simplified {
  nodes: ChartNode[];
  /** Children of the compounds that are lists. */
  lists: Map<string, ChartNode[]>;
  edges: DrawnEdge[];
  /** By state; the root's under the empty text. */
  chips: Map<string, Chip[]>;
}

export function simplify({ nodes, edges }: ChartDefinition, detail: ChartDetail): Simplified {
  const lists = detail === 'full' ? listsOf(nodes, edges) : outlineOf(nodes);
  const inList = placesOf(nodes, lists);
  const place = (id: string) => inList.get(id) ?? id;
  const chips = new Map<string, Chip[]>();
  const addChip = (id: string, text: string, members: ChartEdge[]) => {
    const ids = members.map((edge) => edge.id);
    const title = members.map(describe).slice(0, 24).join('\n');
    chips.set(id, [...(chips.get(id) ?? []), { text, title, members: ids }]);
  };

  const anywhere = edges.filter(({ source }) => source === '');
  for (const [event, members] of grouped(anywhere, (edge) => edge.event)) addChip('', event, members);
  const isWithin = ({ source, target }: ChartEdge) =>
    source !== '' && (target === null || (lists.has(place(source)) && place(source) === place(target)));
  const staying = edges.filter(isWithin);
  for (const [at, members] of grouped(staying, (edge) => place(edge.source))) {
    addChip(at, STAYS, members);
  }

  let left = edges.filter((edge) => edge.source !== '' && edge.target !== null && !isWithin(edge));
  const bundle = (key: (edge: ChartEdge) => string, isMany: (edges: ChartEdge[]) => boolean, tell: typeof tellInto) => {
    const open = detail === 'outline' ? [] : left.filter(({ kind }) => kind !== 'always');
    const bundles = [...grouped(open, key).values()].filter(isMany);
    for (const together of grouped(
      bundles,
      (members) => `${tell(members).at}\n${members.map(endsOf).join()}`,
    ).values()) {
      const members = together.flat();
      const { at, text } = tell(members);
      addChip(place(at), text, members);
      left = left.filter((edge) => !members.includes(edge));
    }
  };
  bundle(
    ({ event, source }) => `${event}\n${source}`,
    (members) => countTargets(members) >= MANY_TARGETS,
    tellOut,
  );
  bundle(
    ({ event, target }) => `${event}\n${target}`,
    (members) =>
      new Set(members.map(({ source }) => parentOf(source))).size > 1 && countSources(members) >= MANY_SOURCES,
    tellInto,
  );

  const ends = new Map(left.map((edge) => [edge, { source: place(edge.source), target: place(edge.target ?? '') }]));
  const lift = (side: 'source' | 'target') => {
    const other = side === 'source' ? 'target' : 'source';
    const family = (edge: ChartEdge) => parentOf(ends.get(edge)?.[side] ?? '');
    const bundles = grouped(left, (edge) => `${edge.event}\n${ends.get(edge)?.[other]}\n${family(edge)}`);
    for (const members of bundles.values()) {
      const parent = family(members[0] as ChartEdge);
      const fixed = ends.get(members[0] as ChartEdge)?.[other] ?? '';
      const places = new Set(members.map((edge) => ends.get(edge)?.[side]));
      if (parent === '' || `${fixed}.`.startsWith(`${parent}.`) || places.size < SIBLINGS) continue;
      for (const edge of members) (ends.get(edge) as { source: string; target: string })[side] = parent;
    }
  };
  lift('source');
  lift('target');

  const drawn = [...grouped(left, (edge) => `${ends.get(edge)?.source}\n${ends.get(edge)?.target}`).values()].map(
    (members): DrawnEdge => {
      const { source, target } = ends.get(members[0] as ChartEdge) ?? { source: '', target: '' };
      const ids = members.map(({ id }) => id);
      return { id: ids[0] ?? '', source, target, members: ids, labels: labelsOf(members, detail) };
    },
  );
  return { nodes: nodes.filter(({ id }) => !inList.has(id)), lists, edges: drawn, chips };
}

function parentOf(id: string): string {
  return id.slice(0, Math.max(0, id.lastIndexOf('.')));
}

const endsOf = ({ source, target }: ChartEdge) => `${source}>${target}`;
const countSources = (edges: ChartEdge[]) => new Set(edges.map(({ source }) => source)).size;
const countTargets = (edges: ChartEdge[]) => new Set(edges.map(({ target }) => target)).size;
const eventsOf = (edges: ChartEdge[]) => [...new Set(edges.map(({ event }) => event))].join(', ');

function tellInto(edges: ChartEdge[]): { at: string; text: string } {
  return { at: edges[0]?.target ?? '', text: `${eventsOf(edges)} from ${countSources(edges)} states` };
}

function tellOut(edges: ChartEdge[]): { at: string; text: string } {
  return { at: edges[0]?.source ?? '', text: `${eventsOf(edges)} to one of ${countTargets(edges)}` };
}

/** Every state at the top with what is below it, to any depth. */
function outlineOf(nodes: ChartNode[]): Map<string, ChartNode[]> {
  const tops = nodes.filter(({ parent, kind }) => parent === '' && (kind === 'compound' || kind === 'parallel'));
  return new Map(tops.map(({ id }) => [id, nodes.filter(({ parent }) => parent === id)]));
}

/** The list that a state stands in, or lies below a row of. */
function placesOf(nodes: ChartNode[], lists: Map<string, ChartNode[]>): Map<string, string> {
  const places = new Map<string, string>();
  for (const list of lists.keys()) {
    for (const { id } of nodes) if (id.startsWith(`${list}.`)) places.set(id, list);
  }
  return places;
}

function listsOf(nodes: ChartNode[], edges: ChartEdge[]): Map<string, ChartNode[]> {
  const leaving = new Set(edges.map(({ source }) => source));
  const found = new Map<string, ChartNode[]>();
  for (const node of nodes) {
    if (node.kind !== 'compound' || node.parent === null) continue;
    const children = nodes.filter(({ parent }) => parent === node.id);
    const plain = children.every(({ id, kind }) => ['final', 'atomic'].includes(kind) && !leaving.has(id));
    if (plain && children.length >= MANY_ROWS) found.set(node.id, children);
  }
  return found;
}

/** Two labels at most: what is more stands in the title of the last. */
function labelsOf(members: ChartEdge[], detail: ChartDetail): DrawnEdge['labels'] {
  const always = members.filter(({ kind }) => kind === 'always');
  if (always.length === members.length && (detail === 'outline' || always.length > 2)) {
    return [
      { text: detail === 'outline' ? 'always' : `[one of ${always.length}]`, title: always.map(describe).join('\n') },
    ];
  }
  const eventOnly =
    detail === 'outline' || (members.length > 2 && new Set(members.map(({ event }) => event)).size === 1);
  const byEvent = [...grouped(members, eventOnly ? ({ event }) => event || 'always' : labelOf)];
  const labels = byEvent.map(([text, edges]) => ({ text, title: edges.map(describe).join('\n') }));
  if (labels.length <= 2) return labels;
  const rest = labels.slice(1);
  return [...labels.slice(0, 1), { text: `+${rest.length} more`, title: rest.map(({ title }) => title).join('\n') }];
}

/** The chip of transitions that stay where they are: it stands beside the name. */
export const STAYS = '↺';

const MAX_LABEL = 30;

function labelOf(edge: ChartEdge): string {
  const text = edge.kind === 'always' ? `[${edge.guard ?? 'always'}]` : `${edge.event}${edge.choice}`;
  return text.length <= MAX_LABEL ? text : `${text.slice(0, MAX_LABEL - 1)}…`;
}

export function describe({ source, target, kind, event, guard, actions }: ChartEdge): string {
  const when = [kind === 'always' ? 'always' : event, guard === null ? '' : `if ${guard}`].filter(Boolean).join(' ');
  const where = target === null ? `stays in ${source || 'any state'}` : `${source || 'any state'} → ${target}`;
  return `${when}: ${where}${actions.length === 0 ? '' : `; does ${actions.join(', ')}`}`;
}

function grouped<T>(items: T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group === undefined) groups.set(key(item), [item]);
    else group.push(item);
  }
  return groups;
}
