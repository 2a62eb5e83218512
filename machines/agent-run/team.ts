import { askRestart } from '../../src/core/restart-budget.ts';
import type { RunCall, RunContext } from '../../src/core/run-state.ts';
import { callFailed, callSucceeded } from './calls.ts';
import type { ChartEventOf } from './context.ts';

/**
 * The runs that a step delegates to, as a supervisor's children (SUP-8): transient, in the order of their calls, under
 * the strategy of their agent. Who has to go is told and awaited first, in the reverse order; when the last of them has
 * ended all are started again, in order. A restart too many gives the team up: who still works is told to stop, and the
 * step ends with their failures.
 */

type Ended = ChartEventOf<'child_ended'>;

/** Waits for the end of its run, whatever becomes of the call then. */
const AWAITED: readonly RunCall['status'][] = ['child', 'child_ready', 'stopping'];

/** Whether the event is the end of the run that the call waits for, rather than of one before it. */
export function awaitsEnd(context: RunContext, { c, attempt }: Pick<Ended, 'c' | 'attempt'>): boolean {
  return context.calls.some(
    (call) => call.c === c && AWAITED.includes(call.status) && (call.attempt ?? 0) === (attempt ?? 0),
  );
}

export function memberEnded(context: RunContext, event: Ended): Partial<RunContext> {
  const spent = {
    input_tokens: context.input_tokens + event.usage.input_tokens,
    output_tokens: context.output_tokens + event.usage.output_tokens,
    cost_usd: context.cost_usd + event.usage.cost_usd,
  };
  const taint = context.taint ?? event.taint;
  return { ...settled(context, event), ...spent, ...(taint === undefined ? {} : { taint }) };
}

function settled(context: RunContext, event: Ended): Partial<RunContext> {
  const call = context.calls.find((one) => one.c === event.c);
  if (call === undefined) return {};
  if (call.status === 'stopping') {
    if (call.given_up === true) return { calls: withStatus(context.calls, call.c, 'failed', event.n) };
    return { calls: startedWhenStopped(withStatus(context.calls, call.c, 'stopped')) };
  }
  if (event.outcome === 'success') return callSucceeded(context, event, 0);
  const { team } = context;
  if (team === undefined || !isAbnormal(event)) return callFailed(context, event, 0);
  const { restart, stamps } = askRestart(
    { intensity: team.intensity, periodMs: team.period_ms },
    team.restarts,
    event.at,
  );
  const failed = context.calls.map((one): RunCall => (one === call ? { ...one, status: 'stopped' } : one));
  if (!restart) return givenUp(context, event);
  const index = context.calls.indexOf(call);
  const concerned = (i: number) =>
    team.strategy === 'one_for_all' || (team.strategy === 'rest_for_one' && i >= index) || i === index;
  return {
    team: { ...team, restarts: stamps },
    calls: startedWhenStopped(failed.map((one, i) => (concerned(i) ? leaving(one) : one))),
  };
}

/** Cancelled or killed is an order, and no failure that a restart could mend. */
function isAbnormal({ outcome, error }: Ended): boolean {
  return (outcome === 'failure' || outcome === 'timeout') && error?.code !== 'killed';
}

/** One that has to be started again: at once when its run is over, like one that had done its part. */
function leaving(call: RunCall): RunCall {
  if (call.status === 'child') return { ...call, status: 'stopping' };
  return call.status === 'done' ? { ...call, status: 'stopped' } : call;
}

/** When nobody has to be waited for, those that are down become new calls for a run. */
function startedWhenStopped(calls: RunCall[]): RunCall[] {
  if (calls.some((call) => call.status === 'stopping')) return calls;
  return calls.map((call) => {
    if (call.status !== 'stopped') return call;
    const { child: _over, outcome: _forgotten, told: _too, ...rest } = call;
    return { ...rest, status: 'child_ready', attempt: (call.attempt ?? 0) + 1 };
  });
}

function givenUp(context: RunContext, event: Ended): Partial<RunContext> {
  const calls = context.calls.map((call): RunCall => {
    if (call.c === event.c) return { ...call, status: 'failed', outcome: event.n };
    // One whose start is not journalled yet may be at work all the same.
    const begun = call.status === 'child' || call.status === 'child_ready';
    return begun ? { ...call, status: 'stopping', given_up: true } : call;
  });
  return { calls };
}

function withStatus(calls: RunCall[], c: string, status: RunCall['status'], outcome?: number): RunCall[] {
  return calls.map((call) =>
    call.c === c ? { ...call, status, ...(outcome === undefined ? {} : { outcome }) } : call,
  );
}

/** A member was told to stop: whoever comes next need not tell it again. */
export function memberStopped(context: RunContext, { c, run }: ChartEventOf<'member_stopped'>): Partial<RunContext> {
  const isMeant = (call: RunCall) => call.c === c && call.status === 'stopping' && (call.child ?? run) === run;
  return { calls: context.calls.map((call) => (isMeant(call) ? { ...call, told: true, child: run } : call)) };
}

/** The members of a new step have not been started again yet. */
export function freshTeam({ team }: RunContext): Partial<RunContext> {
  return team === undefined || team.restarts.length === 0 ? {} : { team: { ...team, restarts: [] } };
}
