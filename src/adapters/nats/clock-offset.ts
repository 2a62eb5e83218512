import { AppError } from '../../core/errors.ts';
import type { Bus } from '../../ports/bus.ts';

/**
 * How far the server's clock is ahead of this process's, in milliseconds: a message is stored, and the time that the
 * server stamped it with is taken for the middle of the round trip. Off by at most half the round trip.
 */
export async function measureOffset(bus: Bus, stream: string, subject: string): Promise<number> {
  const sent = wallClock();
  const { seq } = await bus.publish(subject, '');
  const acked = wallClock();
  const stored = await bus.bySequence(stream, seq);
  if (stored === null) {
    const message = `stream ${stream}: the message just stored on ${subject} is gone; is somebody else using the subject?`;
    throw new AppError('unavailable', message, { retryable: true });
  }
  return stored.at - (sent + acked) / 2;
}

/** Epoch milliseconds with a fraction; follows neither steps nor slewing of the system's clock within one call. */
function wallClock(): number {
  return performance.timeOrigin + performance.now();
}
