import type { RunEventOf } from '../core/events.ts';
import { outcomeOf } from '../core/reasons.ts';
import { REDACTED, redact, redactText } from '../core/redact.ts';
import type { RunContext } from '../core/run-state.ts';
import type { Ids } from '../ports/ids.ts';
import type { Attributes, FinishedSpan, SpanEvent, SpanPlace } from '../ports/telemetry.ts';
import type { SpanIds } from './span-ids.ts';
import { failure, span } from './step-spans.ts';

/** The span of a whole run, which is told when it has ended, and those of its plans. */

/** Characters of a task that a trace shows. */
const SHOWN_TASK = 100;
/** What is looked at to make them: redaction may shorten it. */
const READ_TASK = 16_384;
/** Span events that a run keeps; the SDK's own limit is the same. */
export const MOST_EVENTS = 128;

/** What is known of the run's span when it begins: a sampler may look at it. */
export function rootPlace(ids: SpanIds, hash: Ids, accepted: RunEventOf<'accepted'>, start: number): SpanPlace {
  const { agent, user, task, run, parent } = accepted;
  const attributes: Attributes = {
    'agent.execution_id': run,
    'gen_ai.operation.name': 'invoke_agent',
    'gen_ai.agent.name': agent.name,
    'agent.version': agent.version,
    'agent.task': shownTask(accepted),
    'agent.task_hash': hash.hash('task', JSON.stringify(task.input)),
    'user.id': user,
    ...(task.session_id === undefined ? {} : { 'gen_ai.conversation.id': task.session_id }),
    ...(parent === undefined ? {} : { 'agent.parent': parent.run }),
  };
  return { name: 'agent.run', trace: ids.trace, span: ids.root, parent: ids.above?.span ?? null, start, attributes };
}

function shownTask({ task }: RunEventOf<'accepted'>): string {
  const { input } = task;
  const text = typeof input === 'string' ? input : JSON.stringify(redact(input));
  // Cut in the middle of a word, a secret might not look like one.
  const whole = text.length <= READ_TASK ? text : text.slice(0, READ_TASK).replace(/\S{1,256}$/, '');
  const shown = redactText(whole);
  return shown.length <= SHOWN_TASK ? shown : shownStart(shown);
}

function shownStart(text: string): string {
  const cut = text.slice(0, SHOWN_TASK);
  const mark = text.lastIndexOf(REDACTED, SHOWN_TASK - 1);
  return mark >= 0 && mark + REDACTED.length > SHOWN_TASK ? text.slice(0, mark) : cut;
}

/** @param events what happened to the run, oldest first */
export function runSpan(place: SpanPlace, context: RunContext, events: SpanEvent[]): FinishedSpan {
  const end = context.end;
  const code = end?.code ?? 'error';
  const failed = outcomeOf(code) !== 'success';
  return {
    ...place,
    kind: 'internal',
    end: Math.max(place.start, end?.at ?? place.start),
    attributes: {
      ...place.attributes,
      'agent.succeeded': !failed,
      'agent.outcome': outcomeOf(code),
      'agent.reason': code,
      'agent.steps': context.steps,
      'agent.tool_calls': context.tool_calls,
      'gen_ai.usage.input_tokens': context.input_tokens,
      'gen_ai.usage.output_tokens': context.output_tokens,
      'agent.cost_usd': context.cost_usd,
      'agent.model_ms': context.think_ms,
      'agent.tools_ms': context.tool_ms,
      'agent.queued_ms': Math.max(0, (context.started_at ?? place.start) - place.start),
      'agent.restarts': Math.max(0, events.filter((event) => event.name === 'claimed').length - 1),
    },
    events: events.length <= MOST_EVENTS ? events : [...events.slice(0, 16), ...events.slice(16 - MOST_EVENTS)],
    ...(failed ? failure({ code, message: end?.error?.message ?? end?.detail ?? code }) : {}),
  };
}

/** @param entry of the plan's decision; 0 for the plan that the task brought */
export function planSpan(ids: SpanIds, run: string, entry: number, start: number, end: number): FinishedSpan {
  return {
    ...span('agent.plan', ids.trace, ids.plan(entry), ids.root, start, end),
    attributes: { 'agent.execution_id': run, 'agent.plan_entry': entry },
  };
}
