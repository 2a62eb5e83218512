import type { Stored } from '../ports/bus.ts';
import type { NodeDeps } from './deps.ts';

/** Removes a message from a stream; false when its sequence is another one's by now, which is left alone and told. */
export async function removeMessage({ bus, log }: NodeDeps, stream: string, message: Stored): Promise<boolean> {
  if (await bus.remove(stream, message)) return true;
  log.warn('message.not_removed', {
    stream,
    seq: message.seq,
    subject: message.subject,
    why: 'another message has its sequence: the copies of the stream differed when it was read',
    consequence: 'the other one is left alone',
  });
  return false;
}
