import type { Decision } from '../../core/decision.ts';
import { clip } from '../../core/errors.ts';
import type { RunEvent, RunEventOf } from '../../core/events.ts';
import { wordsOfLink } from '../../core/fallback.ts';
import { parseCallId } from '../../core/ids.ts';
import { redactText } from '../../core/redact.ts';
import type { FrameEvent } from '../wire.ts';

/** A journalled event in words, and between whom it passed. Texts of models and tools are clipped and without secrets. */

const MAX = 240;
const said = (text: string) => clip(redactText(text.slice(0, 4 * MAX)), MAX);
const value = (json: unknown) => said(typeof json === 'string' ? json : (JSON.stringify(json) ?? ''));

/** The tool (`tool:NAME`), agent or person that a call goes to. */
export type CallPeer = (c: string) => string;

export function describeEvent(event: RunEvent, peer: CallPeer): FrameEvent[] {
  const { from = 'run', to = 'run', text, tone = 'plain' } = tellingOf(event, peer);
  const told = { type: event.type, text: clip(text, MAX), tone, from, to, ...('c' in event ? { c: event.c } : {}) };
  return [told, ...(event.type === 'decided' ? callsOf(event.decision) : [])];
}

/** What a decision asks for, on its way to whoever does it. */
function callsOf(decision: Decision): FrameEvent[] {
  const base = { type: 'call', tone: 'quiet', from: 'run' } as const;
  switch (decision.action) {
    case 'tool_call':
      return decision.calls.map(({ tool, args }) => ({ ...base, to: `tool:${tool}`, text: value(args) }));
    case 'ask_human':
      return [{ ...base, to: 'person', text: said(decision.question) }];
    default:
      return [];
  }
}

interface Telling {
  text: string;
  tone?: FrameEvent['tone'];
  from?: string;
  to?: string;
}

/** Whose result it is when the tool was not called. */
function cachedIn({ cached }: RunEventOf<'call_done'>): string {
  return cached === undefined ? '' : `cached, fetched at ${new Date(cached.at).toISOString().slice(11, 19)}: `;
}

function tellingOf(event: RunEvent, peer: CallPeer): Telling {
  switch (event.type) {
    case 'accepted':
      return { text: `accepted for ${event.agent.name} ${event.agent.version}`, from: 'submitter' };
    case 'claimed':
      return { text: `taken by ${event.node}`, tone: 'quiet', from: 'node' };
    case 'decided':
      return { ...decisionText(event.decision), from: 'model' };
    case 'think_failed':
      return { text: `model failed: ${said(event.error.message)}`, tone: 'bad', from: 'model' };
    case 'think_retry':
      return {
        text: `model asked again (${event.attempt}) after ${event.error.code}: ${said(event.error.message)}`,
        tone: 'warn',
        from: 'model',
      };
    case 'using_fallback':
      return {
        text: `falls back on ${said(wordsOfLink(event.link))} after ${event.error.code}: ${said(event.error.message)}`,
        tone: 'warn',
        from: 'model',
      };
    case 'call_started':
      return { text: `${peer(event.c)} is about to be called`, tone: 'quiet', to: peer(event.c) };
    case 'call_done':
      return { text: `${cachedIn(event)}${value(event.result)}`, tone: 'good', from: peer(event.c) };
    case 'call_failed':
      return { text: `${event.error.code}: ${said(event.error.message)}`, tone: 'bad', from: peer(event.c) };
    case 'call_retry':
      return {
        text: `made again (${event.attempt}) after ${event.error.code}: ${said(event.error.message)}`,
        tone: 'warn',
        from: peer(event.c),
      };
    case 'outcome_unknown':
      return { text: `nobody knows whether it took effect: ${said(event.error.message)}`, tone: 'bad', to: 'person' };
    case 'resolved':
      return {
        text: `${said(event.by)} says ${event.verdict}${because(event.why)}`,
        tone: event.verdict === 'fail' ? 'warn' : 'good',
        from: 'person',
      };
    case 'approval_decided':
      return {
        text: `${event.verdict} by ${said(event.by)}${because(event.why)}`,
        tone: event.verdict === 'approved' ? 'good' : 'bad',
        from: 'person',
      };
    case 'approval_expired':
      return { text: 'nobody approved in time', tone: 'bad', from: 'person' };
    case 'delegated':
      return { text: `delegated as ${event.run}`, to: `run:${event.run}` };
    case 'child_ended':
      return {
        text: `${event.run} ended with ${event.outcome}: ${value(event.answer)}`,
        tone: event.outcome === 'success' ? 'good' : 'bad',
        from: `run:${event.run}`,
      };
    case 'timer':
      return { text: 'the moment has come', tone: 'quiet', from: 'node' };
    case 'pause':
    case 'drain':
    case 'resume':
    case 'cancel':
    case 'kill': {
      const scope = 'scope' in event && event.scope !== undefined ? ` (switch ${event.scope})` : '';
      const tone =
        event.type === 'resume' ? 'plain' : event.type === 'kill' || event.type === 'cancel' ? 'bad' : 'warn';
      return { text: `${event.type} by ${said(event.by)}${scope}${because(event.why)}`, tone, from: 'operator' };
    }
    case 'released':
      return { text: `released by ${said(event.by)}${because(event.why)}`, from: 'operator' };
    case 'deadline':
      return { text: 'its time is over', tone: 'bad', from: 'node' };
    case 'limit':
      return { text: `${event.code}: ${said(event.detail)}`, tone: 'bad', from: 'node' };
    case 'loop':
      return { text: `repeats itself: ${said(event.detail)}`, tone: 'bad', from: 'node' };
    case 'parked':
      return { text: 'parked: it costs no node anything', tone: 'quiet', to: 'node' };
    case 'handed_over':
      return { text: 'handed over to the next node', tone: 'quiet', to: 'node' };
    case 'quarantined':
      return { text: `entry ${event.entry} cannot be folded: ${said(event.error.message)}`, tone: 'bad', from: 'node' };
    default:
      // An event that a newer version knows is shown by its name.
      return { text: (event as { type: string }).type, tone: 'quiet' };
  }
}

const because = (why: string) => (why === '' ? '' : `: ${said(why)}`);

function decisionText(decision: Decision): Telling {
  switch (decision.action) {
    case 'tool_call':
      return { text: decision.calls.map(({ tool, args }) => `${tool}(${value(args)})`).join(', ') };
    case 'delegate':
      return { text: `delegate to ${decision.agent}: ${value(decision.input)}` };
    case 'ask_human':
      return { text: `ask a person: ${said(decision.question)}` };
    case 'final_answer':
      return { text: `answer: ${value(decision.answer)}`, tone: 'good' };
    case 'plan':
      return { text: `plan of ${decision.plan.steps.length} steps` };
    case 'review':
      return { text: `review: ${decision.verdict}${because(decision.comment ?? '')}` };
    case 'think':
      return { text: said(decision.reasoning ?? 'thought') };
  }
}

/** Whom each call of a decision goes to, by call id. */
export function peersOf(decision: Decision): (c: string) => string | undefined {
  return (c) => {
    const { index } = parseCallId(c);
    switch (decision.action) {
      case 'tool_call':
        return decision.calls[index] === undefined ? undefined : `tool:${decision.calls[index].tool}`;
      case 'delegate':
        return `agent:${decision.agent}`;
      case 'ask_human':
        return 'person';
      default:
        return undefined;
    }
  };
}
