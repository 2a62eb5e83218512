import { Group } from '../core/approval-rules.ts';
import {
  ApprovalRequest,
  type ApproverInfo,
  ApproverRecord,
  type OpenPage,
  OpenQuery,
  RefusedDecision,
} from '../core/approval-wire.ts';
import type { ApiBody } from '../core/door-wire.ts';
import { AppError, describeFaults } from '../core/errors.ts';
import { streamsOf } from '../core/streams.ts';
import type { Subscription } from '../ports/bus.ts';
import { approverOf } from './approvals.ts';
import type { NodeDeps } from './deps.ts';

/** What nodes answer about approvals: approvers about what is open, operators about approvers and what was refused. */

/** Bytes of JSON that one answer may hold; the server takes 1 MB. */
const PAGE_BYTES = 500 * 1024;

/** Two subjects, so that rights can be given for one group. */
export function serveOpenRequests(deps: NodeDeps): Subscription[] {
  const { bus, subjects } = deps;
  const all = subjects.approvalsOpen();
  return [all, `${all}.*`].map((subject) =>
    bus.serve(
      subject,
      async (request) => {
        const group = request.subject === all ? undefined : request.subject.split('.').at(-1);
        if (group !== undefined && !Group.safeParse(group).success) {
          throw new AppError('invalid_request', 'subject: expected the name of a group', { field: 'subject' });
        }
        return JSON.stringify(await openRequests(deps, group, queryIn(request.data)));
      },
      { queue: 'apr' },
    ),
  );
}

function queryIn(data: string): OpenQuery {
  let value: unknown;
  try {
    value = data.trim() === '' ? {} : JSON.parse(data);
  } catch {
    throw new AppError('invalid_request', 'body: expected JSON', { field: 'body' });
  }
  const query = OpenQuery.safeParse(value);
  if (query.success) return query.data;
  const { message, field } = describeFaults(query.error, 'body');
  throw new AppError('invalid_request', message, { field });
}

/** Each once, also when several groups are asked; one whose deadline has passed is not open. */
async function openRequests(deps: NodeDeps, group: string | undefined, query: OpenQuery): Promise<OpenPage> {
  const { bus, subjects, clock } = deps;
  const now = clock.now();
  const requests: ApprovalRequest[] = [];
  const ids = new Set<string>();
  let bytes = 0;
  const filter = subjects.approvalRequest(group ?? '*', '*', '*');
  const stream = streamsOf(subjects).approvals.name;
  for await (const { seq, data, subject } of bus.scan(stream, filter, { fromSequence: query.after + 1 })) {
    if (requests.length >= query.limit || bytes > PAGE_BYTES) return { requests, next: seq - 1, now };
    const read = ApprovalRequest.safeParse(JSON.parse(data));
    if (!read.success || read.data.deadline <= now || ids.has(read.data.id)) continue;
    // The message of its first group stands for all.
    if (group === undefined && subject.split('.').at(-3) !== read.data.groups[0]) continue;
    ids.add(read.data.id);
    bytes += data.length;
    requests.push(read.data);
  }
  return { requests, next: null, now };
}

export async function listApprovers(deps: NodeDeps, history: boolean): Promise<{ approvers: ApproverInfo[] }> {
  const { bus, subjects } = deps;
  const approvers: ApproverInfo[] = [];
  const stream = streamsOf(subjects).approvers.name;
  for await (const { data, at } of bus.scan(stream, subjects.approver(), history ? {} : { lastPerSubject: true })) {
    const read = ApproverRecord.safeParse(JSON.parse(data));
    if (!read.success) continue;
    const { v: _version, ...record } = read.data;
    approvers.push({ ...record, at });
  }
  if (!history) approvers.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { approvers };
}

export async function putApprover(deps: NodeDeps, body: ApiBody<'approver_put'>): Promise<{ ok: true; name: string }> {
  const { name } = body;
  const known = await approverOf(deps, name);
  if (known !== null && !known.revoked && known.public_key !== body.public_key) {
    const text = `${name} has a key already, of ${known.groups.join(', ')}: revoke it first, or choose another name`;
    throw new AppError('key_taken', text, { field: 'name' });
  }
  const { approvers } = await listApprovers(deps, true);
  const other = approvers.find((one) => one.public_key === body.public_key && (one.name !== name || one.revoked));
  if (other !== undefined) {
    const text = `this key ${other.revoked ? 'was revoked' : `belongs to ${other.name}`}: make another one`;
    throw new AppError('key_used', text, { field: 'public_key' });
  }
  await store(deps, { ...body, revoked: false });
  return { ok: true, name };
}

export async function revokeApprover(
  deps: NodeDeps,
  { name, by, why }: ApiBody<'approver_revoke'>,
): Promise<{ ok: true; name: string }> {
  const known = await approverOf(deps, name);
  if (known === null) throw new AppError('unknown_approver', `nobody is known as "${name}"`, { field: 'name' });
  if (known.revoked) throw new AppError('already_revoked', `the key of ${name} is revoked already`, { field: 'name' });
  await store(deps, { ...known, revoked: true, by, why });
  return { ok: true, name };
}

async function store({ bus, subjects, log }: NodeDeps, record: ApproverRecord): Promise<void> {
  const { name, public_key, groups, users, revoked, by, why } = record;
  const text = JSON.stringify({ v: 1, name, public_key, groups, users, revoked, by, why });
  await bus.publish(subjects.approver(name), text);
  log.warn(revoked ? 'approver.revoked' : 'approver.added', { approver: name, public_key, groups, by, why });
}

export async function listRefused(
  { bus, subjects }: NodeDeps,
  { after, limit }: ApiBody<'refused_decisions'>,
): Promise<{ refused: RefusedDecision[]; next: number | null }> {
  const refused: RefusedDecision[] = [];
  const filter = subjects.audit('decision', '*');
  for await (const { seq, data } of bus.scan(streamsOf(subjects).audit.name, filter, { fromSequence: after + 1 })) {
    if (refused.length >= limit) return { refused, next: seq - 1 };
    const read = RefusedDecision.safeParse(JSON.parse(data));
    if (read.success) refused.push(read.data);
  }
  return { refused, next: null };
}
