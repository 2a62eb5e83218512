import type { Want } from '../../../machines/agent-run/wanted.ts';
import type { AgentDefinition } from '../../core/agent.ts';
import { modelOf } from '../../core/fallback.ts';
import type { JournalEntry } from '../../core/journal-entry.ts';
import type { RunFold } from '../../runtime/fold.ts';
import type { Working } from '../wire.ts';

/**
 * What a run has under way, from its journal: whatever it wants done is done by its owner, from the entry on that made it
 * wanted. A new owner begins it anew.
 */

const MOST = 20;

type Effect = Extract<Want, { kind: 'think' | 'call' | 'retry' | 'delegate' }>;

export class WorkLog {
  /** When each effect came to be wanted as it is. */
  private began = new Map<string, number>();

  /** Called with every entry, and what the run wants once it is folded. */
  folded(wants: Want[], { at, events }: JournalEntry): void {
    const isTaken = events.some(({ type }) => type === 'claimed');
    const before = isTaken ? new Map<string, number>() : this.began;
    this.began = new Map(effectsIn(wants).map((want) => [keyOf(want), before.get(keyOf(want)) ?? at]));
  }

  /** Nothing while no node has the run. */
  now({ context, protocol }: RunFold, wants: Want[], agent: AgentDefinition): Working[] {
    if (protocol.node === null || protocol.released) return [];
    return effectsIn(wants)
      .slice(0, MOST)
      .map((want): Working => {
        const due = want.kind === 'retry' ? want.at : 0;
        const since = Math.max(due, this.began.get(keyOf(want)) ?? protocol.since);
        const { step_ms } = context.limits;
        const most = want.kind === 'think' ? step_ms : Math.min(want.call.timeout_ms || step_ms, step_ms);
        const deadline = context.clock_stopped_at === null ? context.deadline_at : null;
        return {
          id: want.id,
          what: want.kind === 'think' ? `model ${modelOf(agent, context)}` : want.call.tool,
          phase: want.kind === 'think' ? want.phase : want.kind === 'delegate' ? 'delegating' : 'calling',
          c: want.kind === 'think' ? null : want.call.c,
          since,
          until: Math.min(since + most, deadline ?? Number.POSITIVE_INFINITY),
          attempt: 1 + (want.kind === 'think' ? context.think_retries : (want.call.attempt ?? 0)),
        };
      });
  }
}

function effectsIn(wants: Want[]): Effect[] {
  return wants.filter((want): want is Effect => {
    return want.kind === 'think' || want.kind === 'call' || want.kind === 'retry' || want.kind === 'delegate';
  });
}

/** A call that is journalled as started is under way from that entry on. */
function keyOf(want: Effect): string {
  return want.kind === 'think' ? want.id : `${want.id} ${want.call.status}`;
}
