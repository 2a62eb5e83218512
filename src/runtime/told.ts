import type { RunEvent } from '../core/events.ts';
import { groupsAt } from '../policy/approvals.ts';
import type { RunFold } from './fold.ts';
import type { Journal } from './journal.ts';
import { plannedOf } from './steps.ts';

/** What a journal says in words and a folded state does not keep: what a person is asked, and what failed last. */
export interface Told {
  question?: string;
  failure?: string;
  /** Who may approve the call that waits, and which rule asks for it. */
  groups?: string[];
  reason?: string;
}

/** Entries that are looked through for the last failure, from the end. */
const LOOKED_AT = 30;

export async function toldBy(journal: Journal, { context, path, protocol }: RunFold): Promise<Told> {
  if (path === 'waiting.person') {
    const asked = context.decision === null ? null : await journal.entry(context.run, context.decision);
    for (const event of asked?.events ?? []) {
      if (event.type === 'decided' && event.decision.action === 'ask_human')
        return { question: event.decision.question };
    }
    return {};
  }
  if (path === 'waiting.approval') {
    const call = context.calls.find(({ status }) => status === 'approval');
    const terms =
      call === undefined ? undefined : (await plannedOf(call.c, (n) => journal.mustHave(context.run, n)))?.approval;
    if (terms === undefined) return {};
    const at = call?.approval?.escalated === true ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
    return { groups: groupsAt(terms, at), reason: terms.reasons.map(({ text }) => text).join('; ') };
  }
  const isRetry = path === 'waiting.backing_off' || path === 'waiting.budget' || context.think_retries > 0;
  if (!isRetry && context.end?.code !== 'max_retries') return {};
  let failure: string | undefined;
  for await (const { events } of journal.entries(context.run, Math.max(0, protocol.n - LOOKED_AT))) {
    for (const event of events) failure = failureIn(event) ?? failure;
  }
  return failure === undefined ? {} : { failure };
}

function failureIn(event: RunEvent): string | undefined {
  if (event.type === 'decided') return event.calls?.findLast((call) => call.refused !== undefined)?.refused?.message;
  if (
    event.type === 'think_retry' ||
    event.type === 'think_failed' ||
    event.type === 'call_failed' ||
    event.type === 'using_fallback'
  ) {
    return event.error.message;
  }
  return undefined;
}
