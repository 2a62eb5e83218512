import { ApproverRecord, type DecisionPayload, type RefusedDecision, readPayload } from '../core/approval-wire.ts';
import { digestOf } from '../core/canonical.ts';
import { AppError, clip, toAppError } from '../core/errors.ts';
import type { RunEvent, RunEventOf } from '../core/events.ts';
import { isCallId, isRunId, parseCallId } from '../core/ids.ts';
import { MAX_GIVEN, type RunContext } from '../core/run-state.ts';
import { Signed } from '../core/signed.ts';
import { streamsOf } from '../core/streams.ts';
import { parseDecisionId } from '../core/subjects.ts';
import { judgeDecision, type Refusal } from '../policy/approvals.ts';
import { judgeCall } from '../policy/permissions/judge.ts';
import type { StoredMessage } from '../ports/bus.ts';
import type { NodeDeps } from './deps.ts';

/**
 * Decisions of approvers. One counts when its signature is that of a key which is in force, and everything in it is about
 * this call: then it becomes an event of the run, with the signature. Any other is kept in the audit, and the run never
 * hears of it.
 */

/** What the checks need of a node. */
export type ApprovalDeps = Pick<
  NodeDeps,
  'bus' | 'subjects' | 'clock' | 'ids' | 'log' | 'journal' | 'tools' | 'validator' | 'signatures' | 'policies'
>;

/** A decision, read: the event that it becomes, or why it counts for nothing. */
export type Judged = { event: RunEventOf<'approval_decided'> } | { refusal: Refusal };

type Accepted = RunEventOf<'accepted'>;
interface Asked {
  accepted: Accepted;
  planned: NonNullable<RunEventOf<'decided'>['calls']>[number];
  at: number;
}

/** The id of this cluster: whoever comes first writes it. */
export async function clusterId({ bus, subjects, ids }: ApprovalDeps): Promise<string> {
  const subject = subjects.clusterId;
  const stream = streamsOf(subjects).cluster.name;
  const known = await bus.last(stream, subject, { authoritative: true });
  if (known !== null) return known.data;
  const id = ids.random();
  try {
    await bus.publish(subject, id);
    return id;
  } catch (thrown) {
    if (toAppError(thrown).code !== 'taken') throw thrown;
  }
  const other = await bus.last(stream, subject, { authoritative: true });
  if (other === null) throw new AppError('unavailable', 'the id of the cluster cannot be read', { retryable: true });
  return other.data;
}

/** The record about an approver that is in force. */
export async function approverOf({ bus, subjects }: ApprovalDeps, name: string): Promise<ApproverRecord | null> {
  const stored = await bus.last(streamsOf(subjects).approvers.name, subjects.approver(name), { authoritative: true });
  if (stored === null) return null;
  const record = ApproverRecord.safeParse(parsedJson(stored.data));
  return record.success && record.data.name === name ? record.data : null;
}

