import { stripVTControlCharacters } from 'node:util';
import Table from 'cli-table3';
import type { Io } from './io.ts';

/** Rows under a head: a framed table for people, aligned plain columns for whatever else reads them. */
export function table(io: Pick<Io, 'outIsTty'>, head: string[], rows: string[][]): string {
  if (io.outIsTty) {
    const framed = new Table({ head, style: { head: [], border: [], compact: true } });
    framed.push(...rows);
    return framed.toString();
  }
  const plain = [head.map((name) => name.toUpperCase()), ...rows].map((row) => row.map(stripVTControlCharacters));
  const widths = head.map((_, i) => Math.max(...plain.map((row) => row[i]?.length ?? 0)));
  return plain
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Names and values, aligned. */
export function facts(pairs: [name: string, value: string][]): string {
  const width = Math.max(0, ...pairs.map(([name]) => name.length));
  return pairs
    .map(([name, value]) => `${name.padEnd(width)}  ${value.replaceAll('\n', `\n${' '.repeat(width + 2)}`)}`)
    .join('\n');
}
