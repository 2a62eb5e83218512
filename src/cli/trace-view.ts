import { membersOf } from '../core/decision.ts';
import type { RunEvent, RunEventOf } from '../core/events.ts';
import { wordsOfLink } from '../core/fallback.ts';
import { callId } from '../core/ids.ts';
import type { JournalEntry } from '../core/journal-entry.ts';
import { counted, duration, line, type Paint, paintFor, preview, timeOfDay, usd } from './format.ts';
import type { Io } from './io.ts';

/**
 * A journal as a person reads it: one block a step, with its calls and what came of them; between the blocks, dimmed,
 * what the ownership protocol wrote.
 */

/** What became of a call, and the entry that says so. */
interface Outcome {
  entry: number;
  event: RunEvent;
}

const PROTOCOL: ReadonlySet<string> = new Set(['claimed', 'parked', 'handed_over', 'quarantined', 'released']);

export function traceText(io: Io, entries: JournalEntry[]): string {
  const paint = paintFor(io);
  const outcomes = outcomesOf(entries);
  const began = entries[0]?.at ?? 0;
  const lines: string[] = [];
  let step = 0;
  let node: string | null = null;
  for (const { n, at, events } of entries) {
    const head = `${String(n).padStart(5)}  ${timeOfDay(at)}  ${since(at, began)}  `;
    for (const event of events) {
      // Told within the block of its step.
      if ('c' in event) continue;
      if (event.type === 'decided' || event.type === 'think_failed') {
        step++;
        lines.push('', paint.bold(`step ${step}`), ...stepLines(head, n, event, outcomes, paint));
      } else if (event.type === 'claimed') {
        const from = node !== null && node !== event.node ? `, taking over from ${line(node)}` : '';
        const text = `${head}· claimed by ${line(event.node)}${from}`;
        lines.push(from === '' ? paint.dim(text) : paint.warn(text));
        ({ node } = event);
      } else if (PROTOCOL.has(event.type)) lines.push(paint.dim(`${head}· ${otherText(event)}`));
      else lines.push(`${head}${otherText(event)}`);
    }
  }
  return [...lines, '', totalsLine(entries)].join('\n');
}

/** Time since the run was accepted, in a column of its own. */
function since(at: number, began: number): string {
  return `+${duration(at - began)}`.padEnd(10);
}

function totalsLine(entries: JournalEntry[]): string {
  const events = entries.flatMap((entry) => entry.events);
  const count = (type: RunEvent['type']) => events.filter((event) => event.type === type).length;
  const usage = events.flatMap((event) => ('usage' in event && event.type !== 'child_ended' ? [event.usage] : []));
  const tokens = usage.reduce((sum, one) => sum + one.input_tokens + one.output_tokens, 0);
  const cost = usage.reduce((sum, one) => sum + one.cost_usd, 0);
  const nodes = new Set(events.flatMap((event) => (event.type === 'claimed' ? [event.node] : [])));
  const span = (entries.at(-1)?.at ?? 0) - (entries[0]?.at ?? 0);
  const retries = count('call_retry') + count('think_retry');
  const parts = [
    `${entries.length} ${entries.length === 1 ? 'entry' : 'entries'} over ${duration(span)}`,
    counted(count('decided') + count('think_failed'), 'decision'),
    ...(tokens === 0 ? [] : [`${tokens} tokens, ${usd(cost)}`]),
    `${counted(count('claimed'), 'claim')} by ${counted(nodes.size, 'node')}`,
    ...(retries === 0 ? [] : [`${counted(retries, 'call')} made again`]),
  ];
  return parts.join(', ');
}

/** Everything that was journalled about each call, in order. */
function outcomesOf(entries: JournalEntry[]): Map<string, Outcome[]> {
  const found = new Map<string, Outcome[]>();
  for (const { n, events } of entries) {
    for (const event of events) {
      if ('c' in event) found.set(event.c, [...(found.get(event.c) ?? []), { entry: n, event }]);
    }
  }
  return found;
}

