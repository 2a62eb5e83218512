import type { AssistantContent, ModelMessage, ToolContent } from 'ai';
import { type CallRequest, membersOf } from '../../core/decision.ts';
import type { ErrorInfo } from '../../core/errors.ts';
import type { Json } from '../../core/json.ts';
import type { Observation, WindowStep } from '../../ports/model.ts';
import { BUILT_IN } from './tools.ts';

/**
 * The last steps as a conversation: what was asked for as tool calls of the assistant, what came of it as tool results.
 * Results are put in an object of ours as JSON, so nothing in them can pass for anything but a result. Everything has
 * a budget; when it runs out the oldest is cut first, and each cut says so.
 */

/** Characters of JSON that one result, or the arguments of one call, may take. */
export const MAX_PART_CHARS = 16 * 1024;
/** Characters of JSON that all of them together may take. */
export const MAX_WINDOW_CHARS = 200 * 1024;

/** Failures that are about what the model wrote: it must see them to do better. The others were none of its doing. */
const MODEL_FAULTS = new Set(['bad_decision', 'output_truncated', 'decision_too_large']);

export function windowMessages(steps: readonly WindowStep[], budget = MAX_WINDOW_CHARS): ModelMessage[] {
  const allowance = { left: budget };
  // The newest come first to the budget.
  return steps
    .toReversed()
    .map((step) => stepMessages(step, allowance))
    .reverse()
    .flat();
}

interface Allowance {
  left: number;
}

function stepMessages(step: WindowStep, allowance: Allowance): ModelMessage[] {
  const { decision, error } = step;
  if (error !== undefined) return MODEL_FAULTS.has(error.code) ? [fromUs(fault(error))] : [];
  switch (decision.action) {
    case 'tool_call':
      return callMessages(step, decision.calls.map(toolCall), allowance);
    case 'delegate':
      return callMessages(
        step,
        membersOf(decision).map(({ agent, input }) => ({ tool: BUILT_IN.delegate, args: { agent, input } })),
        allowance,
      );
    case 'ask_human':
      return callMessages(step, [{ tool: BUILT_IN.askHuman, args: { question: decision.question } }], allowance);
    case 'final_answer':
      return said(typeof decision.answer === 'string' ? decision.answer : JSON.stringify(decision.answer), allowance);
    case 'review':
      return [fromUs(`The review of this answer asks for another one. ${decision.comment ?? ''}`.trim())];
    case 'think':
      return said(decision.reasoning ?? '', allowance);
    case 'plan':
      return [];
  }
}

/** What a user message of ours says between the steps. */
function fromUs(content: string): ModelMessage {
  return { role: 'user', content };
}

function fault({ code, message }: ErrorInfo): string {
  return `Your last reply could not be used (${code}): ${message}`;
}

function said(text: string, allowance: Allowance): ModelMessage[] {
  return text.trim() === '' ? [] : [{ role: 'assistant', content: cutText(text, allowance) }];
}

interface Call {
  tool: string;
  args: Record<string, Json>;
}

function toolCall({ tool, args }: CallRequest): Call {
  return { tool, args };
}

function callMessages(step: WindowStep, calls: Call[], allowance: Allowance): ModelMessage[] {
  const asked: Exclude<AssistantContent, string> = [];
  const results: ToolContent = [];
  const { reasoning } = step.decision;
  calls.forEach(({ tool, args }, index) => {
    const observation = step.observations[index];
    const toolCallId = `call_${step.entry}-${index}`;
    const toolName = nameOf(tool);
    const value = observation === undefined ? '{"status":"unknown"}' : observed(observation, allowance);
    const type = observation?.status === 'ok' ? 'text' : 'error-text';
    results.push({ type: 'tool-result', toolCallId, toolName, output: { type, value } });
    asked.push({ type: 'tool-call', toolCallId, toolName, input: cutArguments(args, allowance) });
  });
  if (reasoning !== undefined && reasoning.trim() !== '') {
    asked.unshift({ type: 'text', text: cutText(reasoning, allowance) });
  }
  return [
    { role: 'assistant', content: asked },
    { role: 'tool', content: results },
  ];
}

/** A name that the model made up may hold what no provider takes back. */
function nameOf(tool: string): string {
  return tool.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 64) || '_';
}

function observed(observation: Observation, allowance: Allowance): string {
  const { status, result, error, large } = observation;
  const about = { status, ...(error === undefined ? {} : { error: told(error) }), ...ageOf(observation) };
  if (error !== undefined && result === null) return JSON.stringify(about);
  const text = large !== undefined && typeof result === 'string' ? result : JSON.stringify(result);
  const given = take(text.length, allowance);
  if (large !== undefined) return JSON.stringify({ ...about, ...cutMark(text, given, large.bytes, 'bytes') });
  if (given < text.length) return JSON.stringify({ ...about, ...cutMark(text, given, text.length, 'characters') });
  return JSON.stringify({ ...about, result });
}

/** Only where the age of a result means something. */
function ageOf({ at, valid_ms, cached, stale }: Observation): { fetched_at?: string; cached?: true; stale?: true } {
  if (at === undefined || (valid_ms === undefined && cached === undefined)) return {};
  return {
    fetched_at: new Date(at).toISOString(),
    ...(cached === undefined ? {} : { cached }),
    ...(stale === undefined ? {} : { stale }),
  };
}

function told({ code, message, retryable, field, suggestion }: ErrorInfo): ErrorInfo {
  return {
    code,
    message,
    retryable,
    ...(field === undefined ? {} : { field }),
    ...(suggestion === undefined ? {} : { suggestion }),
  };
}

function cutMark(text: string, given: number, whole: number, unit: string) {
  return {
    cut: `only the first ${given} of ${whole} ${unit} of the result's JSON are shown`,
    result_begins: text.slice(0, given),
  };
}

function cutArguments(args: Record<string, Json>, allowance: Allowance): Record<string, Json> {
  const text = JSON.stringify(args);
  const given = take(text.length, allowance);
  if (given === text.length) return args;
  return {
    cut: `only the first ${given} of ${text.length} characters of the arguments' JSON are shown`,
    arguments_begin: text.slice(0, given),
  };
}

function cutText(text: string, allowance: Allowance): string {
  const given = take(text.length, allowance);
  return given === text.length ? text : `${text.slice(0, given)} [cut: ${text.length - given} more characters]`;
}

/** How much of `wanted` may still be shown. */
function take(wanted: number, allowance: Allowance): number {
  const given = Math.min(wanted, MAX_PART_CHARS, allowance.left);
  allowance.left -= given;
  return given;
}

/** The newer half of the steps, for a model that cannot take them all. */
export function newerHalf(steps: readonly WindowStep[]): WindowStep[] {
  return steps.slice(Math.ceil(steps.length / 2));
}
