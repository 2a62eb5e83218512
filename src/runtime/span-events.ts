import type { RunEvent } from '../core/events.ts';
import type { JournalEntry } from '../core/journal-entry.ts';
import { redactText } from '../core/redact.ts';
import type { Attributes, SpanEvent } from '../ports/telemetry.ts';

/** Journalled events that are worth seeing on a span: what made the run wait, begin again, or end. */

/** What happened to the run as a whole. */
export function runEvents(entry: JournalEntry): SpanEvent[] {
  return entry.events.flatMap((event) => {
    const attributes = ofRun(event, entry.n);
    return attributes === null ? [] : [{ name: event.type, at: entry.at, attributes }];
  });
}

function ofRun(event: RunEvent, n: number): Attributes | null {
  switch (event.type) {
    case 'claimed':
      return { 'agent.node': event.node, 'agent.epoch': n };
    case 'parked':
    case 'handed_over':
    case 'deadline':
      return {};
    case 'pause':
    case 'drain':
    case 'resume':
    case 'cancel':
    case 'kill':
    case 'released':
      return { 'agent.by': redactText(event.by), 'agent.why': redactText(event.why) };
    case 'limit':
      return { 'agent.reason': event.code, 'agent.detail': redactText(event.detail) };
    case 'loop':
      return { 'agent.detail': redactText(event.detail) };
    case 'quarantined':
      return { 'error.type': event.error.code, 'agent.entry': event.entry };
    default:
      return null;
  }
}

/** What happened to one call before it was settled. */
export function callEvents(c: string, entries: JournalEntry[]): SpanEvent[] {
  return entries.flatMap((entry) =>
    entry.events.flatMap((event) => {
      if (!('c' in event) || event.c !== c) return [];
      const attributes = ofCall(event);
      return attributes === null ? [] : [{ name: event.type, at: entry.at, attributes }];
    }),
  );
}

function ofCall(event: Extract<RunEvent, { c: string }>): Attributes | null {
  switch (event.type) {
    case 'call_started':
      return {};
    case 'call_retry':
      return {
        'error.type': event.error.code,
        'agent.retry': event.attempt,
        'agent.wait_ms': event.wait_ms,
        'action.duration_ms': event.ms,
      };
    case 'outcome_unknown':
      return { 'error.type': event.error.code };
    case 'resolved':
    case 'approval_decided':
      return { 'agent.verdict': event.verdict, 'agent.by': redactText(event.by) };
    case 'approval_expired':
      return {};
    case 'delegated':
      return { 'agent.child': event.run };
    case 'child_ended':
      return { 'agent.child': event.run, 'agent.outcome': event.outcome };
    default:
      return null;
  }
}
