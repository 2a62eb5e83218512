import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { missingLine, type Tutorial } from './read.ts';
import { Terminal } from './terminal.ts';

/**
 * Follows a tutorial to the letter in a folder that holds a clone. Throws Error naming the line of the tutorial where
 * something else happened than it says.
 */
export async function follow(tutorial: Tutorial, folder: string, told: (line: string) => void): Promise<void> {
  const terminals = new Map<number, Terminal>();
  let last: Terminal | null = null;
  try {
    for (const block of tutorial.blocks) {
      told(`line ${block.line}: ${block.kind}`);
      try {
        if (block.kind === 'file') {
          const path = join(folder, block.path);
          mkdirSync(dirname(path), { recursive: true });
          writeFileSync(path, block.text);
        } else if (block.kind === 'type') {
          last = terminals.get(block.terminal) ?? new Terminal(folder);
          terminals.set(block.terminal, last);
          await last.type(block.text, block.until);
        } else {
          const missing = missingLine(block.lines, last?.output ?? '');
          if (missing !== null) throw new Error(`not shown: ${missing}\n\nbut:\n${last?.output}`);
        }
      } catch (thrown) {
        throw new Error(`tutorial, line ${block.line}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
      }
    }
  } finally {
    // What was started last depends on what was started first.
    for (const terminal of [...terminals.values()].reverse()) await terminal.close();
  }
}
