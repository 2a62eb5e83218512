import type { DeadLetterInfo } from '../core/door-wire.ts';
import { AppError } from '../core/errors.ts';
import { streamsOf } from '../core/streams.ts';
import { decodeToken } from '../core/tokens.ts';
import type { StoredMessage } from '../ports/bus.ts';
import { readReason } from './dead-letters.ts';
import type { NodeDeps } from './deps.ts';
import { removeMessage } from './remove.ts';

/** Reading the dead letters, and giving one a second chance. An id is `<source>.<id>`, as the subject has it. */

/** Characters of an original that `show` gives; the whole is in the stream. */
const SHOWN = 64 * 1024;

export async function listDeadLetters(deps: NodeDeps, page: { limit: number; after: number }) {
  const { bus, subjects } = deps;
  const letters: DeadLetterInfo[] = [];
  const stream = streamsOf(subjects).dead.name;
  for await (const message of bus.scan(stream, `${subjects.prefix}.dead.>`, { fromSequence: page.after + 1 })) {
    const info = infoOf(message);
    if (info === null) continue;
    if (letters.length >= page.limit) return { letters, next: message.seq - 1 };
    letters.push(info);
  }
  return { letters, next: null };
}

export async function deadLetter(deps: NodeDeps, id: string) {
  const { message, info } = await find(deps, id);
  const reason = readReason(message.headers);
  return { ...info, encoding: reason?.encoding, parts: reason?.parts, body: message.data.slice(0, SHOWN) };
}

/** Publishes the original as it came. The dead letter goes only after the bus has the message again. */
export async function retryDeadLetter(deps: NodeDeps, id: string) {
  const { bus, subjects } = deps;
  const { message, info } = await find(deps, id);
  const reason = readReason(message.headers);
  if (reason === null) throw new AppError('unreadable', `dead letter ${id} has no readable reason`);
  if (reason.encoding === 'base64' || reason.parts > 1) {
    throw new AppError(
      'not_retryable',
      `dead letter ${id} is not UTF-8 or too large: it would be refused again; publish a corrected task`,
    );
  }
  const ack = await bus.publish(reason.subject, message.data);
  await removeMessage(deps, streamsOf(subjects).dead.name, message);
  return { ok: true, id, subject: info.subject, seq: ack.seq };
}

async function find(deps: NodeDeps, id: string): Promise<{ message: StoredMessage; info: DeadLetterInfo }> {
  const { bus, subjects } = deps;
  const [source, token] = id.split(/\.(.*)/s);
  if ((source !== 'task' && source !== 'inbox') || token === undefined || decodeToken(token) === null) {
    throw new AppError('unknown_dead_letter', `id: expected task.<id> or inbox.<id>, as the list shows them`, {
      field: 'id',
    });
  }
  const message = await bus.last(streamsOf(subjects).dead.name, `${subjects.prefix}.dead.${source}.${token}`, {
    authoritative: true,
  });
  const info = message === null ? null : infoOf(message);
  if (message === null || info === null)
    throw new AppError('unknown_dead_letter', `there is no dead letter ${id}`, { field: 'id' });
  return { message, info };
}

function infoOf(message: StoredMessage): DeadLetterInfo | null {
  const reason = readReason(message.headers);
  if (reason === null) return null;
  const { error } = reason;
  return {
    id: message.subject.split('.').slice(2).join('.'),
    source: reason.source,
    subject: reason.subject,
    at: reason.at,
    code: error.code,
    message: error.message,
    ...(error.field === undefined ? {} : { field: error.field }),
    bytes: message.bytes().byteLength,
  };
}
