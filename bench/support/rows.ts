import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { z } from 'zod';
import type { Json } from '../../src/core/json.ts';
import { JsonObject } from '../../src/core/json.ts';

/** Recorded agent runs: JSON lines, plain or gzipped. What a row holds beyond this is not needed for replaying. */

const RecordedStep = z.object({
  tool: z.string(),
  args: JsonObject,
  result: z.custom<Json>(),
  error: z.boolean().default(false),
});
export type RecordedStep = z.infer<typeof RecordedStep>;

const RecordedRun = z.object({ id: z.string(), steps: z.array(RecordedStep).min(1) });
export type RecordedRun = z.infer<typeof RecordedRun>;

/** @param limit at most that many, from the start of the file; throws when the file cannot be read */
export function readRows(file: string, limit: number): RecordedRun[] {
  const bytes = readFileSync(file);
  const text = (bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes) : bytes).toString('utf8');
  const rows: RecordedRun[] = [];
  for (const line of text.split('\n')) {
    if (rows.length >= limit) break;
    if (line.trim() !== '') rows.push(RecordedRun.parse(JSON.parse(line)));
  }
  return rows;
}
