import { z } from 'zod';
import { AppError, describeFaults } from '../../core/errors.ts';
import { RunId } from '../../core/events.ts';
import { JournalEntry } from '../../core/journal-entry.ts';
import { redact } from '../../core/redact.ts';
import type { RunSource } from './run-source.ts';

/** A run in a file, without secrets: what `proctor console --file` opens with no server. Version 1. */

export const MAX_RUN_FILE_BYTES = 256 * 1024 * 1024;

const RunFile = z.strictObject({
  v: z.literal(1),
  kind: z.literal('proctor.run'),
  run: RunId,
  entries: z.array(JournalEntry).min(1),
});
type RunFile = z.infer<typeof RunFile>;

export function runFileOf(run: string, entries: JournalEntry[]): RunFile {
  return { v: 1, kind: 'proctor.run', run, entries: redact(entries) as JournalEntry[] };
}

/** Throws AppError `bad_run_file`. */
export function readRunFile(text: string, path: string): RunFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new AppError('bad_run_file', `${path}: not JSON: expected what the page's "Save as file" writes`);
  }
  const parsed = RunFile.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new AppError('bad_run_file', `${path}: ${describeFaults(parsed.error, 'file').message}`);
}

export function fileRuns(file: RunFile): RunSource {
  return {
    async *entries(run, from, max = file.entries.length) {
      if (run === file.run) yield* file.entries.slice(from, from + max);
    },
    hear: () => ({ stop: () => {} }),
  };
}
