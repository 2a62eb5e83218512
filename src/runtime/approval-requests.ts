import type { ApprovalNotice, ApprovalRequest, ApprovalState } from '../core/approval-wire.ts';
import { clip, toAppError } from '../core/errors.ts';
import type { RunEvent, RunEventOf } from '../core/events.ts';
import type { StepSummary } from '../core/result.ts';
import type { RunCall, RunContext } from '../core/run-state.ts';
import { streamsOf } from '../core/streams.ts';
import { groupsAt } from '../policy/approvals.ts';
import { askedOf, clusterId, isVerdict } from './approvals.ts';
import type { NodeDeps } from './deps.ts';
import type { EffectScope, WantOf } from './effects.ts';
import { removeMessage } from './remove.ts';
import { argumentsOf, type EntryReader, editedArgs, readerAt, summarise } from './steps.ts';

/**
 * Requests for approvals, as approvers see them. They are stored before the journal says that somebody was asked, and so
 * before the run is parked. The stream holds what is open; the journal is the truth, and what of the stream it
 * contradicts is swept away.
 */

/** Finished steps that an approver sees. */
const STEPS_SHOWN = 3;
/** An older request is looked at by the sweep, milliseconds. */
const SWEPT_AFTER_MS = 60_000;

export async function askApproval(
  scope: EffectScope,
  want: WantOf<'approval_request' | 'approval_escalation'>,
): Promise<RunEvent[]> {
  const { deps, context, log } = scope;
  const { c, approval } = want.call;
  const escalated = want.kind === 'approval_escalation' || approval?.escalated === true;
  const request = await requestFor(scope, want.call, escalated);
  if (request === null) return [];
  const { bus, subjects } = deps;
  const text = JSON.stringify(request);
  for (const group of request.groups) await bus.publish(subjects.approvalRequest(group, context.run, c), text);
  deps.faults.hit('approval.asked');
  const said = { call: c, tool: want.call.tool, groups: request.groups, deadline: request.deadline };
  log.info(want.kind === 'approval_escalation' ? 'approval.escalated' : 'approval.asked', said);
  const given = approval?.given.length ?? 0;
  return [{ type: 'approval_asked', c, given, ...(escalated ? { escalated: true as const } : {}) }];
}

async function requestFor(scope: EffectScope, call: RunCall, escalated: boolean): Promise<ApprovalRequest | null> {
  const { deps, context, accepted, read } = scope;
  const { c } = call;
  const asked = await askedOf(deps, context.run, c);
  const terms = asked?.planned.approval;
  if (asked === null || terms === undefined) return null;
  const definition = await deps.tools.find(call.tool).catch(() => null);
  const { escalate } = terms;
  return {
    v: 1,
    id: `${context.run}:${c}`,
    cluster: await clusterId(deps),
    run: context.run,
    c,
    agent: accepted.agent.name,
    user: accepted.user,
    task: clip(JSON.stringify(accepted.task.input), 4_096),
    tool: call.tool,
    ...(asked.planned.version === undefined ? {} : { tool_version: asked.planned.version }),
    ...(definition === null ? {} : { action: definition.effect }),
    args: await argumentsOf({ c }, read),
    digest: terms.digest,
    risk: terms.risk,
    reason: terms.reasons.map((one) => one.text).join('; '),
    reasons: terms.reasons,
    steps: await lastSteps(deps, context, read),
    created_at: asked.at,
    deadline: asked.planned.approval_until ?? 0,
    policy: terms.policy,
    needed: terms.needed,
    given: await givenOf(call, read),
    groups: groupsAt(terms, escalated ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY),
    ...(escalate === undefined ? {} : { escalation: { ...escalate, done: escalated } }),
  };
}

async function lastSteps(deps: NodeDeps, context: RunContext, read: EntryReader): Promise<StepSummary[]> {
  const refs = context.window.slice(-STEPS_SHOWN);
  const steps = await Promise.all(
    refs.map((ref, i) =>
      summarise(ref, context.steps - refs.length + i + 1, readerAt(ref.from, read, deps.journal, context)),
    ),
  );
  return steps.filter((step) => step !== null);
}

