import { z } from 'zod';
import { clip } from './errors.ts';

/**
 * Signs of life of a call in work. The caller names a subject of its own in a header, which nobody can guess; the
 * worker publishes there every so often until it has answered. Not on the reply subject: to let workers answer one
 * request many times, a server keeps each reply subject until it expires, and looks through all of them as it goes.
 */

/** How often a worker that says nothing else beats, milliseconds. */
export const BEAT_MS = 2_000;
/** Where a worker's service metadata says how often it beats, milliseconds. Without it silence means nothing. */
export const HEARTBEAT_KEY = 'proctor.heartbeat_ms';

/** Beats in a row that may be missed: three that got lost, and slack for a busy process. */
const MAY_MISS = 5;

/** What stands in the header: the caller's part and the call's part of the subject. */
export const BeatAddress = z.string().regex(/^[A-Za-z0-9]{8,32}\.[A-Za-z0-9]{8,32}$/, 'expected two tokens');

export const HeartbeatMs = z.coerce.number().int().min(50).max(60_000);

/** After so long without a beat the worker counts as lost, milliseconds. */
export function silenceLimit(beatMs: number): number {
  return beatMs * MAY_MISS;
}

/** A sign of life. */
export const Beat = z.object({
  v: z.literal(1),
  progress: z.number().min(0).max(1).optional(),
  text: z.string().max(200).optional(),
});
type Beat = z.infer<typeof Beat>;

const MAX_BEAT_BYTES = 1_024;

export function encodeBeat(progress?: { fraction: number; text?: string | undefined }): string {
  if (progress === undefined) return '{"v":1}';
  const { fraction, text } = progress;
  return JSON.stringify({ v: 1, progress: fraction, ...(text === undefined ? {} : { text: clip(text, 200) }) });
}

/** Null for what is no beat; it counts as a sign of life all the same. */
export function parseBeat(data: string): Beat | null {
  if (data.length > MAX_BEAT_BYTES) return null;
  try {
    return Beat.safeParse(JSON.parse(data)).data ?? null;
  } catch {
    return null;
  }
}
