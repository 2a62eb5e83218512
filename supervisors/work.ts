import { type ExitReason, failure, reasonText, shutdownWith } from './exit-reason.ts';
import type { Reply } from './requests.ts';
import { startFailed } from './restart.ts';
import type { Ref } from './spec-types.ts';
import { type ChildRecord, type Deadline, refOf, type Step, type Waiting, type Work } from './state.ts';
import { withFields } from './supervisor-spec.ts';
import type { Turn } from './turn.ts';

/**
 * Starting and stopping, a step at a time. A start ends before the next begins; a stop is confirmed before the next
 * begins, only the children of a dynamic supervisor are stopped together.
 */

/** Takes steps until something has to be waited for or the work is done. */
export function advance(turn: Turn): void {
  let { work } = turn.state;
  while (work !== null && work.waiting === null) {
    const step: Step | undefined = work.steps[work.next];
    if (step === undefined) finish(turn, work);
    else {
      turn.patch({ work: { ...work, next: work.next + 1 } });
      if (step.do === 'stop') stopAll(turn, step.slots);
      else start(turn, step.slot);
    }
    work = turn.state.work;
  }
}

function start(turn: Turn, slot: number): void {
  const found = turn.state.children.get(slot);
  if (found === undefined || found.spec.run === null) return;
  const { spec } = found;
  const { run } = found.spec;
  const incarnation = found.incarnation + 1;
  const ref = refOf(turn.state, slot, incarnation);
  turn.update(found, {
    spec: spec.restart === 'temporary' ? { ...spec, run: null, input: undefined } : spec,
    status: 'starting',
    incarnation,
    restarts: found.incarnation === 0 ? 0 : found.restarts + 1,
  });
  const deadline = spec.startMs === 'infinity' ? null : turn.now + spec.startMs;
  wait(turn, { for: 'start', slot, ref, deadline });
  const { extraInput } = turn.state.flags;
  const input = extraInput === null ? spec.input : withFields(extraInput, spec.input);
  turn.command({ type: 'start', ref, id: spec.id, run, input, spec });
}

function wait(turn: Turn, waiting: Waiting | null): void {
  const { work } = turn.state;
  if (work !== null) turn.patch({ work: { ...work, waiting } });
}

/** The record that is being started as `ref`. */
export function beingStarted(turn: Turn, ref: Ref): ChildRecord | undefined {
  const waiting = turn.state.work?.waiting;
  return waiting?.for === 'start' && waiting.ref === ref ? turn.state.children.get(waiting.slot) : undefined;
}

export function started(turn: Turn, record: ChildRecord, ref: Ref, info: unknown): void {
  const up = turn.update(record, { status: 'running', ref, exit: null, upAt: turn.now, resting: false });
  turn.progress(up);
  answer(turn, { ok: true, ref, ...(info === undefined ? {} : { info }) });
  wait(turn, null);
}

export function ignored(turn: Turn, record: ChildRecord): void {
  turn.settle(record, true);
  answer(turn, { ok: true, ref: null });
  wait(turn, null);
}

export function failed(turn: Turn, record: ChildRecord, ref: Ref, reason: ExitReason, alreadyStarted?: Ref): void {
  const { work } = turn.state;
  if (work === null) return;
  wait(turn, null);
  switch (work.purpose.type) {
    case 'init': {
      turn.report('start_error', record, reason, ref);
      turn.settle(record, false);
      abandonInit(turn, shutdownWith(`failed_to_start_child(${record.spec.id}, ${reasonText(reason)})`, reason));
      break;
    }
    case 'restart': {
      turn.report('start_error', record, reason, ref);
      turn.patch({ work: null });
      startFailed(turn, record, reason);
      break;
    }
    default: {
      if (work.purpose.type === 'start_child') turn.patch({ children: turn.state.children.delete(record.slot) });
      else turn.settle(record, true);
      if (alreadyStarted === undefined) answer(turn, { ok: false, error: 'start_failed', reason });
      else answer(turn, { ok: false, error: 'already_started', ref: alreadyStarted });
      turn.patch({ work: null });
    }
  }
}

/** What is up of the initial children is stopped, then the start has failed. */
function abandonInit(turn: Turn, reason: ExitReason): void {
  turn.begin({ type: 'init_failed', reason }, turn.stopAll());
}

