import { z } from 'zod';
import { AppError } from '../../core/errors.ts';
import { byteLength } from '../../core/json.ts';
import type { ConfinedRoot } from './confined-root.ts';
import { defineLocalTool, type LocalTool } from './local-tool.ts';
import { segmentsOf } from './paths.ts';
import { linesOf, readText } from './text-file.ts';

/** Largest file that is opened, bytes. */
export const MAX_FILE_BYTES = 4 * 1024 * 1024;
/** Most text that one call returns, bytes. */
export const MAX_TEXT_BYTES = 128 * 1024;

/** A text path argument. */
export const Path = z.string().min(1).max(1024);

export function readFileTool(root: ConfinedRoot): LocalTool {
  return defineLocalTool({
    name: 'read_file',
    description: `Reads a UTF-8 text file, whole or by lines; at most ${MAX_TEXT_BYTES / 1024} KB at a time.`,
    parameters: z.strictObject({
      path: Path.describe('Path below the root folder.'),
      first_line: z.int().min(1).optional().describe('First line to read, counted from 1.'),
      max_lines: z.int().min(1).max(100_000).optional().describe('How many lines to read.'),
    }),
    result: z.object({ path: z.string(), text: z.string(), lines: z.int() }),
    effect: 'read',
    resource_field: 'path',
    idempotent: true,
    run: async ({ path, first_line, max_lines }) => {
      const segments = segmentsOf(path, 'path');
      const name = segments.pop();
      if (name === undefined)
        throw new AppError('not_a_file', 'The root is a directory, not a file.', { field: 'path' });
      const all = await root.within(segments, { field: 'path' }, (folder) =>
        readText(folder, name, 'path', MAX_FILE_BYTES),
      );
      const lines = linesOf(all);
      const first = (first_line ?? 1) - 1;
      const whole = first_line === undefined && max_lines === undefined;
      const text = whole ? all : lines.slice(first, first + (max_lines ?? lines.length)).join('\n');
      if (byteLength(text) > MAX_TEXT_BYTES) {
        throw new AppError(
          'file_too_large',
          `That is more than ${MAX_TEXT_BYTES} bytes of text; read fewer of its ${lines.length} lines with first_line and max_lines.`,
          { field: whole ? 'path' : 'max_lines' },
        );
      }
      return { path: [...segments, name].join('/'), text, lines: lines.length };
    },
  });
}
