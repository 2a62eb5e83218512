import { z } from 'zod';
import { AppError, clip } from '../../core/errors.ts';
import { byteLength } from '../../core/json.ts';
import type { Clock } from '../../ports/clock.ts';
import type { ConfinedRoot } from './confined-root.ts';
import { parseGlob } from './glob.ts';
import { Isolate } from './isolate.ts';
import { Pattern } from './list-files.ts';
import { defineLocalTool, type LocalTool } from './local-tool.ts';
import { segmentsOf } from './paths.ts';
import { Path } from './read-file.ts';
import { linesOf, readText } from './text-file.ts';
import { type WalkState, walk } from './walk.ts';

/** Bounds of one search. Files larger than `fileBytes` and files that are not text are passed over and counted. */
export const SEARCH_LIMITS = {
  fileBytes: 1024 * 1024,
  totalBytes: 64 * 1024 * 1024,
  resultBytes: 128 * 1024,
  lineChars: 300,
  matches: 1_000,
  /** Time for the files to be read and searched; what was found so far is returned after it. */
  searchMs: 10_000,
  /** Time for a regular expression over all files; it fails `too_slow` after it. */
  regexMs: 5_000,
};

/** Indexes of the lines that match. */
type Matcher = (lines: string[]) => Promise<number[]>;

export function searchFilesTool(root: ConfinedRoot, clock: Clock, limits = SEARCH_LIMITS): LocalTool {
  return defineLocalTool({
    name: 'search_files',
    description:
      'Finds lines in the text files of a folder and the folders below it, by plain text or by a regular expression (JavaScript).',
    parameters: z.strictObject({
      query: z.string().min(1).max(500),
      regex: z.boolean().default(false).describe('Take the query as a regular expression.'),
      ignore_case: z.boolean().default(false),
      path: Path.default('.').describe('Folder below the root folder.'),
      pattern: Pattern.default('**').describe('Which files, for example **/*.md'),
      limit: z.int().min(1).max(limits.matches).default(100),
    }),
    result: z.object({
      matches: z.array(z.object({ path: z.string(), line: z.int(), text: z.string() })),
      files: z.int(),
      skipped: z.int(),
      truncated: z.boolean(),
    }),
    effect: 'read',
    resource_field: 'path',
    idempotent: true,
    run: async (args, { signal }) => {
      const base = segmentsOf(args.path, 'path');
      const glob = parseGlob(args.pattern, 'pattern');
      if (!args.regex) return await search(plainMatcher(args.query, args.ignore_case));
      const isolate = regexIsolate(args, limits.regexMs, clock, signal);
      try {
        return await search(async (lines) => z.array(z.int()).parse(await isolate.ask(lines)));
      } finally {
        await isolate.close();
      }

      async function search(matcher: Matcher) {
        const until = clock.now() + limits.searchMs;
        const state: WalkState = { visited: 0, truncated: false };
        const found = { matches: [] as { path: string; line: number; text: string }[], files: 0, skipped: 0 };
        let room = { text: limits.totalBytes, result: limits.resultBytes };
        await root.within(base, { field: 'path' }, async (folder) => {
          for await (const entry of walk(folder, { depth: glob.depth, signal }, state)) {
            if (entry.kind !== 'file' || !glob.matches(entry.segments)) continue;
            if (room.text <= 0 || clock.now() > until) {
              state.truncated = true;
              return;
            }
            const text = await readText(entry.folder, entry.name, 'path', limits.fileBytes).catch(() => null);
            if (text === null) {
              found.skipped++;
              continue;
            }
            found.files++;
            room = { ...room, text: room.text - text.length };
            const lines = linesOf(text);
            const path = [...base, ...entry.segments].join('/');
            for (const index of await matcher(lines)) {
              const match = { path, line: index + 1, text: clip(lines[index] ?? '', limits.lineChars) };
              room.result -= byteLength(JSON.stringify(match));
              if (found.matches.length === args.limit || room.result < 0) {
                state.truncated = true;
                return;
              }
              found.matches.push(match);
            }
          }
        });
        return { ...found, truncated: state.truncated };
      }
    },
  });
}

function plainMatcher(query: string, ignoreCase: boolean): Matcher {
  const fold = (text: string) => (ignoreCase ? text.toLowerCase() : text);
  const wanted = fold(query);
  return async (lines) => lines.flatMap((line, index) => (fold(line).includes(wanted) ? [index] : []));
}

function regexIsolate(
  args: { query: string; ignore_case: boolean },
  budgetMs: number,
  clock: Clock,
  signal: AbortSignal,
): Isolate {
  const data = { query: args.query, flags: args.ignore_case ? 'i' : '' };
  try {
    new RegExp(data.query, data.flags);
  } catch (cause) {
    throw new AppError('invalid_pattern', `The query is not a regular expression: ${String(cause)}`, {
      field: 'query',
      cause,
    });
  }
  return new Isolate(REGEX_CODE, { data, budgetMs, clock, signal, field: 'query' });
}

const REGEX_CODE = `
const pattern = new RegExp(workerData.query, workerData.flags);
function answer(lines) {
  return lines.flatMap((line, index) => (pattern.test(line) ? [index] : []));
}
`;
