import { memo, type PointerEvent, useEffect, useMemo, useRef, useState } from 'react';
import type { Box, ChartDetail, ChartLayout, PlacedEdge, PlacedNode, Point } from '../../chart.ts';
import { useGet, useMedia } from '../lib/use.ts';
import { FaultBox, Loading } from '../ui/bits.tsx';

/**
 * The state chart: where the run stands is unmistakable, the last transition is traced, the rest is quiet. The gateway
 * laid it out; here it is drawn, and moved about.
 */

interface View extends Point {
  scale: number;
}

const WAYS: Record<string, Point> = {
  ArrowLeft: { x: 40, y: 0 },
  ArrowRight: { x: -40, y: 0 },
  ArrowUp: { x: 0, y: 40 },
  ArrowDown: { x: 0, y: -40 },
};

export interface ChartProps {
  hash: string;
  detail: ChartDetail;
  /** Dotted paths of the innermost active states: several of a chart with parallel states. */
  active: string[];
  /** Edges taken last, and the entry that took them. */
  via: string[];
  entry: number;
}

type IsActive = (id: string) => boolean;

export function Chart({ hash, detail, active, via, entry }: ChartProps) {
  const narrow = useMedia('(max-width: 720px)');
  const direction = detail === 'outline' && !narrow ? 'RIGHT' : 'DOWN';
  const { data, fault, reload } = useGet<ChartLayout>(`/api/charts/${hash}?direction=${direction}&detail=${detail}`);
  if (fault !== null) return <FaultBox fault={fault} retry={reload} />;
  if (data === null) return <Loading what="the chart" />;
  return <Drawn key={`${direction}${detail}`} layout={data} active={active} via={via} entry={entry} />;
}

function Drawn({ layout, active, via, entry }: { layout: ChartLayout } & Pick<ChartProps, 'active' | 'via' | 'entry'>) {
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState<View | null>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  const grip = useRef<Point | null>(null);
  const touched = useRef(false);
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const observer = new ResizeObserver(() => setSize({ width: element.clientWidth, height: element.clientHeight }));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const state = active.join(', ');
  const isActive = useMemo(() => activeIn(state), [state]);
  const target = useMemo(() => placeOf(layout, isActive), [layout, isActive]);
  const fitted = useMemo(() => placed(layout, size, target), [layout, size, target]);
  // Until somebody takes hold of it the chart keeps what is active in view; afterwards it stays where it was put.
  const shown = touched.current && view !== null ? view : fitted;
  const move = (next: View) => {
    touched.current = true;
    setView(next);
  };
  const zoom = (factor: number, at?: Point) => {
    const scale = Math.min(2.5, Math.max(0.2, shown.scale * factor));
    const { x, y } = at ?? { x: size.width / 2, y: size.height / 2 };
    move({ scale, x: x - ((x - shown.x) / shown.scale) * scale, y: y - ((y - shown.y) / shown.scale) * scale });
  };
  const zoomNow = useRef(zoom);
  zoomNow.current = zoom;
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    // Not through React, whose listeners for wheels cannot keep the page from scrolling.
    const wheel = (event: WheelEvent) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const { left, top } = element.getBoundingClientRect();
      zoomNow.current(Math.exp(-event.deltaY / 300), { x: event.clientX - left, y: event.clientY - top });
    };
    element.addEventListener('wheel', wheel, { passive: false });
    return () => element.removeEventListener('wheel', wheel);
  }, []);
  const drag = (event: PointerEvent) => {
    if (grip.current === null) return;
    move({ ...shown, x: shown.x + event.clientX - grip.current.x, y: shown.y + event.clientY - grip.current.y });
    grip.current = { x: event.clientX, y: event.clientY };
  };
  const refit = () => {
    touched.current = false;
    setView(null);
  };
  const press = (key: string): boolean => {
    const way = WAYS[key];
    if (way !== undefined) move({ ...shown, x: shown.x + way.x, y: shown.y + way.y });
    else if (key === '+') zoom(1.25);
    else if (key === '-') zoom(0.8);
    else if (key === '0') refit();
    else return false;
    return true;
  };
  return (
    <div className={`chart chart-${layout.detail} chart-${layout.direction.toLowerCase()}`}>
      <RootChips layout={layout} via={via} />
      <div
        ref={box}
        className="chart-pane"
        role="application"
        aria-label={`State chart, in ${state.replaceAll('.', ', ')}. Arrow keys move it, plus and minus change its size, 0 fits it.`}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: so that keys reach it
        tabIndex={0}
        onKeyDown={(event) => {
          if (event.ctrlKey || event.metaKey || event.altKey || !press(event.key)) return;
          event.preventDefault();
        }}
        onPointerDown={(event) => {
          if (event.button !== 0) return;
          grip.current = { x: event.clientX, y: event.clientY };
          event.currentTarget.setPointerCapture(event.pointerId);
        }}
        onPointerMove={drag}
        onPointerUp={() => {
          grip.current = null;
        }}
      >
        <svg width={size.width} height={size.height} aria-hidden="true" className="chart-svg">
          <Arrows />
          <g transform={`translate(${shown.x} ${shown.y}) scale(${shown.scale})`}>
            <Scene layout={layout} isActive={isActive} via={via} entry={entry} />
          </g>
        </svg>
      </div>
      <div className="chart-tools">
        <button type="button" className="tool" aria-label="Larger" title="Larger (+)" onClick={() => zoom(1.25)}>
          +
        </button>
        <button type="button" className="tool" aria-label="Smaller" title="Smaller (-)" onClick={() => zoom(0.8)}>
          −
        </button>
        <button type="button" className="tool" aria-label="Fit" title="Fit (0)" onClick={refit}>
          ⤢
        </button>
      </div>
    </div>
  );
}

