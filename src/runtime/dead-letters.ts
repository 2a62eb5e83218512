import { z } from 'zod';
import { AppError, clip, type ErrorInfo } from '../core/errors.ts';
import { streamsOf } from '../core/streams.ts';
import type { StoredMessage } from '../ports/bus.ts';
import type { NodeDeps } from './deps.ts';

/** Why a message lies in the dead letters, and where it came from; its body is the original, byte for byte. */
export const DeadReason = z.strictObject({
  v: z.literal(1),
  source: z.enum(['task', 'inbox']),
  subject: z.string(),
  seq: z.int(),
  at: z.int(),
  error: z.strictObject({
    code: z.string(),
    message: z.string(),
    retryable: z.boolean(),
    field: z.string().optional(),
    retry_after_ms: z.int().min(0).optional(),
  }),
  /** How the body is written: as it came, or in base64 because it is not UTF-8. */
  encoding: z.enum(['utf8', 'base64']),
  /** 2 when the rest of the body lies under `task-rest`. */
  parts: z.int().min(1).max(2),
});
export type DeadReason = z.infer<typeof DeadReason>;

/** Header that holds the reason, as JSON. */
export const DEAD_HEADER = 'Proctor-Dead';

/** Most bytes of body in one dead letter; the server takes 1 MB with headers. */
const PART_BYTES = 700 * 1024;

/**
 * Keeps a message that cannot be worked on, with the reason. Write-once by id, so that keeping it twice is keeping it
 * once.
 */
export async function bury(
  deps: NodeDeps,
  source: 'task' | 'inbox',
  id: string,
  message: StoredMessage,
  error: ErrorInfo,
): Promise<void> {
  const { body, encoding } = asText(message);
  const parts = body.length > PART_BYTES ? 2 : 1;
  const reason: DeadReason = {
    v: 1,
    source,
    subject: clip(message.subject, 1024),
    seq: message.seq,
    at: message.at,
    error: { ...error, message: clip(error.message, 2048) },
    encoding,
    parts,
  };
  if (parts === 2) await put(deps, deps.subjects.dead('task-rest', id), body.slice(PART_BYTES), undefined);
  await put(deps, deps.subjects.dead(source, id), body.slice(0, PART_BYTES), reason);
}

/** Why the message of this id was buried before; null when it was not. */
export async function buriedFor(
  { bus, subjects }: NodeDeps,
  source: 'task' | 'inbox',
  id: string,
): Promise<ErrorInfo | null> {
  const letter = await bus.last(streamsOf(subjects).dead.name, subjects.dead(source, id), { authoritative: true });
  return letter === null ? null : (readReason(letter.headers)?.error ?? null);
}

async function put(deps: NodeDeps, subject: string, data: string, reason: DeadReason | undefined): Promise<void> {
  const headers =
    reason === undefined ? {} : { headers: { [DEAD_HEADER]: encodeURIComponent(JSON.stringify(reason)) } };
  try {
    await deps.bus.publish(subject, data, headers);
  } catch (thrown) {
    if (!(thrown instanceof AppError) || thrown.code !== 'taken') throw thrown;
  }
}

function asText(message: StoredMessage): { body: string; encoding: 'utf8' | 'base64' } {
  const bytes = Buffer.from(message.bytes());
  const isUtf8 = Buffer.from(message.data, 'utf8').equals(bytes);
  // A body that must be cut is cut between bytes, so it is written in base64 as well.
  if (isUtf8 && bytes.length <= PART_BYTES) return { body: message.data, encoding: 'utf8' };
  return { body: bytes.toString('base64'), encoding: 'base64' };
}

export function readReason(headers: Record<string, string>): DeadReason | null {
  const text = headers[DEAD_HEADER];
  if (text === undefined) return null;
  try {
    return DeadReason.parse(JSON.parse(decodeURIComponent(text)));
  } catch {
    return null;
  }
}
