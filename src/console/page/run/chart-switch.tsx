import type { ReactNode } from 'react';
import type { ChartDetail } from '../../chart.ts';

const DETAILS: Record<ChartDetail, string> = { outline: 'Outline', full: 'Every transition' };

/** How much of a chart is drawn, and the chart as a file. */
export function ChartSwitch({
  chart,
  active,
  detail,
  choose,
  children,
}: {
  chart: string;
  active: string[];
  detail: ChartDetail;
  choose: (detail: ChartDetail) => void;
  /** More that can be saved. */
  children?: ReactNode;
}) {
  const base = `/api/charts/${chart}`;
  return (
    <>
      {(Object.keys(DETAILS) as ChartDetail[]).map((one) => (
        <button
          key={one}
          type="button"
          className={`filter ${detail === one ? 'chosen' : ''}`}
          aria-pressed={detail === one}
          onClick={() => choose(one)}
        >
          {DETAILS[one]}
        </button>
      ))}
      <details className="menu">
        <summary>Save</summary>
        <div className="menu-items">
          <a href={`${base}/svg?detail=${detail}&active=${encodeURIComponent(active.join())}`} download>
            Chart as SVG
          </a>
          <a href={`${base}/mermaid`} download>
            Chart as Mermaid
          </a>
          {children}
        </div>
      </details>
    </>
  );
}