function Arrows() {
  return (
    <defs>
      {['quiet', 'near', 'taken'].map((kind) => (
        <marker
          key={kind}
          id={`arrow-${kind}`}
          viewBox="0 0 8 8"
          refX="7"
          refY="4"
          markerWidth="7"
          markerHeight="7"
          markerUnits="userSpaceOnUse"
          orient="auto"
        >
          <path d="M0 0.5L8 4L0 7.5z" className={`arrow-${kind}`} />
        </marker>
      ))}
    </defs>
  );
}

const Scene = memo(function Scene({
  layout,
  isActive,
  via,
  entry,
}: {
  layout: ChartLayout;
  isActive: IsActive;
  via: string[];
  entry: number;
}) {
  const taken = new Set(via);
  return (
    <>
      {layout.nodes.map((node) => (
        <Node key={node.id} node={node} isActive={isActive} taken={taken} />
      ))}
      {layout.starts.map(({ at, points }) => (
        <g key={`${at.x},${at.y}`} className="start">
          <circle cx={at.x} cy={at.y} r="4" />
          <path d={pathOf(points)} markerEnd="url(#arrow-quiet)" />
        </g>
      ))}
      {layout.edges.map((edge) => (
        <Edge key={edge.id} edge={edge} kind={kindOf(edge, taken, isActive)} entry={entry} />
      ))}
    </>
  );
});

type EdgeKind = 'quiet' | 'near' | 'taken';

function kindOf(edge: PlacedEdge, taken: Set<string>, isActive: IsActive): EdgeKind {
  if (edge.members.some((id) => taken.has(id))) return 'taken';
  return isActive(edge.source) ? 'near' : 'quiet';
}

function Edge({ edge, kind, entry }: { edge: PlacedEdge; kind: EdgeKind; entry: number }) {
  return (
    <g className={`edge edge-${kind}`}>
      <path d={pathOf(edge.points)} markerEnd={`url(#arrow-${kind})`} />
      {kind === 'taken' && <path key={entry} d={pathOf(edge.points)} pathLength={1} className="trace" />}
      {edge.labels.map((label) => (
        <g key={label.text}>
          <title>{label.title}</title>
          <rect x={label.x} y={label.y} width={label.width} height={label.height} rx="2" className="plate" />
          <text x={label.x + label.width / 2} y={label.y + 11} textAnchor="middle">
            {label.text}
          </text>
        </g>
      ))}
    </g>
  );
}

