import { memo } from 'react';
import type { SeriesPoint } from '../../wire.ts';
import { clock } from '../lib/format.ts';

const height = 44;
/** Bars that there is room for. */
const PLACES = 60;

/** A small series of bars, with a part of each in another colour. */
export function Spark({
  points,
  of,
  part,
  label,
}: {
  points: SeriesPoint[];
  of: (p: SeriesPoint) => number;
  part?: (p: SeriesPoint) => number;
  label: string;
}) {
  const max = Math.max(1e-9, ...points.map(of));
  const width = 240;
  const step = width / PLACES;
  const from = PLACES - points.length;
  const total = points.reduce((sum, point) => sum + of(point), 0);
  return (
    <svg
      className="spark"
      viewBox={`0 0 ${width} ${height}`}
      role="img"
      aria-label={`${label}, last 10 minutes: ${Math.round(total * 1e4) / 1e4}`}
      preserveAspectRatio="none"
    >
      <line x1="0" y1={height - 0.5} x2={width} y2={height - 0.5} className="spark-axis" />
      {points.map((point, index) => {
        const tall = (of(point) / max) * (height - 4);
        const bad = part === undefined ? 0 : (part(point) / max) * (height - 4);
        const x = (from + index) * step;
        return <Bar key={point.at} at={point.at} value={of(point)} x={x} width={step - 1} tall={tall} bad={bad} />;
      })}
    </svg>
  );
}

interface BarProps {
  at: number;
  value: number;
  x: number;
  width: number;
  tall: number;
  bad: number;
}

/** Drawn again only when it has changed: mostly the last one has. */
const Bar = memo(function Bar({ at, value, x, width, tall, bad }: BarProps) {
  return (
    <g>
      <title>{`${clock(at)}: ${Math.round(value * 1e5) / 1e5}`}</title>
      {tall > 0 && <rect x={x} y={height - 1 - tall} width={width} height={tall} className="spark-bar" />}
      {bad > 0 && <rect x={x} y={height - 1 - bad} width={width} height={bad} className="spark-bad" />}
    </g>
  );
});
