import { canonicalText } from '../../src/core/canonical.ts';
import type { JournalEntry } from '../../src/core/journal-entry.ts';
import type { Json } from '../../src/core/json.ts';
import type { RunResult } from '../../src/core/result.ts';

/**
 * What a run did, without when and under which claim: its decisions, the calls that worked with arguments and results,
 * its end. Two runs of one task have the same trace however often their nodes died.
 */
export interface Trace {
  /** Decisions in order; null when a step failed on the way (a server that was away), as its retry is one more. */
  decisions: string[] | null;
  /** Calls that worked: name of the step, tool, arguments, result; sorted. */
  calls: string[];
  end: string;
}

/** A call that somebody waits for: a question to a person, or a call whose outcome nobody knows. */
export interface OpenCall {
  c: string;
  kind: 'question' | 'unknown';
}

export interface RunStory {
  session: string | undefined;
  parent: string | undefined;
  ended: boolean;
  unknown: number;
  open: OpenCall[];
  trace(result: RunResult | undefined): Trace;
}

interface Call {
  step: string;
  tool: string;
  args: Json;
  result?: Json;
}

const ENDS: ReadonlySet<string> = new Set(['cancel', 'kill', 'deadline', 'limit', 'loop']);

/** Reads a journal as a story, with nothing but the events that it holds. */
export function storyOf(entries: JournalEntry[]): RunStory {
  const calls = new Map<string, Call>();
  const open = new Map<string, OpenCall>();
  const decisions: string[] = [];
  const story = { unknown: 0, ended: false, failed: false };
  let session: string | undefined;
  let parent: string | undefined;
  const worked = (c: string, result: Json): void => {
    const call = calls.get(c);
    if (call !== undefined && call.result === undefined) call.result = result;
    open.delete(c);
  };
  for (const entry of entries) {
    for (const event of entry.events) {
      if (ENDS.has(event.type)) story.ended = true;
      switch (event.type) {
        case 'accepted':
          session = event.task.session_id;
          parent = event.parent?.run;
          break;
        case 'decided': {
          const { decision } = event;
          decisions.push(canonicalText(decision as Json));
          if (decision.action === 'final_answer') story.ended = true;
          if (decision.action === 'tool_call') {
            decision.calls.forEach((call, i) => {
              const step = call.plan_step ?? decision.reasoning ?? '';
              if (event.calls?.[i]?.refused !== undefined) story.failed = true;
              calls.set(`${entry.n}-${i}`, { step, tool: call.tool, args: call.args });
            });
          }
          if (decision.action === 'delegate' || decision.action === 'ask_human') {
            const step = decision.reasoning ?? '';
            calls.set(`${entry.n}-0`, { step, tool: decision.action, args: null });
            if (decision.action === 'ask_human') open.set(`${entry.n}-0`, { c: `${entry.n}-0`, kind: 'question' });
          }
          break;
        }
        case 'call_done':
          worked(event.c, event.result);
          break;
        case 'child_ended':
          worked(event.c, event.answer);
          if (event.outcome !== 'success') story.failed = true;
          break;
        case 'resolved':
          if (event.verdict === 'done') worked(event.c, event.result ?? null);
          else story.failed = true;
          open.delete(event.c);
          break;
        case 'outcome_unknown':
          story.unknown++;
          open.set(event.c, { c: event.c, kind: 'unknown' });
          break;
        case 'call_failed':
        case 'think_failed':
          story.failed = true;
          break;
        default:
      }
    }
  }
  return {
    session,
    parent,
    ended: story.ended,
    unknown: story.unknown,
    open: story.ended ? [] : [...open.values()],
    trace: (result) => ({
      decisions: story.failed ? null : decisions,
      calls: [...calls.values()]
        .filter((call) => call.result !== undefined)
        .map((call) => canonicalText([call.step, call.tool, call.args, call.result ?? null]))
        .toSorted((a, b) => (a < b ? -1 : 1)),
      end: result === undefined ? 'none' : canonicalText([result.code, result.answer]),
    }),
  };
}

/** How two traces differ, or null. */
export function difference(expected: Trace, actual: Trace): string | null {
  const parts: (keyof Trace)[] = ['end', 'calls'];
  if (expected.decisions !== null && actual.decisions !== null) parts.push('decisions');
  for (const part of parts) {
    const [want, have] = [JSON.stringify(expected[part]), JSON.stringify(actual[part])];
    if (want !== have) return `${part}: expected ${want.slice(0, 400)}, found ${have.slice(0, 400)}`;
  }
  return null;
}