async function givenOf({ c, approval }: RunCall, read: EntryReader): Promise<ApprovalRequest['given']> {
  const given: ApprovalRequest['given'] = [];
  for (const { by, n } of approval?.given ?? []) {
    const entry = await read(n);
    for (const event of entry.events) {
      if (event.type !== 'approval_decided' || event.c !== c || event.by !== by || event.digest === undefined) continue;
      const args = editedArgs(event);
      given.push({
        approver: by,
        at: entry.at,
        why: event.why,
        digest: event.digest,
        ...(args === undefined ? {} : { args }),
      });
    }
  }
  return given;
}

/** The run of whose requests something is told. */
interface Told {
  deps: NodeDeps;
  run: string;
  fold: { context: RunContext };
}

/**
 * Tells approvers what became of their requests, and takes back those that are settled. It never rejects.
 * @param before the calls as they stood before these events: a word about a call that was settled then changed nothing
 */
export function tellApprovers(told: Told, events: RunEvent[], before: RunCall[]): void {
  const settled = new Set<string>();
  for (const event of events) {
    if (!isVerdict(event)) continue;
    const { c } = event;
    if (settled.has(c) || before.find((one) => one.c === c)?.status !== 'approval') continue;
    const call = told.fold.context.calls.find((one) => one.c === c);
    const state = stateAfter(event, call);
    if (state !== 'pending') settled.add(c);
    const word = event.type === 'approval_expired' ? {} : { by: event.by, why: event.why };
    const { needed, given = [] } = call?.approval ?? {};
    const counts = needed === undefined ? {} : { needed, given: given.length };
    withdraw(told, c, { state, ...word, ...counts }).catch((thrown: unknown) => {
      const { message } = toAppError(thrown);
      const consequence = 'it is shown as open until the next sweep; a decision about it counts for nothing';
      told.deps.log.warn('approval.not_withdrawn', { run_id: told.run, call: c, message, consequence });
    });
  }
}

function stateAfter(
  event: RunEventOf<'approval_decided' | 'approval_expired'>,
  call: RunCall | undefined,
): ApprovalState {
  if (event.type === 'approval_expired') return 'timed_out';
  if (event.verdict === 'denied') return 'rejected';
  return call?.status === 'approval' ? 'pending' : 'approved';
}

/** Takes back what is open when the run ends. */
export async function withdrawAll(told: Told): Promise<void> {
  for (const { c, status, approval } of told.fold.context.calls) {
    if (status === 'approval' && approval !== undefined) await withdraw(told, c, { state: 'cancelled' });
  }
}

async function withdraw(
  { deps, run }: Told,
  c: string,
  word: Pick<ApprovalNotice, 'state' | 'by' | 'why' | 'given' | 'needed'>,
): Promise<void> {
  const { bus, subjects, clock } = deps;
  const terms = (await askedOf(deps, run, c))?.planned.approval;
  if (terms === undefined) return;
  const notice: ApprovalNotice = { v: 1, run, c, at: clock.now(), ...word };
  for (const group of groupsAt(terms, Number.POSITIVE_INFINITY)) {
    if (word.state !== 'pending') await remove(deps, subjects.approvalRequest(group, run, c));
    bus.emit(subjects.approvalNotice(group, run, c), JSON.stringify(notice));
  }
}

async function remove(deps: NodeDeps, subject: string): Promise<void> {
  const stream = streamsOf(deps.subjects).approvals.name;
  const open = await deps.bus.last(stream, subject, { authoritative: true });
  if (open !== null) await removeMessage(deps, stream, open);
}

/** Removes requests that the journals know as settled: a node died before it could. Resolves with how many. */
export async function sweepApprovals(deps: NodeDeps): Promise<number> {
  const { bus, subjects, clock, journal } = deps;
  const stream = streamsOf(subjects).approvals.name;
  let removed = 0;
  for await (const message of bus.scan(stream, subjects.approvalRequest('*', '*', '*'))) {
    const { subject, at } = message;
    if (clock.now() - at < SWEPT_AFTER_MS) continue;
    const [run = '', c = ''] = subject.split('.').slice(-2);
    const fold = await journal.load(run).catch(() => null);
    fold?.stop();
    if (fold === null) continue;
    if (!fold.ended && fold.context.calls.some((call) => call.c === c && call.status === 'approval')) continue;
    if (await removeMessage(deps, stream, message)) removed++;
  }
  return removed;
}
