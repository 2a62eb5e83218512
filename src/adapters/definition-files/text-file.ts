import { readFile, stat } from 'node:fs/promises';
import {
  CST,
  type Document,
  isNode,
  isPair,
  isSeq,
  Lexer,
  LineCounter,
  type ParsedNode,
  parseAllDocuments,
} from 'yaml';
import { AppError, toAppError } from '../../core/errors.ts';
import { agentsIn, type WrittenAgent } from './written-agent.ts';

/** Definitions in YAML (1.2, core schema: plain values, no tags) and in JSON. */

/** Most nodes that the aliases of one document may stand for: a small file must not unfold into a large one. */
const MAX_ALIASES = 100;

/** Faults of one file that are told. */
const MAX_FAULTS = 20;

/** Deepest nesting; definitions need four levels. The parser needs very long for what is nested thousands deep. */
const MAX_DEPTH = 20;

/** The text of a file of at most so many bytes. */
export async function readText(file: string, maxBytes: number): Promise<string> {
  const info = await stat(file);
  if (!info.isFile()) throw new AppError('unreadable', 'is no regular file');
  if (info.size > maxBytes) throw new AppError('unreadable', `has ${info.size} bytes; at most ${maxBytes} are read`);
  const bytes = await readFile(file);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new AppError('unreadable', 'is not UTF-8', { cause });
  }
}

/** Documents of a file, each one agent or a list of them; empty ones are passed over. */
export function readYaml(text: string): WrittenAgent[] {
  refuseDeep(text);
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, {
    lineCounter: lines,
    schema: 'core',
    stringKeys: true,
    prettyErrors: true,
  });
  return Array.from<Document.Parsed>(documents).flatMap((document) => {
    if (document.errors.length > 0) {
      const faults = document.errors.slice(0, MAX_FAULTS).map(({ message }) => message.split('\n', 1)[0]);
      throw new AppError('invalid_yaml', faults.map((fault) => `expected YAML: ${fault}`).join('\n'));
    }
    // A warning is about a tag that this schema does not know.
    const [warning] = document.warnings;
    if (warning !== undefined) throw new AppError('invalid_yaml', `expected YAML without tags: ${warning.message}`);
    const value: unknown = document.toJS({ maxAliasCount: MAX_ALIASES });
    if (value === null || value === undefined) return [];
    const line = (path: PropertyKey[]) => lineOf(document, path, lines);
    if (!isSeq(document.contents)) return [{ value, line }];
    return (value as unknown[]).map((one, i) => ({ value: one, line: (path: PropertyKey[]) => line([i, ...path]) }));
  });
}

/** Brackets and lists within lists are counted, explicit keys (`? key`) refused; indentation bounds itself. */
function refuseDeep(text: string): void {
  let brackets = 0;
  let dashes = 0;
  let isText = false;
  for (const token of new Lexer().lex(text)) {
    if (isText || token === CST.SCALAR) {
      isText = !isText;
      continue;
    }
    if (token === '[' || token === '{') brackets++;
    else if (token === ']' || token === '}') brackets--;
    else if (token === '-') dashes++;
    else if (token.startsWith('\n')) dashes = 0;
    else if (token === '?') throw new AppError('invalid_yaml', 'expected plain keys: "? key" is not read');
    if (Math.max(brackets, dashes) <= MAX_DEPTH) continue;
    throw new AppError('invalid_yaml', `expected values nested at most ${MAX_DEPTH} deep`);
  }
}

export function readJson(text: string): WrittenAgent[] {
  try {
    return agentsIn(JSON.parse(text));
  } catch (cause) {
    throw new AppError('invalid_agent', `expected JSON: ${toAppError(cause).message}`, { cause });
  }
}

/** The line of the deepest part of the path that is there. */
function lineOf(document: Document.Parsed, path: PropertyKey[], lines: LineCounter): number | null {
  let node: unknown = document.contents;
  let start = startOf(document.contents);
  for (const key of path) {
    const items: unknown[] = isNode(node) && 'items' in node ? (node as { items: unknown[] }).items : [];
    const item: unknown =
      typeof key === 'number' ? items[key] : items.find((one) => isPair(one) && keyOf(one.key) === String(key));
    if (item === undefined) break;
    start = (isPair(item) ? startOf(item.key) : startOf(item)) ?? start;
    node = isPair(item) ? item.value : item;
  }
  return start === null ? null : lines.linePos(start).line;
}

function keyOf(key: unknown): string {
  return String((key as { value?: unknown } | null)?.value);
}

function startOf(node: unknown): number | null {
  return isNode(node) ? ((node as ParsedNode).range?.[0] ?? null) : null;
}