/** Whether the key ever was the approver's: what was approved with it stands, also when it is revoked later. */
export async function wasKeyOf({ bus, subjects }: ApprovalDeps, name: string, key: string): Promise<boolean> {
  for await (const { data } of bus.scan(streamsOf(subjects).approvers.name, subjects.approver(name))) {
    const record = ApproverRecord.safeParse(parsedJson(data));
    if (record.success && record.data.name === name && record.data.public_key === key) return true;
  }
  return false;
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What was asked about a call; null when it was never decided, or needs no approval. */
export async function askedOf(
  { journal }: Pick<ApprovalDeps, 'journal'>,
  run: string,
  c: string,
): Promise<Asked | null> {
  if (!isCallId(c)) return null;
  const { entry: n, index } = parseCallId(c);
  const [first, entry] = await Promise.all([journal.entry(run, 0), journal.entry(run, n)]);
  const accepted = first?.events.find((event) => event.type === 'accepted');
  const planned = entry?.events.find((event) => event.type === 'decided')?.calls?.[index];
  if (accepted === undefined || planned?.approval === undefined || entry === null) return null;
  return { accepted, planned, at: entry.at };
}

/**
 * Reads a decision and everything that does not change: the key in force, the call as it was decided. Nothing of the
 * message is believed before its signature is.
 */
export async function judge(deps: ApprovalDeps, message: StoredMessage): Promise<Judged> {
  const no = (code: string, text: string): Judged => ({ refusal: { code, message: clip(text, 2_048) } });
  const address = deps.subjects.parseInbox(message.subject);
  const id = parseDecisionId(address?.id ?? '');
  if (address === null || id === null || !isRunId(address.run)) {
    return no('malformed', 'subject: expected in.<run>.decision.<c>-<approver>');
  }
  const read = signedOf(message.data);
  if ('refusal' in read) return read;
  const { signed, decision } = read;
  const [approver, asked, cluster] = await Promise.all([
    approverOf(deps, id.approver),
    askedOf(deps, address.run, id.c),
    clusterId(deps),
  ]);
  const refusal = judgeDecision({
    decision,
    address: { run: address.run, ...id },
    key: signed.key,
    isSigned: deps.signatures.verify(signed.key, signed.payload, signed.signature),
    approver,
    cluster,
    user: asked?.accepted.user ?? '',
    call:
      asked?.planned.approval === undefined
        ? null
        : { terms: asked.planned.approval, until: asked.planned.approval_until ?? 0 },
    now: deps.clock.now(),
  });
  if (refusal !== null) return { refusal };
  const edit = decision.edited === undefined || asked === null ? null : await editFault(deps, asked, decision.edited);
  if (edit !== null) return { refusal: edit };
  return {
    event: {
      type: 'approval_decided',
      c: id.c,
      verdict: decision.verdict === 'approve' ? 'approved' : 'denied',
      by: id.approver,
      why: decision.why,
      digest: decision.edited?.digest ?? decision.digest,
      ...(decision.edited === undefined ? {} : { edited: true as const }),
      signed,
      inbox: message.seq,
    },
  };
}

function signedOf(data: string): { signed: Signed; decision: DecisionPayload } | { refusal: Refusal } {
  const { v, ...rest } = (parsedJson(data) ?? {}) as { v?: unknown };
  const signed = Signed.safeParse(rest);
  if ((v !== undefined && v !== 1) || !signed.success) {
    return {
      refusal: { code: 'malformed', message: 'expected {"v": 1, "key", "payload", "signature"}: docs/approvals.md' },
    };
  }
  try {
    return { signed: signed.data, decision: readPayload(signed.data.payload) };
  } catch (thrown) {
    const { code, message } = toAppError(thrown);
    return { refusal: { code, message } };
  }
}

/** Arguments of an approver are checked like those of a model. */
async function editFault(
  { signatures, tools, validator, policies }: ApprovalDeps,
  { accepted, planned: { tool } }: Asked,
  { args, digest }: NonNullable<DecisionPayload['edited']>,
): Promise<Refusal | null> {
  if (digestOf(signatures, args) !== digest) {
    return {
      code: 'edited_digest',
      message: 'edited.digest: expected the SHA-256 of the canonical text of edited.args',
    };
  }
  const definition = await tools.find(tool);
  if (definition === null) {
    return { code: 'unknown_tool', message: `no worker announces ${tool} now: its arguments cannot be checked` };
  }
  const fault = validator.faults(definition.parameters, args);
  if (fault !== null) return { code: 'edited_invalid', message: `edited.args: ${fault.message}` };
  // Who may approve a call may not make another one of it that the policy denies. Taint is about the tool alone.
  const policy = await policies.over(accepted.policy);
  const agents = [accepted.agent.name, ...(accepted.above ?? []).map(({ agent }) => agent)];
  const { refused } = judgeCall({ policy, user: accepted.user, agents, definition, args, taint: null });
  return refused === null ? null : { code: 'edited_denied', message: `edited.args: ${refused.message}` };
}

/** Why the run does not take a decision that is right in itself; null when it does. */
export function notTaken(context: RunContext, { c, by }: RunEventOf<'approval_decided'>): Refusal | null {
  const call = context.calls.find((one) => one.c === c);
  if (call?.status !== 'approval' || context.end !== null) {
    return { code: 'not_pending', message: `call ${c} waits for no approval any more: it was decided, or is over` };
  }
  const given = call.approval?.given ?? [];
  if (given.some((one) => one.by === by)) {
    return { code: 'decided_before', message: `${by} has decided about call ${c}: the first word counts` };
  }
  if (given.length >= MAX_GIVEN) {
    return { code: 'too_many', message: `${given.length} approvers approved call ${c}, not all the same arguments` };
  }
  return null;
}

/** Keeps a decision that counts for nothing, once, and says so to whoever listens. */
export async function refuse(
  deps: ApprovalDeps,
  message: StoredMessage & { created: string },
  { code, message: text }: Refusal,
): Promise<void> {
  const { bus, subjects, log, signatures, clock } = deps;
  const address = subjects.parseInbox(message.subject);
  const id = parseDecisionId(address?.id ?? '');
  const [run, c, approver] = [address?.run ?? '', id?.c ?? '', id?.approver ?? ''].map((one) => clip(one, 256)) as [
    string,
    string,
    string,
  ];
  const record: RefusedDecision = {
    v: 1,
    kind: 'decision_refused',
    at: message.at,
    subject: clip(message.subject, 1_024),
    run,
    c,
    approver,
    code,
    message: clip(text, 2_048),
    sha256: signatures.sha256(message.data),
  };
  try {
    await bus.publish(subjects.audit('decision', `${message.created}-${message.seq}`), JSON.stringify(record));
  } catch (thrown) {
    if (toAppError(thrown).code !== 'taken') throw thrown;
  }
  log.warn('approval.refused', { run_id: run, call: c, approver, code, message: clip(text, 500) });
  if (!isRunId(run) || !isCallId(c)) return;
  const terms = (await askedOf(deps, run, c))?.planned.approval;
  const groups =
    terms === undefined ? [] : [...terms.groups, ...(terms.escalate === undefined ? [] : [terms.escalate.group])];
  const notice = {
    v: 1,
    run,
    c,
    at: clock.now(),
    state: 'pending',
    refused: { approver, code, message: record.message },
  };
  for (const group of new Set(groups)) bus.emit(subjects.approvalNotice(group, run, c), JSON.stringify(notice));
}

/** Whether an event is about a request that approvers see. */
export function isVerdict(event: RunEvent): event is RunEventOf<'approval_decided' | 'approval_expired'> {
  return event.type === 'approval_decided' || event.type === 'approval_expired';
}
