import { z } from 'zod';
import type { ConfinedRoot } from './confined-root.ts';
import { parseGlob } from './glob.ts';
import { defineLocalTool, type LocalTool } from './local-tool.ts';
import { segmentsOf } from './paths.ts';
import { Path } from './read-file.ts';
import { type WalkState, walk } from './walk.ts';

/** Most entries that one call returns. */
export const MAX_LISTED = 1_000;

export const Pattern = z.string().min(1).max(256);

export function listFilesTool(root: ConfinedRoot): LocalTool {
  return defineLocalTool({
    name: 'list_files',
    description:
      'Lists files and folders. The pattern takes * and ? within a name and ** for any number of folders; without one, the folder itself is listed.',
    parameters: z.strictObject({
      path: Path.default('.').describe('Folder below the root folder.'),
      pattern: Pattern.default('*').describe('For example *.md, src/**, **/test-?.txt'),
      limit: z.int().min(1).max(MAX_LISTED).default(MAX_LISTED),
    }),
    result: z.object({
      entries: z.array(z.object({ path: z.string(), type: z.enum(['file', 'directory', 'link', 'other']) })),
      truncated: z.boolean(),
    }),
    effect: 'read',
    resource_field: 'path',
    idempotent: true,
    run: async ({ path, pattern, limit }, { signal }) => {
      const base = segmentsOf(path, 'path');
      const glob = parseGlob(pattern, 'pattern');
      const state: WalkState = { visited: 0, truncated: false };
      const entries: { path: string; type: string }[] = [];
      await root.within(base, { field: 'path' }, async (folder) => {
        for await (const entry of walk(folder, { depth: glob.depth, signal }, state)) {
          if (!glob.matches(entry.segments)) continue;
          if (entries.length === limit) {
            state.truncated = true;
            break;
          }
          entries.push({ path: [...base, ...entry.segments].join('/'), type: entry.kind });
        }
      });
      return { entries, truncated: state.truncated };
    },
  });
}
