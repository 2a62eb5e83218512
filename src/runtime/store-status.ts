import type { RunEventOf } from '../core/events.ts';
import type { StepSummary } from '../core/result.ts';
import type { NodeDeps } from './deps.ts';
import type { RunFold } from './fold.ts';
import { statusPages } from './step-pages.ts';
import { statusOf } from './views.ts';

/**
 * Publishes where a run stands and waits until it is stored: for a run that this node is about to let go of, as nobody
 * would tell it afterwards, and a person may be waited for.
 */
export async function storeStatus(
  deps: NodeDeps,
  accepted: RunEventOf<'accepted'>,
  fold: RunFold,
  steps: StepSummary[],
): Promise<void> {
  const subject = deps.subjects.event(accepted.agent.name, accepted.user, accepted.run);
  for (const page of statusPages(steps)) await deps.bus.publish(subject, JSON.stringify(statusOf(fold, page)));
}
