import { z } from 'zod';
import { ApproverName } from '../../core/approval-rules.ts';
import { AppError, describeFaults } from '../../core/errors.ts';
import { CallId, RunId } from '../../core/events.ts';
import { HumanOutcome, PersonNote } from '../../core/human-wire.ts';
import { ActorAddress } from '../../core/inspect-wire.ts';
import { Json } from '../../core/json.ts';
import { LimitOverrides } from '../../core/limits.ts';
import { Signed } from '../../core/signed.ts';
import { SwitchScope } from '../../core/switch-scope.ts';
import { SWITCH_MODES } from '../../core/switch-wire.ts';
import { RUN_SORTS } from '../wire.ts';

/** What the page sends, checked. */

const Why = z.string().trim().min(1, 'say why: whoever reads the journal later will ask').max(1024);
const Name = z.string().min(1).max(128);

export const LoginBody = z.strictObject({ token: z.string().min(1).max(512) });

export const WatchBody = z.strictObject({
  n: z.int().min(1),
  overview: z.boolean(),
  cluster: z.boolean(),
  approvals: z.boolean(),
  list: z.boolean(),
  runs: z.array(RunId).max(500),
  run: z.strictObject({ id: RunId, from: z.int().min(0) }).nullable(),
  actor: z.strictObject({ node: Name, ...ActorAddress.shape }).nullable(),
});

export const QueryBody = z.strictObject({
  text: z.string().max(200),
  states: z.array(z.string().max(32)).max(16),
  needs: z.boolean(),
  sort: z.enum(RUN_SORTS),
  offset: z.int().min(0),
  limit: z.int().min(1).max(500),
});

export const RunOrderBody = z.discriminatedUnion('order', [
  z.strictObject({ order: z.enum(['cancel', 'pause', 'resume', 'retry', 'release', 'fail']), why: Why }),
  z.strictObject({ order: z.literal('kill'), why: Why }),
  z.strictObject({ order: z.literal('continue'), why: Why, limits: LimitOverrides.optional() }),
]);

export const ResolveBody = z.discriminatedUnion('verdict', [
  z.strictObject({ c: CallId, why: Why, verdict: z.literal('done'), result: Json.optional() }),
  z.strictObject({ c: CallId, why: Why, verdict: z.enum(['repeat', 'fail']) }),
]);

/** A decision as it was signed in the browser. */
export const DecideBody = z.strictObject({ run: RunId, c: CallId, approver: ApproverName, ...Signed.shape });

export const QueueBody = z.discriminatedUnion('order', [
  z.strictObject({ order: z.enum(['claim', 'release']) }),
  z.strictObject({
    order: z.literal('done'),
    outcome: HumanOutcome,
    answer: Json.optional(),
    note: PersonNote.optional(),
  }),
]);

export const BreakerBody = z.strictObject({ target: z.string().min(1).max(160), why: Why });

export const SwitchBody = z.strictObject({
  scope: SwitchScope,
  mode: z.enum([...SWITCH_MODES, 'revive']),
  why: Why,
  /** The scope once more, typed by the person. */
  confirm: z.string().max(300),
});

export const NodeOrderBody = z.strictObject({ node: Name, order: z.enum(['cordon', 'drain', 'uncordon']), why: Why });
export const DeadLetterBody = z.strictObject({ id: z.string().min(1).max(512) });

/** The largest is a decision with the arguments that it is about. */
export const MAX_BODY = 640 * 1024;

/** Throws AppError `invalid_request`, which names the field. */
export function checked<S extends z.ZodType>(schema: S, body: unknown): z.output<S> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const { message, field } = describeFaults(parsed.error, 'body');
  throw new AppError('invalid_request', message, { field });
}
