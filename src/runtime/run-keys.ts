import { z } from 'zod';
import { AppError } from '../core/errors.ts';
import { RunId } from '../core/events.ts';
import { streamsOf } from '../core/streams.ts';
import type { NodeDeps } from './deps.ts';

const KeyRecord = z.strictObject({ v: z.literal(1), run: RunId });

/** The run that a user's key stands for: whoever writes the record first decides, everybody else gets that run. */
export async function runOfKey(deps: NodeDeps, user: string, hash: string, run: string): Promise<string> {
  const { bus, subjects } = deps;
  const subject = subjects.key(user, hash);
  try {
    await bus.publish(subject, JSON.stringify({ v: 1, run }));
    deps.faults.hit('intake.key_written');
    return run;
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'taken') throw error;
  }
  const stored = await bus.last(streamsOf(subjects).keys.name, subject, { authoritative: true });
  if (stored === null)
    throw new AppError('unavailable', `the record of key ${hash} cannot be read`, { retryable: true });
  return KeyRecord.parse(JSON.parse(stored.data)).run;
}

/** Whether a key stands for a run already. */
export async function isKeyTaken({ bus, subjects }: NodeDeps, user: string, hash: string): Promise<boolean> {
  const stored = await bus.last(streamsOf(subjects).keys.name, subjects.key(user, hash), { authoritative: true });
  return stored !== null;
}
