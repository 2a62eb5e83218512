import { existsSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DEFAULT_DIR } from './connect.ts';
import { quoteArg } from './io.ts';

/** Parts of commands that are meant to be copied. */

/** The first example, as a path from here. */
export function exampleTask(): string {
  const example = join('tasks', 'first.json');
  const found = exampleFile(example);
  return found === null ? join('examples', example) : quoteArg(relative(process.cwd(), found));
}

/** Where a file of the folder `examples` that comes with Proctor is; null when it was not installed. */
export function exampleFile(name: string): string | null {
  for (let folder = fileURLToPath(new URL('.', import.meta.url)); ; folder = resolve(folder, '..')) {
    const path = join(folder, 'examples', name);
    if (existsSync(path)) return path;
    if (folder === resolve(folder, '..')) return null;
  }
}

/** How a command is told to use this data folder. */
export function placeArgs(dir: string): string {
  return dir === DEFAULT_DIR ? '' : ` --dir ${quoteArg(dir)}`;
}