/** A start is not waited for any longer, because the supervisor is to end. */
export function abandonStart(turn: Turn, reason: ExitReason): void {
  const { work } = turn.state;
  const record = work?.waiting?.for === 'start' ? turn.state.children.get(work.waiting.slot) : undefined;
  if (work?.waiting?.for !== 'start' || record === undefined) return;
  turn.command({ type: 'kill', ref: work.waiting.ref });
  turn.settle(record, false);
  answer(turn, { ok: false, error: 'stopping' });
  if (work.purpose.type === 'init') abandonInit(turn, reason);
  else turn.end(reason);
}

function answer(turn: Turn, reply: Reply): void {
  const purpose = turn.state.work?.purpose;
  if (purpose?.type === 'start_child' || purpose?.type === 'restart_child') turn.reply(purpose.call, reply);
  else if (purpose?.type === 'resize' && !reply.ok) turn.reply(purpose.call, reply);
}

function stopAll(turn: Turn, slots: readonly number[]): void {
  const byDeadline = new Map<number, number[]>();
  let left = 0;
  for (const slot of slots) {
    const record = turn.state.children.get(slot);
    if (record?.status !== 'running') continue;
    if (record.exit !== null) {
      down(turn, record, record.exit);
      continue;
    }
    left += 1;
    const { ref } = turn.update(record, { status: 'stopping' });
    if (ref === null) continue;
    const { shutdown } = record.spec;
    if (shutdown !== 'brutal_kill') turn.command({ type: 'shutdown', ref });
    if (shutdown === 'brutal_kill' || shutdown === 0) turn.command({ type: 'kill', ref });
    else if (shutdown !== 'infinity') {
      const at = turn.now + shutdown;
      const due = byDeadline.get(at);
      if (due === undefined) byDeadline.set(at, [slot]);
      else due.push(slot);
    }
  }
  const deadlines = [...byDeadline].map(([at, due]): Deadline => ({ at, slots: due }));
  if (left > 0) wait(turn, { for: 'stops', left, deadlines });
}

/** A child that was being stopped has ended. */
export function stopped(turn: Turn, record: ChildRecord, reason: ExitReason): void {
  down(turn, record, reason);
  const waiting = turn.state.work?.waiting;
  if (waiting?.for === 'stops') wait(turn, waiting.left <= 1 ? null : { ...waiting, left: waiting.left - 1 });
}

function down(turn: Turn, record: ChildRecord, reason: ExitReason): void {
  if (!isAcceptable(record, reason)) turn.report('shutdown_error', record, reason);
  const purpose = turn.state.work?.purpose.type;
  turn.settle(record, purpose === 'terminate_child' || purpose === 'resize');
}

/** Whether a child that was asked to end may end so. */
function isAcceptable(record: ChildRecord, reason: ExitReason): boolean {
  if (reason.type === 'killed') return record.spec.shutdown === 'brutal_kill';
  if (reason.type === 'error') return false;
  return (reason.type === 'shutdown' && reason.detail === undefined) || record.spec.restart !== 'permanent';
}

/** A deadline of what is waited for may have passed. */
export function timePassed(turn: Turn, waiting: Waiting): void {
  if (waiting.for === 'start') {
    const record = turn.state.children.get(waiting.slot);
    if (record === undefined || waiting.deadline === null || waiting.deadline > turn.now) return;
    turn.command({ type: 'kill', ref: waiting.ref });
    const text = `not up within ${record.spec.startMs} ms (startMs)`;
    failed(turn, record, waiting.ref, failure('start_timeout', text));
    return;
  }
  const due = waiting.deadlines.filter((deadline) => deadline.at <= turn.now);
  if (due.length === 0) return;
  wait(turn, { ...waiting, deadlines: waiting.deadlines.filter((deadline) => deadline.at > turn.now) });
  for (const slot of due.flatMap((deadline) => deadline.slots)) {
    const record = turn.state.children.get(slot);
    if (record?.status === 'stopping' && record.ref !== null) turn.command({ type: 'kill', ref: record.ref });
  }
}

function finish(turn: Turn, { purpose }: Work): void {
  turn.patch({ work: null });
  switch (purpose.type) {
    case 'init':
      turn.patch({ started: true });
      turn.command({ type: 'up' });
      break;
    case 'init_failed':
      turn.over(purpose.reason);
      turn.command({ type: 'init_failed', reason: purpose.reason });
      break;
    case 'end':
      turn.over(purpose.reason);
      turn.command({ type: 'ended', reason: purpose.reason });
      break;
    case 'terminate_child':
      turn.reply(purpose.call, { ok: true });
      break;
    case 'resize':
      turn.reply(purpose.call, { ok: true, size: purpose.before });
      break;
    default:
  }
}
