import { describeFaults } from '../core/errors.ts';
import type { RunEvent } from '../core/events.ts';
import { isRunId } from '../core/ids.ts';
import { eventOfInbox, INBOX_KINDS, type InboxBody, isInboxKind } from '../core/inbox-wire.ts';
import type { InboxAddress, Subjects } from '../core/subjects.ts';
import type { StoredMessage } from '../ports/bus.ts';
import { type ApprovalDeps, judge } from './approvals.ts';

/** A message of the inbox, read: its event, or why it is none. */
export interface InboxRead {
  address?: InboxAddress;
  event?: RunEvent;
  /** The order to let the run, which has ended, go on as another. */
  order?: InboxBody<'continue'>;
  fault?: string;
  /** An approver's word: whether it counts is found out elsewhere. */
  isDecision?: true;
}

/** An order after which there is nothing more to do than to store the result. */
export function endsRun({ type }: RunEvent): boolean {
  return type === 'cancel' || type === 'kill' || type === 'limit';
}

export function inboxEvent(subjects: Subjects, message: StoredMessage): InboxRead {
  const address = subjects.parseInbox(message.subject);
  if (address === null || !isRunId(address.run))
    return { fault: `subject ${message.subject}: expected in.<run>.<kind>.<id>` };
  if (!isInboxKind(address.kind))
    return { address, fault: `kind ${address.kind}: expected one of ${Object.keys(INBOX_KINDS).join(', ')}` };
  if (address.kind === 'decision') return { address, isDecision: true };
  let value: unknown;
  try {
    value = JSON.parse(message.data);
  } catch {
    return { address, fault: 'body: expected JSON' };
  }
  const body = INBOX_KINDS[address.kind].safeParse(value);
  if (!body.success) return { address, fault: describeFaults(body.error, 'body').message };
  if (address.kind === 'continue') return { address, order: body.data as InboxBody<'continue'> };
  return { address, event: eventOfInbox(address.kind, body.data, message.seq) };
}

/** The same, with the event that a decision becomes when it counts. */
export async function judgedInboxEvent(deps: ApprovalDeps, message: StoredMessage): Promise<InboxRead> {
  const read = inboxEvent(deps.subjects, message);
  if (read.isDecision !== true) return read;
  const judged = await judge(deps, message);
  return 'event' in judged ? { ...read, event: judged.event } : read;
}
