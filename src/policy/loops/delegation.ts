import type { Json } from '../../core/json.ts';
import type { LoopSettings, LoopVerdict } from '../../core/loops.ts';
import { printOf } from './fingerprint.ts';
import { rungAt } from './verdict.ts';

/** A run in a chain of delegations: whose it is, and the fingerprint of what it was given. */
export interface Link {
  agent: string;
  input: number;
}

/** The link that a run is. */
export function linkOf(agent: string, input: Json): Link {
  return { agent, input: printOf(input) };
}

/**
 * Asked with a delegation that a run has decided on: whether it closes a circle (A -> B -> A). Being given the same work
 * again climbs the ladder; other work for an agent above is only remarked on, as work may be divided that way.
 * @param chain the runs above, outermost first, and the run itself
 */
export function judgeDelegation(
  chain: readonly Link[],
  next: Link,
  { detect, delegation }: LoopSettings,
): LoopVerdict | null {
  if (!detect) return null;
  const times = (is: (link: Link) => boolean) =>
    chain.filter((link) => link.agent === next.agent && is(link)).length + 1;
  const same = times((link) => link.input === next.input);
  const callee = `agent:${next.agent}`;
  const rung = rungAt(delegation, same);
  if (rung !== null) return { rung, rule: 'delegation', count: same, callee };
  const any = times(() => true);
  return rungAt(delegation, any) === null ? null : { rung: 'warn', rule: 'delegation', count: any, callee };
}
