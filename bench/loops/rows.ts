import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { z } from 'zod';
import { JsonObject } from '../../src/core/json.ts';

/** Recorded runs with what loop detection needs of them: their steps, how they ended, and people's labels. */

const Step = z.object({
  thought: z.string().optional(),
  tool: z.string(),
  args: JsonObject,
  /** Hashes of the whole arguments and the whole result: what is shown of them is cut. */
  ah: z.string(),
  rh: z.string(),
  result: z.string().catch(''),
  error: z.boolean().default(false),
  kind: z.string().optional(),
});
export type Step = z.infer<typeof Step>;

const Row = z.object({
  id: z.string(),
  domain: z.string(),
  success: z.boolean().nullable(),
  labels: z
    .object({
      /** Steps that repeat the one before them, and the longest row of such. */
      repetition_steps: z.array(z.int()).optional(),
      max_repetition_chain: z.int().optional(),
    })
    .default({}),
  steps: z.array(Step).min(1),
});
export type Row = z.infer<typeof Row>;

const FILES = ['replay.jsonl', 'loops.jsonl'];

/** Throws when a file is neither there nor there gzipped, or a row is none. */
export function readLabelledRows(dir: string): Row[] {
  return FILES.flatMap((name) => {
    const plain = join(dir, name);
    const packed = `${plain}.gz`;
    if (!existsSync(plain) && !existsSync(packed)) throw new Error(`there is neither ${plain} nor ${packed}`);
    const text = existsSync(plain) ? readFileSync(plain, 'utf8') : gunzipSync(readFileSync(packed)).toString('utf8');
    return text
      .split('\n')
      .filter((line) => line.trim() !== '')
      .map((line) => Row.parse(JSON.parse(line)));
  });
}
