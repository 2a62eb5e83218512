/**
 * Named gaps between every two durable actions. A crash drill puts something that dies there; production puts nothing.
 * The list is complete on purpose: a drill that visits each name has been in every gap.
 */
export const FAULT_POINTS = [
  'intake.taken',
  'intake.key_written',
  'intake.entry_written',
  'intake.activated',
  'activation.taken',
  'activation.read',
  'claim.written',
  'entry.before',
  'entry.written',
  'entry.folded',
  'snapshot.written',
  'call.started',
  'call.sent',
  'call.returned',
  'think.returned',
  'delegate.child_written',
  'delegate.child_activated',
  'delegate.member_stopped',
  'park.timer_stored',
  'park.written',
  'park.snapshot_written',
  'park.status_stored',
  'park.acked',
  'inbox.taken',
  'inbox.activated',
  'inbox.journalled',
  'end.written',
  'end.result_stored',
  'end.parent_told',
  'end.event_stored',
  'end.acked',
] as const;

/** The gaps on the way of an approval. */
export const APPROVAL_POINTS = ['approval.asked', 'approval.judged'] as const;

/** The gap at the end of a run that is queued for a person. */
export const PERSON_POINTS = ['end.person_queued'] as const;

/** The gaps of an order that lets an ended run go on. */
export const CONTINUE_POINTS = ['continue.stored', 'continue.entry_written', 'continue.activated'] as const;

/** The gaps at a slice of a budget. */
export const BUDGET_POINTS = ['budget.reserved', 'budget.settled'] as const;

export type FaultPoint =
  | (typeof FAULT_POINTS)[number]
  | (typeof APPROVAL_POINTS)[number]
  | (typeof PERSON_POINTS)[number]
  | (typeof CONTINUE_POINTS)[number]
  | (typeof BUDGET_POINTS)[number];

export interface FaultPoints {
  hit(point: FaultPoint): void;
}

export const NO_FAULTS: FaultPoints = { hit: () => {} };
