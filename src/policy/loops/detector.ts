import type { Anomaly } from '../../core/anomalies.ts';
import { type Decision, membersOf } from '../../core/decision.ts';
import type { ErrorInfo } from '../../core/errors.ts';
import type { PlannedCall, RunEvent, RunEventOf } from '../../core/events.ts';
import { parseCallId } from '../../core/ids.ts';
import type { Json } from '../../core/json.ts';
import type { LoopState, LoopVerdict } from '../../core/loops.ts';
import { addStep, noCycle } from './cycle.ts';
import { printOf, printOfAll, printOfFailure } from './fingerprint.ts';
import { likeness, wordsOf, wordsOfArguments } from './words.ts';

/**
 * What a run's journal says of loops, folded event by event beside the chart: the same on every node and in every
 * replay. A step costs the same however long the run is, and what is remembered is bounded.
 *
 * A result that differs is progress: only a tool can say (`volatile`) that its results differ without meaning it.
 */

type OpenStep = NonNullable<LoopState['open']>;
type OpenCall = OpenStep['calls'][number];
type Decided = RunEventOf<'decided'>;

/** Calls among which the tools are counted. */
const LAST_CALLS = 10;
/** From which share of common words on two reasons are nearly the same, and two sets of arguments. */
const LIKE_REASONING = 0.5;
const LIKE_ARGUMENTS = 0.8;
/** What is said to have come of a call whose results say nothing. */
const SOMETHING = 1;

/** Code of a call that is refused because it goes on with a loop. */
export const LOOP_REFUSAL = 'loop_detected';

export function noLoops(): LoopState {
  return {
    v: 1,
    open: null,
    acts: noCycle(),
    thoughts: noCycle(),
    last: { callee: '', tools: 0, got: 0, reasoning: [], args: [] },
    error: { of: 0, count: 0 },
    same: 0,
    similar: 0,
    tools: [],
    said: {},
  };
}

/** Folds one event of entry `n`; the state is changed in place. */
export function foldLoops(state: LoopState, event: RunEvent, n: number): void {
  switch (event.type) {
    case 'decided':
      state.said = saidBy(event.loop, event.anomalies);
      decided(state, event, n);
      return;
    case 'loop':
      state.said = saidBy(event.loop, state.said.anomalies);
      return;
    case 'think_failed':
      state.said = saidBy(state.said.loop, event.anomalies);
      failedLike(state, printOf('model'), 'model', event.error);
      return;
    case 'call_done': {
      const { blob, result } = event;
      settle(state, event.c, (call) => (blob === undefined ? gotOf(call, result) : printOf(blob.sha256)));
      return;
    }
    case 'call_failed':
      fail(state, event.c, event.error);
      return;
    case 'child_ended':
      if (event.outcome === 'success') settle(state, event.c, (call) => gotOf(call, event.answer));
      else fail(state, event.c, event.error ?? { code: event.outcome, message: '', retryable: false });
      return;
    case 'resolved':
      if (event.verdict === 'done') settle(state, event.c, (call) => gotOf(call, event.result ?? null));
      if (event.verdict === 'fail') fail(state, event.c, { code: 'failed_by_person', message: '', retryable: false });
      return;
    case 'approval_decided':
      if (event.verdict === 'approved') consented(state);
      else bar(state, event.c);
      return;
    case 'approval_expired':
      bar(state, event.c);
      return;
    default:
  }
}

function saidBy(loop: LoopVerdict | undefined, anomalies: Anomaly[] | undefined): LoopState['said'] {
  return { ...(loop === undefined ? {} : { loop }), ...(anomalies === undefined ? {} : { anomalies }) };
}

function decided(state: LoopState, event: Decided, n: number): void {
  // A step that was given up unfinished tells what it has.
  if (state.open !== null) close(state, state.open);
  const { decision } = event;
  const calls = callsOf(decision, event.calls);
  if (calls.length === 0) {
    const said = printOf(saidIn(decision));
    if (decision.action === 'think') {
      addStep(state.thoughts, said, said);
      return;
    }
    addStep(state.acts, said, said);
    state.thoughts = noCycle();
    state.last.callee = decision.action;
    return;
  }
  const tool = decision.action === 'tool_call';
  const planned = tool && decision.calls.some((call) => call.plan_step !== undefined);
  const reasoning = wordsOf(decision.reasoning);
  state.open = {
    entry: n,
    callee: calleeOf(decision),
    calls,
    planned,
    reads: tool && !planned && (event.calls?.every((call) => call.reads === true) ?? false),
    barred: event.calls?.some(({ refused }) => refused?.code === LOOP_REFUSAL) ?? false,
    reasoning,
    args: tool && reasoning.length === 0 ? wordsOfArguments(decision.calls) : [],
  };
  if (calls.every((call) => call.got !== null)) close(state, state.open);
}

/** The calls that a decision asks for, as the detector compares them. */
function callsOf(decision: Decision, planned: readonly PlannedCall[] | undefined): OpenCall[] {
  switch (decision.action) {
    case 'tool_call':
      return decision.calls.map(({ tool, args, plan_step }, i) => {
        const { volatile, refused } = planned?.[i] ?? {};
        const name = printOf(tool);
        return {
          tool: name,
          // Each step of a plan is made once: those that are the same are no repeats.
          asked: printOfAll(name, printOf(args, volatile?.arguments), plan_step === undefined ? 0 : printOf(plan_step)),
          volatile: volatile?.result,
          ...(refused === undefined ? { got: null } : failure(refused)),
        };
      });
    case 'delegate':
      return membersOf(decision).map(({ agent, input }, i) => {
        const refused = planned?.[i]?.refused;
        const name = printOf(`agent:${agent}`);
        return {
          tool: name,
          asked: printOfAll(name, printOf(input)),
          // Another agent's answer is never twice the same.
          volatile: true,
          ...(refused === undefined ? { got: null } : failure(refused)),
        };
      });
    case 'ask_human': {
      const name = printOf('person');
      return [{ tool: name, asked: printOfAll(name, printOf(decision.question)), volatile: undefined, got: null }];
    }
    default:
      return [];
  }
}

