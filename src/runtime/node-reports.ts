import { NodeReport } from '../core/cluster-wire.ts';
import { VERSION } from '../core/version.ts';
import type { Subscription } from '../ports/bus.ts';
import type { Activations } from './activations.ts';
import type { NodeDeps } from './deps.ts';

/** What nodes say of themselves when they are asked, all at once: nothing of it is stored. */

/** How long nodes have for their word, milliseconds. */
const REPORT_MS = 300;

export function serveReports(deps: NodeDeps, activations: Activations): Subscription {
  const { bus, subjects, clock, settings } = deps;
  const started_at = clock.now();
  return bus.serve(subjects.nodes('report'), async () => {
    const agents = deps.agents.all().map(({ definition }) => {
      const why = deps.agents.unusable(definition);
      const active = activations.activeOf(definition.name);
      return [definition.name, { active, ...(why === null ? {} : { unusable: why.message.slice(0, 500) }) }];
    });
    const report: NodeReport = {
      node: deps.node,
      version: VERSION,
      started_at,
      slots: settings.slots,
      lease_ms: settings.lease_ms,
      active_runs: activations.owners.size,
      agents: Object.fromEntries(agents),
    };
    return JSON.stringify(report);
  });
}

/** The word of every node that is there, by name. */
export async function nodeReports({ bus, subjects }: NodeDeps): Promise<NodeReport[]> {
  const replies = await bus.gather(subjects.nodes('report'), '{}', { timeoutMs: REPORT_MS });
  const found = replies.flatMap(({ data }) => {
    const report = NodeReport.safeParse(read(data));
    return report.success ? [report.data] : [];
  });
  return found.sort((a, b) => (a.node < b.node ? -1 : 1));
}

function read(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}