function stepLines(
  head: string,
  n: number,
  event: RunEventOf<'decided'> | RunEventOf<'think_failed'>,
  outcomes: Map<string, Outcome[]>,
  paint: Paint,
): string[] {
  const indent = ' '.repeat(head.length);
  const tokens = event.usage.input_tokens + event.usage.output_tokens;
  const used = tokens === 0 ? '' : `, ${tokens} tokens, ${usd(event.usage.cost_usd)}`;
  const model = paint.dim(`(${line(event.model)}, ${duration(event.ms)}${used})`);
  if (event.type === 'think_failed') {
    return [`${head}${paint.bad(`error ${event.error.code}: ${preview(event.error.message, 300)}`)} ${model}`];
  }
  const { decision } = event;
  const lines = [`${head}${decision.action} ${model}`];
  if (decision.reasoning !== undefined) lines.push(`${indent}because ${preview(decision.reasoning, 300)}`);
  switch (decision.action) {
    case 'tool_call':
      decision.calls.forEach((call, i) => {
        const name = `${line(call.tool)}${call.plan_step === undefined ? '' : ` [${call.plan_step}]`} ${preview(call.args, 160)}`;
        const c = callId(n, i);
        const refused = event.calls?.[i]?.refused;
        lines.push(...callLines(indent, c, name, outcomes.get(c) ?? [], paint));
        if (refused !== undefined)
          lines.push(`${indent}      ${paint.bad(`refused: ${preview(refused.message, 300)}`)}`);
      });
      break;
    case 'delegate':
      membersOf(decision).forEach((member, i) => {
        const c = callId(n, i);
        const refused = event.calls?.[i]?.refused;
        const name = `agent ${line(member.agent)} ${preview(member.input)}`;
        lines.push(...callLines(indent, c, name, outcomes.get(c) ?? [], paint));
        if (refused !== undefined)
          lines.push(`${indent}      ${paint.bad(`refused: ${preview(refused.message, 300)}`)}`);
      });
      break;
    case 'ask_human':
      lines.push(
        ...callLines(
          indent,
          callId(n, 0),
          `asks: ${preview(decision.question, 300)}`,
          outcomes.get(callId(n, 0)) ?? [],
          paint,
        ),
      );
      break;
    case 'plan':
      lines.push(
        `${indent}${decision.plan.steps.length} steps: ${preview(decision.plan.steps.map(({ id }) => id).join(', '), 200)}`,
      );
      break;
    case 'final_answer':
      lines.push(`${indent}answer ${preview(decision.answer, 300)}`);
      break;
    case 'review':
      lines.push(`${indent}${decision.verdict} ${preview(decision.comment ?? '', 200)}`.trimEnd());
      break;
    case 'think':
      break;
  }
  return lines;
}

function callLines(indent: string, c: string, what: string, outcomes: Outcome[], paint: Paint): string[] {
  const lines = [`${indent}${c}  ${what}`];
  for (const { entry, event } of outcomes)
    lines.push(`${indent}      ${outcomeText(event, paint)} ${paint.dim(`(entry ${entry})`)}`);
  return lines;
}

function outcomeText(event: RunEvent, paint: Paint): string {
  switch (event.type) {
    case 'call_started':
      return paint.dim(`started; must not be repeated, may begin until ${timeOfDay(event.start_by)}`);
    case 'call_done':
      return `${paint.good('ok')} ${duration(event.ms)}${cachedIn(event)}  ${preview(event.result, 160)}${wholeIn(event)}`;
    case 'call_failed':
      return `${paint.bad(`failed ${event.error.code}`)} ${duration(event.ms)}  ${preview(event.error.message, 300)}`;
    case 'call_retry':
      return paint.warn(
        `${event.error.code} ${duration(event.ms)}, made again at ${timeOfDay(event.not_before)}  ${preview(event.error.message, 300)}`,
      );
    case 'outcome_unknown':
      return paint.warn(`outcome unknown: ${preview(event.error.message, 300)}`);
    case 'resolved':
      return `${line(event.by)} says: ${event.verdict} ${preview(event.result ?? event.why, 160)}`.trimEnd();
    case 'approval_decided':
      return `${event.verdict}${event.edited === true ? ' with other arguments' : ''} by ${line(event.by)} ${preview(event.why, 160)}`.trimEnd();
    case 'approval_asked':
      return event.escalated === true ? 'an approval was asked for, of more people' : 'an approval was asked for';
    case 'approval_expired':
      return paint.bad('nobody approved in time');
    case 'delegated':
      return `run ${event.run}`;
    case 'member_stopped':
      return paint.dim(`run ${event.run} was told to stop`);
    case 'child_ended':
      return `run ${event.run} ended: ${event.outcome}  ${preview(event.error?.message ?? event.answer, 160)}`;
    default:
      return event.type;
  }
}

/** Whose result it is when the tool was not called. */
function cachedIn({ cached }: RunEventOf<'call_done'>): string {
  return cached === undefined ? '' : `, cached: fetched at ${timeOfDay(cached.at)}`;
}

/** Where the rest of a result is that the journal only has the beginning of. */
function wholeIn({ c, blob }: RunEventOf<'call_done'>): string {
  return blob === undefined ? '' : ` ${blob.bytes} bytes in all: proctor result RUN --call ${c}`;
}

function otherText(event: RunEvent): string {
  switch (event.type) {
    case 'accepted':
      return `accepted: agent ${line(event.agent.name)}, user ${line(event.user)}, input ${preview(event.task.input, 160)}`;
    case 'quarantined':
      return `quarantined: entry ${event.entry} cannot be folded: ${preview(event.error.message, 200)}`;
    case 'think_retry':
      return `model call failed: ${event.error.code} ${preview(event.error.message, 300)}; asked again at ${timeOfDay(event.not_before)} (retry ${event.attempt})`;
    case 'using_fallback':
      return `falls back on ${line(wordsOfLink(event.link))}: ${event.error.code} ${preview(event.error.message, 300)}`;
    case 'limit':
      return `limit ${event.code}: ${preview(event.detail, 200)}`;
    case 'loop':
      return `loop: ${preview(event.detail, 200)}`;
    case 'timer':
      return 'its moment has come';
    case 'parked':
      return 'parked: no node keeps it while it waits';
    case 'handed_over':
      return 'handed over to another node';
    default:
      return 'by' in event ? `${event.type} by ${line(event.by)} ${preview(event.why, 200)}`.trimEnd() : event.type;
  }
}
