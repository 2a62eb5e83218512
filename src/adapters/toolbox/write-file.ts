import { createHash } from 'node:crypto';
import { z } from 'zod';
import { AppError } from '../../core/errors.ts';
import type { ConfinedRoot } from './confined-root.ts';
import { defineLocalTool, type LocalTool } from './local-tool.ts';
import { segmentsOf } from './paths.ts';
import { Path } from './read-file.ts';

/** Largest content that is written, bytes. */
export const MAX_CONTENT_BYTES = 1024 * 1024;

export function writeFileTool(root: ConfinedRoot): LocalTool {
  return defineLocalTool({
    name: 'write_file',
    description: 'Writes a text file (UTF-8): creates it and the folders above it, or replaces its whole content.',
    parameters: z.strictObject({
      path: Path.describe('Path below the root folder.'),
      content: z
        .string()
        .max(MAX_CONTENT_BYTES)
        .refine((text) => text.isWellFormed(), 'expected well-formed Unicode'),
    }),
    result: z.object({ path: z.string(), bytes: z.int(), sha256: z.string() }),
    effect: 'write',
    resource_field: 'path',
    // Writing the same content again leaves the same file.
    idempotent: true,
    run: async ({ path, content }) => {
      const segments = segmentsOf(path, 'path');
      const name = segments.pop();
      if (name === undefined)
        throw new AppError('not_a_file', 'The root is a directory, not a file.', { field: 'path' });
      const bytes = Buffer.from(content, 'utf8');
      if (bytes.length > MAX_CONTENT_BYTES) {
        throw new AppError(
          'content_too_large',
          `The content has ${bytes.length} bytes; at most ${MAX_CONTENT_BYTES}.`,
          {
            field: 'content',
          },
        );
      }
      await root.within(segments, { field: 'path', create: true }, (folder) => folder.replace(name, bytes, 'path'));
      return {
        path: [...segments, name].join('/'),
        bytes: bytes.length,
        sha256: createHash('sha256').update(bytes).digest('hex'),
      };
    },
  });
}
