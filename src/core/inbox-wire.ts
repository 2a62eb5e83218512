import { z } from 'zod';
import { Usage } from './decision.ts';
import { clip, ErrorInfo } from './errors.ts';
import { CallId, type RunEvent, RunId } from './events.ts';
import { ResultJson } from './json.ts';
import { LimitOverrides } from './limits.ts';
import { Taint } from './policy.ts';
import { Outcome } from './reasons.ts';
import { Signed } from './signed.ts';

/**
 * What reaches a run from outside: a message in the inbox stream, `in.<run>.<kind>.<id>`. Each becomes one event of the
 * run, but `continue`, which begins another, and a `decision` that counts for nothing. Version 1.
 */

const V = z.literal(1).default(1);
const By = z.string().min(1).max(128).default('unknown');
const Why = z.string().max(1024).default('');
/** The scope of the switch that the order comes from. */
const BySwitch = { scope: z.string().max(300).optional() };

export const INBOX_KINDS = {
  cancel: z.strictObject({ v: V, by: By, why: Why }),
  kill: z.strictObject({ v: V, by: By, why: Why, ...BySwitch }),
  pause: z.strictObject({ v: V, by: By, why: Why, ...BySwitch }),
  drain: z.strictObject({ v: V, by: By, why: Why, ...BySwitch }),
  resume: z.strictObject({ v: V, by: By, why: Why, ...BySwitch }),
  release: z.strictObject({ v: V, by: By, why: Why }),
  /** Ends a held run. */
  fail: z.strictObject({ v: V, by: By, why: Why }),
  resolve: z.strictObject({
    v: V,
    c: CallId,
    verdict: z.enum(['done', 'repeat', 'fail']),
    result: ResultJson.optional(),
    by: By,
    why: Why,
  }),
  /** Lets the run, which has ended, go on as the run `as`; no event of its own. */
  continue: z.strictObject({
    v: V,
    as: RunId,
    at: z.int().min(0),
    by: By,
    why: Why,
    limits: LimitOverrides.default({}),
  }),
  /**
   * An approver's word on a call, with the id `<c>-<approver>`. What counts is the payload, a DecisionPayload as JSON
   * text; it becomes an event once its signature and everything in it is found right.
   */
  decision: z.strictObject({ v: V, ...Signed.shape }),
  timer: z.strictObject({ v: V, due: z.int().min(0) }),
  child: z.strictObject({
    v: V,
    c: CallId,
    run: RunId,
    outcome: Outcome,
    answer: ResultJson,
    error: ErrorInfo.optional(),
    usage: Usage,
    attempt: z.int().min(1).optional(),
    taint: Taint.optional(),
  }),
} as const;

export type InboxKind = keyof typeof INBOX_KINDS;
export type InboxBody<K extends InboxKind> = z.output<(typeof INBOX_KINDS)[K]>;

export function isInboxKind(kind: string): kind is InboxKind {
  return Object.hasOwn(INBOX_KINDS, kind);
}

/** The event that a message becomes; `inbox` is its sequence in the inbox stream. */
export function eventOfInbox(
  kind: Exclude<InboxKind, 'continue' | 'decision'>,
  body: unknown,
  inbox: number,
): RunEvent {
  const message = body as Record<string, unknown>;
  const { v: _version, ...rest } = message;
  switch (kind) {
    case 'release':
      return { type: 'released', ...(rest as { by: string; why: string }), inbox };
    case 'fail':
      return { type: 'limit', code: 'error', detail: clip(`ended by ${String(rest.by)}: ${String(rest.why)}`, 1024) };
    case 'resolve':
      return { type: 'resolved', ...(rest as Omit<InboxBody<'resolve'>, 'v'>), inbox } as RunEvent;
    case 'child':
      return { type: 'child_ended', ...(rest as Omit<InboxBody<'child'>, 'v'>), inbox } as RunEvent;
    case 'timer':
      return { type: 'timer', due: (rest as { due: number }).due, inbox };
    default:
      return { type: kind, ...(rest as { by: string; why: string; scope?: string }), inbox };
  }
}
