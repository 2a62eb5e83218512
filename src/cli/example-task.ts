import { existsSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DEFAULT_DIR } from './connect.ts';
import { quoteArg } from './io.ts';

/** Parts of commands that are meant to be copied. */

/** The first example, as a path from here. */
export function exampleTask(): string {
  const example = join('examples', 'tasks', 'first.json');
  for (let folder = fileURLToPath(new URL('.', import.meta.url)); ; folder = resolve(folder, '..')) {
    if (existsSync(join(folder, example))) return quoteArg(relative(process.cwd(), join(folder, example)));
    if (folder === resolve(folder, '..')) return example;
  }
}

/** How a command is told to use this data folder. */
export function placeArgs(dir: string): string {
  return dir === DEFAULT_DIR ? '' : ` --dir ${quoteArg(dir)}`;
}