/** What tells one decision without calls from another. */
function saidIn(decision: Decision): Json {
  switch (decision.action) {
    case 'final_answer':
      return [decision.action, decision.answer];
    case 'plan':
      return [decision.action, decision.plan as unknown as Json];
    case 'review':
      return [decision.action, decision.verdict, decision.comment ?? ''];
    default:
      return [decision.action, decision.reasoning ?? ''];
  }
}

function calleeOf(decision: Decision): string {
  if (decision.action === 'delegate') return `agent:${decision.agent}`;
  return decision.action === 'tool_call' ? (decision.calls[0]?.tool ?? '') : 'person';
}

function gotOf(call: OpenCall, result: Json): number {
  return call.volatile === true ? SOMETHING : printOf(result, call.volatile);
}

function failure({ code, message }: ErrorInfo): { got: number; failure: number } {
  return { got: printOf([code, message]), failure: printOfFailure(code, message) };
}

function settle(state: LoopState, c: string, got: (call: OpenCall) => number): void {
  const call = openCall(state, c);
  if (call === null) return;
  call.got = got(call);
  closeWhenSettled(state);
}

function fail(state: LoopState, c: string, error: ErrorInfo): void {
  const call = openCall(state, c);
  if (call === null) return;
  Object.assign(call, failure(error));
  closeWhenSettled(state);
}

/** A person did not let it happen: the step counts as one more of its kind, as nothing new was learnt. */
function bar(state: LoopState, c: string): void {
  if (openCall(state, c) !== null && state.open !== null) state.open.barred = true;
  settle(state, c, () => SOMETHING);
}

/** A person wants it to happen: the count begins anew. */
function consented(state: LoopState): void {
  const { open, tools, said } = state;
  Object.assign(state, noLoops(), { open, tools, said });
}

/** The call, while nothing has come of it; what comes late or twice changes nothing. */
function openCall({ open }: LoopState, c: string): OpenCall | null {
  if (open === null) return null;
  const { entry, index } = parseCallId(c);
  const call = entry === open.entry ? open.calls[index] : undefined;
  return call?.got === null ? call : null;
}

function closeWhenSettled(state: LoopState): void {
  if (state.open?.calls.every((call) => call.got !== null) === true) close(state, state.open);
}

/** A step is known from end to end: every signal takes it in. */
function close(state: LoopState, open: OpenStep): void {
  const { callee, calls, reasoning, args } = open;
  state.open = null;
  // Sums: calls that are made side by side have no order.
  let asked = 0;
  let tools = 0;
  let results = 0;
  let failed = 0;
  let step = 0;
  for (const call of calls) {
    const got = call.got ?? 0;
    asked += call.asked % SHARE;
    tools += call.tool % SHARE;
    results += printOfAll(call.tool, got) % SHARE;
    step += printOfAll(call.asked, got) % SHARE;
    if (call.failure !== undefined) failed += printOfAll(call.tool, call.failure) % SHARE;
    state.tools.push(call.tool);
    if (state.tools.length > LAST_CALLS) state.tools.shift();
  }
  addStep(state.acts, asked, open.barred ? (lastLike(state, asked) ?? step) : step);
  if (state.thoughts.steps.length > 0) state.thoughts = noCycle();
  if (open.barred) return;
  countError(state, failed);
  const { last } = state;
  const sameTools = last.tools === tools;
  const sameResults = sameTools && last.got === results;
  state.same = open.reads ? (sameResults ? state.same + 1 : 1) : 0;
  // A model that gives its reasons is taken at its word; of another, the arguments are looked at.
  const alike =
    sameTools &&
    (reasoning.length > 0 && last.reasoning.length > 0
      ? likeness(last.reasoning, reasoning) >= LIKE_REASONING
      : sameResults && likeness(last.args, args) >= LIKE_ARGUMENTS);
  state.similar = alike && !open.planned ? state.similar + 1 : 1;
  last.callee = callee;
  last.tools = tools;
  last.got = results;
  last.reasoning = reasoning;
  last.args = args;
}

/** A sum of 64 stays an exact integer. */
const SHARE = 2 ** 46;

/** The last step that asked for the same, of those that are remembered. */
function lastLike({ acts }: LoopState, asked: number): number | undefined {
  const at = acts.asked.indexOf(asked);
  return at < 0 ? undefined : acts.steps[at];
}

function countError(state: LoopState, of: number): void {
  const { error } = state;
  error.count = of === 0 ? 0 : of === error.of ? error.count + 1 : 1;
  error.of = of;
}

/** The model itself failed: a step without calls. */
function failedLike(state: LoopState, tool: number, callee: string, error: ErrorInfo): void {
  countError(state, printOfAll(tool, printOfFailure(error.code, error.message)));
  state.last.callee = callee;
}

/** Fingerprint of what a decision asks for, to be compared with what the last steps asked for; null without calls. */
export function askedIn(
  decision: Decision,
  planned: readonly PlannedCall[] | undefined,
): { asked: number; tools: number } | null {
  const calls = callsOf(decision, planned);
  if (calls.length === 0) return null;
  const sum = (of: (call: OpenCall) => number) => calls.reduce((total, call) => total + (of(call) % SHARE), 0);
  return { asked: sum((call) => call.asked), tools: sum((call) => call.tool) };
}
