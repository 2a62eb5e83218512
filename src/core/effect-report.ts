import { readPayload } from './approval-wire.ts';
import type { BlobRef } from './blob.ts';
import type { PlannedCall, RunEvent, RunEventOf } from './events.ts';
import { callId } from './ids.ts';
import type { JournalEntry } from './journal-entry.ts';
import type { Json } from './json.ts';

/**
 * What a run did in the world, from its journal alone (OPS-8): calls of tools that do not only read. A call that was let
 * through and that no gate, approver or tool stopped counts until something says otherwise.
 */

/**
 * `done`: it took effect. `open`: it may have; nobody knows. `working`: it is being made, or waits for somebody.
 * `failed`: its tool said no. `not_made`: a gate, an approver or the end of the run came before it.
 */
export type EffectState = 'done' | 'open' | 'working' | 'failed' | 'not_made';

export interface Effect {
  c: string;
  tool: string;
  /** As they were sent: with what an approver changed. */
  args: Record<string, Json>;
  state: EffectState;
  /** When it was decided and, once it is known, when the word about its outcome came; epoch milliseconds. */
  decided_at: number;
  at: number;
  /** What the tool answered; of one that lies beside the journal its beginning. */
  result?: Json;
  blob?: BlobRef;
  /** What the tool, or whoever knows, said of it. */
  why?: string;
}

interface Tracked extends Effect {
  idempotent: boolean;
  /** Whether it was, or may have been, sent. */
  sent: boolean;
  /** A try before may have taken effect. */
  tried: boolean;
  approvals: number;
}

export interface RunEffects {
  effects: Effect[];
  /** Runs that it started. */
  children: string[];
}

/** @param ended whether the run has come to its end: then nothing of it is under way any more */
export async function effectsIn(entries: AsyncIterable<JournalEntry>, ended: boolean): Promise<RunEffects> {
  const calls = new Map<string, Tracked>();
  const children = new Set<string>();
  for await (const { n, at, events } of entries) {
    for (const event of events) {
      if (event.type === 'decided' && event.decision.action === 'tool_call') {
        for (const [i, request] of event.decision.calls.entries()) {
          const planned = event.calls?.[i];
          if (planned === undefined || planned.reads === true) continue;
          calls.set(callId(n, i), begun(callId(n, i), request.args, planned, at));
        }
      }
      if (event.type === 'delegated') children.add(event.run);
      const call = 'c' in event ? calls.get(event.c) : undefined;
      if (call !== undefined) apply(call, event, at);
    }
  }
  const effects = [...calls.values()].map(({ idempotent, sent, tried, approvals, ...effect }): Effect => {
    if (effect.state !== 'working' || !ended) return effect;
    // Of a call that must not be repeated the journal says when it was sent; any other may have been.
    const maySo = sent || tried || (idempotent && approvals <= 0);
    return { ...effect, state: maySo ? 'open' : 'not_made', why: 'the run ended before its outcome was known' };
  });
  return { effects, children: [...children] };
}

function begun(c: string, args: Record<string, Json>, planned: PlannedCall, at: number): Tracked {
  const { tool, refused, approval, approval_until, idempotent } = planned;
  const waits = approval?.needed ?? (approval_until === undefined ? 0 : 1);
  const call = { c, tool, args, decided_at: at, at, idempotent, sent: false, tried: false, approvals: waits };
  return refused === undefined ? { ...call, state: 'working' } : { ...call, state: 'not_made', why: refused.message };
}

function apply(call: Tracked, event: RunEvent, at: number): void {
  const settle = (state: EffectState, why?: string) => {
    call.state = state;
    call.at = at;
    if (why === undefined) delete call.why;
    else call.why = why;
  };
  switch (event.type) {
    case 'approval_decided':
      if (event.verdict === 'denied') settle('not_made', `${event.by} denied it: ${event.why}`);
      else {
        call.approvals--;
        const edited = event.signed === undefined ? undefined : readPayload(event.signed.payload).edited;
        if (edited !== undefined) call.args = edited.args;
      }
      break;
    case 'approval_expired':
      settle('not_made', 'nobody approved it in time');
      break;
    case 'call_started':
      call.sent = true;
      break;
    case 'call_retry':
      call.sent = false;
      call.tried ||= event.effect_open === true;
      break;
    case 'call_done':
      call.result = event.result;
      if (event.blob !== undefined) call.blob = event.blob;
      settle('done');
      break;
    case 'call_failed':
      settle(event.effect_open === true || call.tried ? 'open' : 'failed', event.error.message);
      break;
    case 'outcome_unknown':
      settle('open', event.error.message);
      break;
    case 'resolved':
      if (event.verdict === 'done') call.result = event.result ?? null;
      if (event.verdict === 'repeat') call.sent = false;
      settle(RESOLVED[event.verdict], event.verdict === 'repeat' ? undefined : `${event.by} said so: ${event.why}`);
      break;
    default:
  }
}

const RESOLVED: Record<RunEventOf<'resolved'>['verdict'], EffectState> = {
  done: 'done',
  repeat: 'working',
  fail: 'failed',
};
