import type { SeriesPoint } from '../../wire.ts';
import { clock } from '../lib/format.ts';

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
  const shown = points.slice(-60);
  const max = Math.max(1e-9, ...shown.map(of));
  const width = 240;
  const height = 44;
  const step = width / 60;
  const from = 60 - shown.length;
  const total = shown.reduce((sum, point) => sum + of(point), 0);
  return (
    <svg
      className="spark"
      viewBox={`0 0 ${width} ${height}`}
      role="img"
      aria-label={`${label}, last 10 minutes: ${Math.round(total * 1e4) / 1e4}`}
      preserveAspectRatio="none"
    >
      <line x1="0" y1={height - 0.5} x2={width} y2={height - 0.5} className="spark-axis" />
      {shown.map((point, index) => {
        const tall = (of(point) / max) * (height - 4);
        const bad = part === undefined ? 0 : (part(point) / max) * (height - 4);
        const x = (from + index) * step;
        return (
          <g key={point.at}>
            <title>{`${clock(point.at)}: ${Math.round(of(point) * 1e5) / 1e5}`}</title>
            {tall > 0 && <rect x={x} y={height - 1 - tall} width={step - 1} height={tall} className="spark-bar" />}
            {bad > 0 && <rect x={x} y={height - 1 - bad} width={step - 1} height={bad} className="spark-bad" />}
          </g>
        );
      })}
    </svg>
  );
}
