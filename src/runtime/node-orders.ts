import { z } from 'zod';
import { GivenOrder, NodeOrder, NodeReport } from '../core/cluster-wire.ts';
import type { ApiBody } from '../core/door-wire.ts';
import { AppError, toAppError } from '../core/errors.ts';
import type { Subscription } from '../ports/bus.ts';
import type { NodeDeps } from './deps.ts';
import { nodeReports } from './node-reports.ts';

/**
 * Orders to one node: cordon, drain, uncordon. They are the process's own and die with it: what comes up under the same
 * name is another process, that somebody started because it shall work. A node in which nothing runs goes on to answer
 * requests and to take tasks in: that is work for the cluster and belongs to no node.
 */

/** How long a node has to answer, milliseconds. */
const ANSWER_MS = 2_000;

const OrderBody = z.strictObject({ order: NodeOrder, by: GivenOrder.shape.by, why: GivenOrder.shape.why });

export interface OrderEffects {
  /** Stop asking for runs. */
  hold(): void;
  /** Hand over what is there. */
  handOver(): void;
  /** Ask for runs again. */
  resume(): void;
}

export class NodeOrders {
  private readonly deps: NodeDeps;
  private readonly effects: OrderEffects;
  private current: GivenOrder | null = null;
  private leaving = false;

  constructor(deps: NodeDeps, effects: OrderEffects) {
    this.deps = deps;
    this.effects = effects;
  }

  /** The order that keeps runs away; null when it takes them. */
  get inForce(): GivenOrder | null {
    return this.current;
  }

  get takesRuns(): boolean {
    return this.current === null && !this.leaving;
  }

  /** Whether runs that are here stay, and those that come. */
  get keepsRuns(): boolean {
    return this.current?.order !== 'drain';
  }

  state(activeRuns: number): NodeReport['state'] {
    if (this.leaving) return 'stopping';
    if (this.current === null) return 'ready';
    return this.current.order === 'drain' && activeRuns > 0 ? 'draining' : 'cordoned';
  }

  stopping(): void {
    this.leaving = true;
  }

  /** @param report what the node says of itself after the order */
  serve(report: () => NodeReport): Subscription {
    const { bus, subjects, node } = this.deps;
    return bus.serve(subjects.node(node, 'order'), (request) => {
      this.give(OrderBody.parse(JSON.parse(request.data)));
      return Promise.resolve(JSON.stringify(report()));
    });
  }

  private give({ order, by, why }: z.infer<typeof OrderBody>): void {
    const { clock, log, node } = this.deps;
    // A drain that was given is not taken back by a cordon: its runs are on their way.
    if (order === 'cordon' && this.current?.order === 'drain') return;
    this.current = order === 'uncordon' ? null : { order, by, why, at: clock.now() };
    if (order === 'uncordon') this.effects.resume();
    else this.effects.hold();
    if (order === 'drain') this.effects.handOver();
    log.warn('node.ordered', { node, order, by, why, takes_runs: this.takesRuns });
  }
}

/** Gives an order to the node of that name, wherever it is. Throws AppError `unknown_node`. */
export async function orderNode(deps: NodeDeps, { node, order, by, why }: ApiBody<'node_order'>) {
  const { bus, subjects } = deps;
  const answer = await bus
    .request(subjects.node(node, 'order'), JSON.stringify({ order, by, why }), { timeoutMs: ANSWER_MS })
    .catch(async (thrown: unknown) => {
      if (toAppError(thrown).code !== 'no_responders') throw thrown;
      const names = (await nodeReports(deps)).map((report) => report.node);
      const text = `no node "${node}" answers; these do: ${names.join(', ')}`;
      throw new AppError('unknown_node', text, { field: 'node' });
    });
  const ordered = NodeReport.parse(JSON.parse(answer.data));
  const others = (await nodeReports(deps)).filter((one) => one.node !== node && one.state === 'ready');
  const lonely = Object.entries(ordered.agents).flatMap(([agent, word]) => {
    const elsewhere = others.some(({ agents }) => agents[agent] !== undefined && agents[agent].unusable === undefined);
    return word.unusable === undefined && !elsewhere ? [agent] : [];
  });
  return { ok: true, node: ordered, lonely: ordered.state === 'ready' ? [] : lonely };
}
