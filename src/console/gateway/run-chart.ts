import type { InspectionEvent } from 'xstate';
import { agentRunMachine } from '../../../machines/agent-run/machine.ts';
import { extract } from '../../runtime/extract-chart.ts';
import { hashOf } from './chart/layout.ts';

/** The chart that runs are folded through, and the edges that a fold takes. */

const extracted = extract(agentRunMachine);

export const RUN_CHART = extracted.definition;
export const RUN_CHART_HASH = hashOf(extracted.definition);

/** Ids of the edges that an inspected step of a run took; empty for what is no step. */
export function edgesTaken(event: InspectionEvent): string[] {
  if (event.type !== '@xstate.microstep') return [];
  // The transitions are those of the state nodes themselves: `test/console/run-chart.test.ts` holds XState to it.
  return event._transitions.flatMap((transition) => extracted.edgesOf.get(transition) ?? []);
}
