import type { Box, ChartLayout, Point } from '../../chart.ts';

/** A chart as a file: the same picture as on the page, with its colours inside and no script. */

const STYLE = `
svg{background:#fff;font:12px ui-sans-serif,system-ui,sans-serif}
.box{fill:#fff;stroke:#98a1b0;stroke-width:1.2}.compound{fill:#f5f6f8}.parallel{stroke-dasharray:5 4}
.line{fill:none;stroke:#8791a1;stroke-width:1.2}.label{font-size:11px;fill:#4a5363}.plate{fill:#fff;opacity:.92}
.name{fill:#161a21}.top{font-weight:600}.chip{fill:#eceef2}.small{font-size:10.5px;fill:#4a5363}.dot{fill:#4a5363}
.active{fill:#dfe9ff;stroke:#1f5fe0;stroke-width:2}`;

export function svgOf(layout: ChartLayout, active: readonly string[] = []): string {
  const isActive = (id: string) => active.some((path) => path === id || path.startsWith(`${id}.`));
  const parts: string[] = [];
  for (const node of layout.nodes) {
    const inner = node.kind === 'compound' || node.kind === 'parallel' || node.kind === 'list';
    const cls = `box ${inner ? 'compound' : ''} ${node.kind === 'parallel' ? 'parallel' : ''} ${isActive(node.id) ? 'active' : ''}`;
    parts.push(
      `<g><title>${escaped(`${node.id} ${node.description}`)}</title>${rect(node, cls, node.kind === 'history' ? 13 : 6)}`,
    );
    if (node.kind === 'final') parts.push(rect(inset(node, 3), 'box', 4));
    const shown = node.kind === 'history' ? (node.deep ? 'H*' : 'H') : node.name;
    const x = inner ? node.x + 12 : node.x + node.width / 2;
    parts.push(text(x, node.y + 19, `name ${inner ? 'top' : ''}`, shown, inner ? 'start' : 'middle'));
    for (const row of node.rows) {
      parts.push(rect(row, `box ${isActive(row.id) ? 'active' : ''}`, 4));
      parts.push(text(row.x + row.width / 2, row.y + 14, 'label', row.name, 'middle'));
    }
    for (const chip of node.chips) {
      parts.push(`<g><title>${escaped(chip.title)}</title>${rect(chip, 'chip', 9)}`);
      parts.push(`${text(chip.x + chip.width / 2, chip.y + 12.5, 'small', chip.text, 'middle')}</g>`);
    }
    parts.push('</g>');
  }
  for (const { at, points } of layout.starts) {
    parts.push(`<circle class="dot" cx="${at.x}" cy="${at.y}" r="4"/>${line(points)}`);
  }
  for (const { points } of layout.edges) parts.push(line(points));
  for (const { labels } of layout.edges) {
    for (const label of labels) {
      parts.push(`<g><title>${escaped(label.title)}</title>${rect(label, 'plate', 2)}`);
      parts.push(`${text(label.x + label.width / 2, label.y + 11, 'label', label.text, 'middle')}</g>`);
    }
  }
  const { width, height, name } = layout;
  const arrow =
    '<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#8791a1"/></marker>';
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img"><title>${escaped(name)}</title><style>${STYLE}</style><defs>${arrow}</defs>${parts.join('')}</svg>\n`;
}

function inset({ x, y, width, height }: Box, by: number): Box {
  return { x: x + by, y: y + by, width: width - 2 * by, height: height - 2 * by };
}

function rect({ x, y, width, height }: Box, cls: string, radius: number): string {
  return `<rect class="${cls.trim()}" x="${x}" y="${y}" width="${width}" height="${height}" rx="${radius}"/>`;
}

function text(x: number, y: number, cls: string, value: string, anchor: string): string {
  return `<text class="${cls.trim()}" x="${x}" y="${y}" text-anchor="${anchor}">${escaped(value)}</text>`;
}

function line(points: Point[]): string {
  if (points.length === 0) return '';
  return `<path class="line" marker-end="url(#arrow)" d="M${points.map(({ x, y }) => `${x} ${y}`).join('L')}"/>`;
}

function escaped(value: string): string {
  return value.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
