/**
 * A tutorial as the blocks that somebody who follows it types, in order. What a fence says after its language decides:
 * `file=PATH` is a file to write; `sh` is typed into a terminal (`terminal=N`, default 1), and with `until="TEXT"` it
 * goes on running once it has said TEXT; `text` is what the commands before it must have shown, line by line, where `…`
 * stands for anything. Everything else is prose.
 */

export type Block =
  | { kind: 'file'; line: number; path: string; text: string }
  | { kind: 'type'; line: number; terminal: number; text: string; until: string | null }
  | { kind: 'shows'; line: number; lines: string[] };

export interface Tutorial {
  blocks: Block[];
  /** Words of prose, and of what is typed. */
  words: { prose: number; typed: number };
}

const FENCE = /^```(\w*)\s*(.*)$/;

/** Throws RangeError for a block that is never closed, or one that nobody would run. */
export function readTutorial(markdown: string): Tutorial {
  const blocks: Block[] = [];
  const words = { prose: 0, typed: 0 };
  const lines = markdown.split('\n');
  for (let at = 0; at < lines.length; at++) {
    const fence = FENCE.exec(lines[at] ?? '');
    if (fence === null) {
      words.prose += countWords(lines[at] ?? '');
      continue;
    }
    const end = lines.indexOf('```', at + 1);
    if (end < 0) throw new RangeError(`line ${at + 1}: this block is never closed`);
    const text = lines.slice(at + 1, end).join('\n');
    const block = blockOf(fence[1] ?? '', fence[2] ?? '', text, at + 1);
    if (block.kind === 'shows') words.prose += countWords(text);
    else words.typed += countWords(text);
    blocks.push(block);
    at = end;
  }
  return { blocks, words };
}

function blockOf(language: string, info: string, text: string, line: number): Block {
  const path = /(?:^|\s)file=(\S+)/.exec(info)?.[1];
  if (path !== undefined) return { kind: 'file', line, path, text: `${text}\n` };
  if (language === 'sh') {
    const terminal = Number(/(?:^|\s)terminal=(\d+)/.exec(info)?.[1] ?? 1);
    return { kind: 'type', line, terminal, text, until: /until="([^"]+)"/.exec(info)?.[1] ?? null };
  }
  if (language === 'text') {
    return { kind: 'shows', line, lines: text.split('\n').filter((one) => one.trim() !== '') };
  }
  throw new RangeError(
    `line ${line}: a block of ${language || 'no language'} that nobody runs: use sh, text, or file=`,
  );
}

function countWords(text: string): number {
  return text.split(/\s+/).filter((word) => /\w/.test(word)).length;
}

/** The first of the lines that the output does not have, in order; null when all are there. */
export function missingLine(expected: string[], output: string): string | null {
  const shown = output.split('\n').map(squeeze);
  let from = 0;
  for (const line of expected) {
    const pattern = new RegExp(squeeze(line).split('…').map(literally).join('.*'));
    const found = shown.findIndex((one, index) => index >= from && pattern.test(one));
    if (found < 0) return line;
    from = found + 1;
  }
  return null;
}

/** Columns are as wide as their widest cell: how wide says nothing. */
function squeeze(line: string): string {
  return line.trim().replaceAll(/\s+/g, ' ');
}

function literally(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
