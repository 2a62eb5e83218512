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

/** Agents in YAML (1.2, core schema: plain values, no tags) and in JSON. */

/** Most nodes that the aliases of one document may stand for: a small file must not unfold into a large one. */
const MAX_ALIASES = 100;

/** Deepest nesting; agents need three levels. The parser needs very long for what is nested thousands deep. */
const MAX_DEPTH = 20;

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
    const [fault] = document.errors;
    if (fault !== undefined) throw new AppError('invalid_agent', `expected YAML: ${fault.message}`);
    // A warning is about a tag that this schema does not know.
    const [warning] = document.warnings;
    if (warning !== undefined) throw new AppError('invalid_agent', `expected YAML without tags: ${warning.message}`);
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
    else if (token === '?') throw new AppError('invalid_agent', 'expected plain keys: "? key" is not read');
    if (Math.max(brackets, dashes) <= MAX_DEPTH) continue;
    throw new AppError('invalid_agent', `expected values nested at most ${MAX_DEPTH} deep`);
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