function Node({ node, isActive, taken }: { node: PlacedNode; isActive: IsActive; taken: Set<string> }) {
  const inner = node.kind === 'compound' || node.kind === 'parallel' || node.kind === 'list';
  const active = isActive(node.id);
  const top = node.id.split('.')[0] ?? '';
  return (
    <g
      className={`node kind-${node.kind} depth-${Math.min(node.depth, 3)} st-${top} ${active ? 'active' : ''}`}
      data-state={node.id}
    >
      <title>{node.description === '' ? node.id : `${node.id}: ${node.description}`}</title>
      <rect
        x={node.x}
        y={node.y}
        width={node.width}
        height={node.height}
        rx={node.kind === 'history' ? 13 : 7}
        className="node-box"
      />
      {node.kind === 'final' && <rect {...inset(node, 3)} rx="5" className="node-inner" />}
      <text
        x={inner ? node.x + 12 : node.x + node.width / 2}
        y={node.y + (node.kind === 'history' ? 17 : 19)}
        textAnchor={inner ? 'start' : 'middle'}
        className={inner ? 'node-top' : 'node-name'}
      >
        {node.kind === 'history' ? (node.deep ? 'H*' : 'H') : node.name}
      </text>
      {node.rows.map((row) => (
        <g key={row.id} className={`cell ${isActive(row.id) ? 'active' : ''}`} data-state={row.id}>
          <title>{row.id}</title>
          <rect x={row.x} y={row.y} width={row.width} height={row.height} rx="4" />
          <text x={row.x + row.width / 2} y={row.y + 14} textAnchor="middle">
            {row.name}
          </text>
        </g>
      ))}
      {node.chips.map((chip) => (
        <g key={chip.text} className={`chip ${chip.members.some((id) => taken.has(id)) ? 'taken' : ''}`}>
          <title>{chip.title}</title>
          <rect x={chip.x} y={chip.y} width={chip.width} height={chip.height} rx="9" />
          <text x={chip.x + chip.width / 2} y={chip.y + 12.5} textAnchor="middle">
            {chip.text}
          </text>
        </g>
      ))}
    </g>
  );
}

function RootChips({ layout, via }: { layout: ChartLayout; via: string[] }) {
  if (layout.root.length === 0) return null;
  return (
    <p className="chart-root">
      <span className="dim">from anywhere:</span>
      {layout.root.map((chip) => (
        <span
          key={chip.text}
          title={chip.title}
          className={chip.members.some((id) => via.includes(id)) ? 'root-chip taken' : 'root-chip'}
        >
          {chip.text}
        </span>
      ))}
    </p>
  );
}

function inset({ x, y, width, height }: Box, by: number): Box {
  return { x: x + by, y: y + by, width: width - 2 * by, height: height - 2 * by };
}

/** Orthogonal lines with small round corners. */
function pathOf(points: Point[]): string {
  const [first, ...rest] = points;
  if (first === undefined) return '';
  let d = `M${first.x} ${first.y}`;
  rest.forEach((to, index) => {
    const from = points[index] as Point;
    const next = rest[index + 1];
    if (next === undefined) {
      d += `L${to.x} ${to.y}`;
      return;
    }
    const radius = Math.min(6, distance(from, to) / 2, distance(to, next) / 2);
    const before = towards(to, from, radius);
    const after = towards(to, next, radius);
    d += `L${before.x} ${before.y}Q${to.x} ${to.y} ${after.x} ${after.y}`;
  });
  return d;
}

const distance = (a: Point, b: Point) => Math.hypot(a.x - b.x, a.y - b.y);

function towards(from: Point, to: Point, by: number): Point {
  const length = distance(from, to) || 1;
  return { x: from.x + ((to.x - from.x) / length) * by, y: from.y + ((to.y - from.y) / length) * by };
}

/** @param state the active paths with a comma and a space between them */
function activeIn(state: string): IsActive {
  const paths = state.split(', ');
  return (id) => paths.some((path) => path === id || path.startsWith(`${id}.`));
}

function placeOf(layout: ChartLayout, isActive: IsActive): Box | null {
  let best: PlacedNode | null = null;
  for (const node of layout.nodes) {
    if (isActive(node.id) && (best === null || node.depth > best.depth)) best = node;
  }
  return best;
}

/** Below this size texts cannot be read: then not all is shown, but what is active. */
const LEAST_SCALE = 0.75;

function placed(layout: ChartLayout, { width, height }: { width: number; height: number }, target: Box | null): View {
  if (width === 0) return { x: 0, y: 0, scale: 1 };
  const whole = Math.min((width - 16) / layout.width, (height - 16) / layout.height, 1.15);
  const scale = Math.max(whole, layout.detail === 'outline' ? 0.6 : LEAST_SCALE);
  const along = (room: number, size: number, at: number) => {
    const free = room - size * scale;
    return free >= 0 ? free / 2 : Math.min(8, Math.max(free - 8, room / 2 - at * scale));
  };
  const { x, y } =
    target === null
      ? { x: layout.width / 2, y: layout.height / 2 }
      : { x: target.x + target.width / 2, y: target.y + target.height / 2 };
  return { scale, x: along(width, layout.width, x), y: along(height, layout.height, y) };
}
