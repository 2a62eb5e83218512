import { type GivenOrder, NodeReport } from '../core/cluster-wire.ts';
import { AppError, toAppError } from '../core/errors.ts';
import { VERSION } from '../core/version.ts';
import type { Subscription } from '../ports/bus.ts';
import type { Activations } from './activations.ts';
import type { NodeDeps } from './deps.ts';

/** What nodes say of themselves when they are asked, all at once: nothing of it is stored. */

/** How long nodes have for their word, milliseconds. */
const REPORT_MS = 300;
/** How long a node of the same name has to show that it lives, milliseconds. */
const NAMESAKE_MS = 1_000;

/** Whether the node takes runs, as its orders say. */
interface Standing {
  readonly inForce: GivenOrder | null;
  state(activeRuns: number): NodeReport['state'];
}

/** The word of this node, from now on the same but for what changes. */
export function reporter(deps: NodeDeps, activations: Activations, orders: Standing): () => NodeReport {
  const { clock, settings } = deps;
  const started_at = clock.now();
  const instance = deps.ids.random().slice(0, 64);
  return () => {
    const agents = deps.agents.all().map(({ definition }) => {
      const why = deps.agents.unusable(definition);
      const active = activations.activeOf(definition.name);
      return [definition.name, { active, ...(why === null ? {} : { unusable: why.message.slice(0, 500) }) }];
    });
    const active_runs = activations.supervised.size;
    return {
      node: deps.node,
      instance,
      host: (deps.host ?? '').slice(0, 255),
      state: orders.state(active_runs),
      ...(orders.inForce === null ? {} : { order: orders.inForce }),
      version: VERSION,
      started_at,
      slots: settings.slots,
      lease_ms: settings.lease_ms,
      active_runs,
      ...blockedLast(deps),
      caches: { tools: deps.toolResults.figures(), answers: { ...deps.answers.figures } },
      agents: Object.fromEntries(agents),
    };
  };
}

function blockedLast({ watchdog }: NodeDeps): Pick<NodeReport, 'blocked'> {
  if (watchdog.last === null) return {};
  const { maybe: _, stack: __, ...blocked } = watchdog.last;
  return { blocked };
}

/** To all nodes at once, and to this one by its name. */
export function serveReports({ bus, subjects, node }: NodeDeps, report: () => NodeReport): Subscription[] {
  const answer = () => Promise.resolve(JSON.stringify(report()));
  return [bus.serve(subjects.nodes('report'), answer), bus.serve(subjects.node(node, 'report'), answer)];
}

/**
 * Two processes of one name do no harm, as claims carry a nonce of their own, but nobody could tell them apart, and an
 * order to one would reach both. Two that start in the same moment are not found out here: `health` tells of them.
 * Throws AppError `name_taken`.
 */
export async function refuseNamesake({ bus, subjects, node, log }: NodeDeps): Promise<void> {
  const asked = bus.request(subjects.node(node, 'report'), '{}', { timeoutMs: NAMESAKE_MS });
  const answer = await asked.catch((thrown: unknown) => {
    const { code, message } = toAppError(thrown);
    if (code === 'no_responders') return null;
    if (code !== 'timeout') throw thrown;
    log.warn('node.namesake', { node, message, consequence: 'taken for the remains of one that is gone' });
    return null;
  });
  if (answer === null) return;
  const there = NodeReport.safeParse(read(answer.data)).data;
  const where = there === undefined || there.host === '' ? '' : ` on ${there.host}`;
  throw new AppError('name_taken', `a node named "${node}" runs already${where}: name this one otherwise with --name`);
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
