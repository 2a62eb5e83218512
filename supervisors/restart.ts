import { askRestart } from '../src/core/restart-budget.ts';
import { backoffDelay, nextChance } from './backoff.ts';
import { type ExitReason, failure, isClean, SHUTDOWN } from './exit-reason.ts';
import type { ChildRecord, Step } from './state.ts';
import { isGroup, planRestart, type RestartPlan } from './strategy.ts';
import type { Turn } from './turn.ts';

/** What follows when a child has ended or could not be started: restart, wait, give up, escalate. */

/** A running child has ended by itself. */
export function childExited(turn: Turn, ended: ChildRecord, reason: ExitReason): void {
  const { restart } = ended.spec;
  const record = turn.update(ended, { status: 'stopped', exit: null });
  if (restart === 'permanent' || (restart === 'transient' && !isClean(reason))) {
    turn.report('child_terminated', record, reason);
    afterExit(turn, record, reason);
    return;
  }
  if (!isClean(reason)) turn.report('child_terminated', record, reason);
  turn.settle(record, true);
  endIfSignificant(turn, record);
}

function afterExit(turn: Turn, record: ChildRecord, reason: ExitReason): void {
  const { backoff } = record.spec;
  if (backoff === null) {
    attempt(turn, record);
    return;
  }
  const quiet = record.upAt !== null && turn.now - record.upAt >= backoff.resetAfterMs;
  const waiting = waitForNext(turn, quiet ? turn.update(record, { failures: 0 }) : record, reason);
  if (waiting === null) return;
  // The rest of the group stops at once; it starts, after the one delay, together with the child.
  const plan = planOf(turn, waiting);
  cancelOthers(turn, plan, waiting);
  if (plan.stop.length > 0) turn.begin({ type: 'restart' }, stops(plan));
}

/** A start in a restart has failed: another try is due, now or after the backoff; the work that it was part of is over. */
export function startFailed(turn: Turn, record: ChildRecord, reason: ExitReason): void {
  waitForNext(turn, record, reason);
}

/** Puts the child on the list of retries; null when it has reached the limit of its own backoff. */
function waitForNext(turn: Turn, record: ChildRecord, reason: ExitReason): ChildRecord | null {
  const { backoff } = record.spec;
  let delay = 0;
  if (backoff !== null) {
    if (backoff.maxRestarts !== null && record.failures >= backoff.maxRestarts) {
      giveUp(turn, record, reason, backoff.maxRestarts);
      return null;
    }
    const { chance, seed } = nextChance(turn.state.seed);
    turn.patch({ seed });
    delay = backoffDelay(backoff, record.failures, chance);
  }
  const key = turn.state.nextKey;
  const retries = turn.state.retries.set(key, { key, slot: record.slot, at: turn.now + delay });
  turn.patch({ retries, nextKey: key + 1 });
  return turn.update(record, { status: 'restarting', retry: key, failures: record.failures + 1 });
}

/** The child stays down. A group cannot do without it: its members were stopped to be started together with it. */
function giveUp(turn: Turn, record: ChildRecord, reason: ExitReason, limit: number): void {
  const { strategy, otpExact } = turn.state.flags;
  turn.report('gave_up', record, reason);
  turn.settle(record, true);
  if (!isGroup(strategy)) endIfSignificant(turn, record);
  else
    turn.end(
      otpExact ? SHUTDOWN : failure('escalated', `the child ${record.spec.id} failed ${limit + 1} times in a row`),
    );
}

/** The earliest retry that is due is tried. */
export function retryDue(turn: Turn): void {
  const due = turn.state.retries.values().filter((retry) => retry.at <= turn.now);
  const first = due.toSorted((a, b) => a.at - b.at || a.key - b.key)[0];
  if (first === undefined) return;
  turn.patch({ retries: turn.state.retries.delete(first.key) });
  const record = turn.state.children.get(first.slot);
  if (record?.retry === first.key) attempt(turn, turn.update(record, { retry: null }));
}

/** One automatic restart: the only thing that the restart intensity counts. */
function attempt(turn: Turn, record: ChildRecord): void {
  const { flags } = turn.state;
  const verdict = askRestart(flags, turn.state.stamps, turn.now);
  turn.patch({ stamps: verdict.stamps });
  if (!verdict.restart) {
    escalate(turn, record);
    return;
  }
  const plan = planOf(turn, turn.update(record, { status: 'restarting' }));
  cancelOthers(turn, plan, record);
  turn.begin({ type: 'restart' }, [...stops(plan), ...plan.start.map(({ slot }): Step => ({ do: 'start', slot }))]);
}

function planOf(turn: Turn, record: ChildRecord): RestartPlan {
  const { strategy, reviveStopped } = turn.state.flags;
  return planRestart(strategy, isGroup(strategy) ? turn.state.children.values() : [], record, reviveStopped);
}

/** The restart of a group makes retries of its members needless. */
function cancelOthers(turn: Turn, plan: RestartPlan, child: ChildRecord): void {
  for (const member of plan.start) {
    if (member.slot === child.slot || member.status !== 'restarting') continue;
    turn.cancelRetry(member);
    turn.update(member, { status: 'stopped', retry: null });
  }
}

function stops(plan: RestartPlan): Step[] {
  return plan.stop.map(({ slot }) => ({ do: 'stop', slots: [slot] }));
}

function escalate(turn: Turn, record: ChildRecord): void {
  const { intensity, periodMs, otpExact } = turn.state.flags;
  const text = `more than ${intensity} restarts within ${periodMs} ms; the last was due for the child ${record.spec.id}`;
  turn.report('shutdown', record, failure('reached_max_restart_intensity', text));
  turn.settle(record, false);
  turn.end(otpExact ? SHUTDOWN : failure('escalated', text));
}

/** A significant child that ended by itself and stays down may end the supervisor. */
function endIfSignificant(turn: Turn, record: ChildRecord): void {
  const { autoShutdown } = turn.state.flags;
  if (!record.spec.significant || autoShutdown === 'never') return;
  if (autoShutdown === 'all_significant') {
    const others = turn.state.children.values().filter((other) => other.spec.significant);
    if (others.some((other) => other.slot !== record.slot && other.status !== 'stopped')) return;
  }
  turn.end(SHUTDOWN);
}
