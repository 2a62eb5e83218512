import { type CallRequest, Decision, MAX_PARALLEL_CALLS } from '../../core/decision.ts';
import { AppError, clip, describeFaults } from '../../core/errors.ts';
import type { Json } from '../../core/json.ts';
import { dependenciesOf, type PlanStep } from '../../core/plan.ts';
import type { ThinkInput } from '../../ports/model.ts';
import type { ModelCall, ModelReply } from './ask.ts';
import { BUILT_IN } from './tools.ts';

/**
 * A model's reply as a decision. What cannot be one is AppError `bad_decision` or `output_truncated`, with a message that
 * is written for the model, as it stands in its next window; or `refusal`, or `context_overflow`.
 */

const MAX_REASONING = 16_384;

export function decisionOf(reply: ModelReply, input: ThinkInput, tools: readonly string[]): Decision {
  refuseUnfinished(reply, input);
  if (input.phase === 'planning') return planOf(reply, tools);
  if (input.phase === 'reviewing') return parsed({ action: 'review', ...forced(reply, BUILT_IN.review) });
  const [first, ...others] = reply.calls;
  if (first === undefined) return answerOf(reply);
  const reasoning = reasoningOf(reply);
  const own = others.length === 0 ? builtIn(first, input) : teamOf(reply.calls, input);
  if (own !== null) return parsed({ ...own, ...reasoning });
  if (reply.calls.length > MAX_PARALLEL_CALLS) {
    throw bad(
      `it asks for ${reply.calls.length} calls and one reply may ask for ${MAX_PARALLEL_CALLS}: make fewer at a time`,
    );
  }
  return parsed({ action: 'tool_call', calls: withPlanSteps(reply.calls.map(callOf), input), ...reasoning });
}

function refuseUnfinished({ finish, rawFinish, text }: ModelReply, { maxOutputTokens }: ThinkInput): void {
  if (rawFinish === 'model_context_window_exceeded') {
    throw new AppError('context_overflow', 'the reply did not fit the context window of the model any more');
  }
  if (finish === 'length') {
    const message = `the reply was cut off at ${maxOutputTokens} output tokens (limits.output_tokens_per_step): write less in one reply`;
    throw new AppError('output_truncated', message, { retryable: true });
  }
  if (finish === 'content-filter') {
    throw new AppError(
      'refusal',
      `the model refused: ${clip(text.trim() || `it gave no reason (${rawFinish})`, 1_000)}`,
    );
  }
}

function answerOf({ text, reasoning }: ModelReply): Decision {
  if (text.trim() === '') throw bad('it says nothing: neither a text nor a call');
  return parsed({
    action: 'final_answer',
    answer: text,
    ...(reasoning === '' ? {} : { reasoning: clip(reasoning, MAX_REASONING) }),
  });
}

/** One of our own functions as the decision that it stands for; null for any other. */
function builtIn(call: ModelCall, { delegates }: ThinkInput): Record<string, unknown> | null {
  if (call.name === BUILT_IN.finalAnswer) {
    const { answer } = argumentsOf(call);
    if (answer === undefined) throw bad(`the call of ${call.name} has no "answer"`);
    return { action: 'final_answer', answer };
  }
  if (call.name === BUILT_IN.askHuman) return { action: 'ask_human', question: argumentsOf(call).question };
  if (call.name === BUILT_IN.delegate && delegates.length > 0) {
    const { agent, input } = argumentsOf(call);
    return { action: 'delegate', agent, input };
  }
  return null;
}

/** Several delegations in one reply, and nothing else, are a team. */
function teamOf(calls: readonly ModelCall[], { delegates }: ThinkInput): Record<string, unknown> | null {
  if (delegates.length === 0 || calls.some(({ name }) => name !== BUILT_IN.delegate)) return null;
  const members = calls.map((call) => {
    const { agent, input } = argumentsOf(call);
    return { agent, input };
  });
  return { action: 'delegate', members };
}

function planOf(reply: ModelReply, tools: readonly string[]): Decision {
  const decision = parsed({ action: 'plan', plan: forced(reply, BUILT_IN.makePlan), ...reasoningOf(reply) });
  const steps = decision.action === 'plan' ? decision.plan.steps : [];
  const unknown = steps.find(({ tool }) => !tools.includes(tool));
  if (unknown === undefined) return decision;
  throw bad(
    `step "${unknown.id}" of the plan uses the tool "${unknown.tool}", which is not there; there are: ${tools.join(', ')}`,
  );
}

/** The arguments of the one call that was asked for. */
function forced(reply: ModelReply, name: string): Record<string, Json> {
  const call = reply.calls.find((one) => one.name === name);
  if (call === undefined) throw bad(`expected a call of ${name} and nothing else`);
  return argumentsOf(call);
}

function callOf(call: ModelCall): CallRequest {
  return { tool: call.name, args: argumentsOf(call) };
}

/** An object, perhaps written as the text of one (some models encode their arguments twice). */
function argumentsOf({ name, input, broken }: ModelCall): Record<string, Json> {
  let value = input;
  if (typeof value === 'string' && !broken) {
    try {
      value = JSON.parse(value);
    } catch {
      // Told below, as whatever else is no object.
    }
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, Json>;
  throw bad(
    `the arguments of the call of ${clip(name, 64)} are not a JSON object: ${clip(String(JSON.stringify(value)), 200)}`,
  );
}

/** Calls in the order of the plan carry out its open steps: each the first one of its tool whose dependencies are done. */
function withPlanSteps(calls: CallRequest[], { plan }: ThinkInput): CallRequest[] {
  if (plan === null) return calls;
  const ready = plan.plan.steps.filter(
    (step) => !plan.done.has(step.id) && dependenciesOf(step).every((id) => plan.done.has(id)),
  );
  const taken = new Set<PlanStep>();
  return calls.map((call) => {
    const step = ready.find((one) => one.tool === call.tool && !taken.has(one));
    if (step === undefined) return call;
    taken.add(step);
    return { ...call, plan_step: step.id };
  });
}

function reasoningOf({ text, reasoning }: ModelReply): { reasoning?: string } {
  const said = text.trim() || reasoning.trim();
  return said === '' ? {} : { reasoning: clip(said, MAX_REASONING) };
}

function parsed(value: unknown): Decision {
  const result = Decision.safeParse(value);
  if (result.success) return result.data;
  throw bad(describeFaults(result.error, 'decision').message);
}

function bad(message: string): AppError {
  return new AppError('bad_decision', message, { retryable: true });
}
