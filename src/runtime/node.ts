import type { AnyActor } from 'xstate';
import { reasonText } from '../../supervisors/exit-reason.ts';
import { hash } from '../../supervisors/partition.ts';
import { Supervisor } from '../../supervisors/supervisor.ts';
import type { GivenOrder } from '../core/cluster-wire.ts';
import { AppError, fromInfo } from '../core/errors.ts';
import { Activations } from './activations.ts';
import type { NodeDeps } from './deps.ts';
import { Inspection } from './inspection.ts';
import { NodeOrders } from './node-orders.ts';
import { reporter } from './node-reports.ts';
import { type NodeParts, nodeTree } from './node-tree.ts';
import type { PolicyInForce } from './policies.ts';
import { RunTree } from './run-tree.ts';
import { TreeLog } from './tree-log.ts';
import { TreeReport } from './tree-report.ts';

/** A supervisor node: takes tasks, owns runs, answers requests. Any number of them share one bus. */
export interface SupervisorNode {
  readonly activeRuns: number;
  /** Names of the agents that it knows. */
  readonly agents: string[];
  /** The policy that runs begin with now. */
  readonly policy: PolicyInForce;
  /** The order of an operator that keeps runs away from it; null when it takes them. */
  readonly order: GivenOrder | null;
  /** Why it begins nothing now although it runs; empty when it does. */
  notReady(): string[];
  /**
   * Shows an actor of a state machine of yours in the console, below this node in the tree, with its chart. Nothing is
   * attached to it while nobody looks. What is shown of its events and context is the beginning, without secrets.
   *
   * @param name 1 to 128 characters, unlike those of other machines of this node, of which there may be 200
   * @returns what takes it back; the actor goes on
   * @throws AppError `invalid_machine`, `name_taken`, `too_many`
   */
  inspectable(name: string, actor: AnyActor): () => void;
  /** Resolves when the node has given up: its runs are handed over and nothing of it is left. Pending for ever otherwise. */
  readonly failed: Promise<AppError>;
  /** Takes no more work, hands its runs over, and leaves the bus alone; resolves when nothing of it is left. */
  stop(): Promise<void>;
}

/** Creates what is missing on the bus and starts to work. Throws AppError when the bus refuses. */
export async function startNode(deps: NodeDeps): Promise<SupervisorNode> {
  const { settings, clock, log, agents } = deps;
  // Each claim holds it; one that is too long could be written and not read back.
  if (deps.node === '' || deps.node.length > 128) {
    throw new AppError('invalid_settings', `node name: ${deps.node.length} characters; expected 1 to 128`);
  }
  let isUp = false;
  const treeLog = new TreeLog(log, () => isUp);
  const runs = new RunTree(settings.slots, treeLog, clock);
  const taking: NodeParts['taking'] = { current: null };
  const activations = new Activations(deps, runs, () => taking.current?.roomFreed());
  const orders: NodeOrders = new NodeOrders(deps, {
    hold: () => taking.current?.changed(),
    handOver: () => activations.handOverAll(false),
    resume: () => {
      activations.keep();
      taking.current?.changed();
    },
  });
  const report = reporter(deps, activations, orders);
  const inspection: Inspection = new Inspection(deps, () => root);
  const tree = new TreeReport(
    deps,
    activations,
    treeLog,
    () => root,
    () => inspection.machines(),
  );
  const parts = { activations, orders, report, tree, inspection, runs, taking, queues: new Map(), isUp: () => isUp };
  const root: Supervisor = new Supervisor(nodeTree(deps, parts), {
    clock,
    name: 'node',
    seed: hash(deps.ids.random()),
    onReport: treeLog.hear,
  });
  runs.attach(() => root.nested('agents'));

  let asked = false;
  const ended = root.whenEnded.then((reason) => {
    activations.stop();
    deps.watchdog.stop();
    return reason;
  });
  await root.start().catch(async (thrown: unknown) => {
    const reason = await ended;
    throw reason.type === 'shutdown' && reason.error !== undefined ? fromInfo(reason.error) : thrown;
  });
  isUp = true;
  void deps.costs.read(deps, () => !asked);
  log.info('node.started', {
    node: deps.node,
    agents: agents.names(),
    slots: settings.slots,
    lease_ms: settings.lease_ms,
  });
  const failed = new Promise<AppError>((resolve) => {
    void ended.then((reason) => {
      if (asked) return;
      const told = 'error' in reason && reason.error !== undefined ? reason.error.message : reasonText(reason);
      const why = `${told}; the last fault: ${treeLog.lastFault}`;
      const todo = 'see child.crashed above for what is at fault; then start the node again';
      log.error('node.gave_up', { node: deps.node, why, consequence: 'its runs were handed over; it ends', todo });
      resolve(new AppError('node_gave_up', `node ${deps.node} gave up and handed its runs over: ${why}`));
    });
  });
  return {
    get activeRuns() {
      return activations.supervised.size;
    },
    get agents() {
      return agents.names();
    },
    get policy() {
      return deps.policies.inForce;
    },
    get order() {
      return orders.inForce;
    },
    failed,
    inspectable: (name, actor) => inspection.show(name, actor),
    notReady() {
      return [deps.switches.notReady(), deps.ledger.notReady()].filter((why) => why !== null);
    },
    async stop() {
      asked = true;
      orders.stopping();
      await root.stop();
      await ended;
      log.info('node.stopped', { node: deps.node });
    },
  };
}
