import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { basename, join } from 'node:path';
import type { Command } from 'commander';

/**
 * What every drill does with its figures: progress goes to stderr, the figures to stdout (`--json`: one line), and with
 * `--write` into the drill's own section of docs/measurements.md, with the machine, the date and the command.
 */

export interface ReportOptions {
  json?: boolean;
  write?: boolean;
}

/** The options of every drill that reports. */
export function reporting(command: Command): Command {
  return command.option('--json', 'figures as one line').option('--write', 'put the figures into docs/measurements.md');
}

export function progress(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** @param violations what was promised and did not hold; any makes the process end with 1 */
export function finish(
  section: string,
  title: string,
  figures: Record<string, unknown>,
  violations: string[],
  options: ReportOptions,
): void {
  for (const violation of violations) progress(`VIOLATED: ${violation}`);
  if (options.write === true) writeSection(section, title, figures, violations);
  process.stdout.write(`${JSON.stringify(figures, null, options.json === true ? 0 : 2)}\n`);
  if (violations.length > 0) process.exitCode = 1;
}

/** Paths are those of the machine that measured: only the last part says anything to others. */
function shownArguments(): string {
  const shown = process.argv.slice(2).map((argument) => (argument.includes('/') ? basename(argument) : argument));
  return shown.join(' ');
}

function writeSection(section: string, title: string, figures: Record<string, unknown>, violations: string[]): void {
  const file = join(process.cwd(), 'docs', 'measurements.md');
  const [begin, end] = [`<!-- ${section}:begin -->`, `<!-- ${section}:end -->`];
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '# Measurements\n';
  const verdict = violations.length === 0 ? 'all guarantees held' : `**violated**: ${violations.join('; ')}`;
  const body = [
    begin,
    `## ${title}`,
    '',
    `- Command: \`npm run ${section.split('-')[0]} -- ${shownArguments()}\``,
    `- Date: ${new Date().toISOString().slice(0, 16)}Z`,
    `- Machine: ${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}`,
    `- Verdict: ${verdict}`,
    '',
    ...tables(figures),
    end,
  ].join('\n');
  const at = text.indexOf(begin);
  const next =
    at < 0
      ? `${text.trimEnd()}\n\n${body}\n`
      : text.slice(0, at) + body + text.slice(text.indexOf(end, at) + end.length);
  writeFileSync(file, next);
}

/** Plain values in one table, each object of values in a table of its own. */
function tables(figures: Record<string, unknown>): string[] {
  const lines: string[] = ['| figure | value |', '|---|---:|'];
  const more: string[] = [];
  for (const [name, value] of Object.entries(figures)) {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      more.push('', `### ${name}`, '', ...objectTable(value as Record<string, unknown>));
    } else lines.push(`| ${name} | ${shown(value)} |`);
  }
  return [...lines, ...more];
}

function objectTable(value: Record<string, unknown>): string[] {
  const rows = Object.entries(value);
  const first = rows[0]?.[1];
  if (typeof first !== 'object' || first === null) {
    return ['| | value |', '|---|---:|', ...rows.map(([name, cell]) => `| ${name} | ${shown(cell)} |`)];
  }
  const columns = Object.keys(first);
  return [
    `| | ${columns.join(' | ')} |`,
    `|---|${columns.map(() => '---:|').join('')}`,
    ...rows.map(
      ([name, row]) =>
        `| ${name} | ${columns.map((column) => shown((row as Record<string, unknown>)[column])).join(' | ')} |`,
    ),
  ];
}

function shown(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : JSON.stringify(value);
}
