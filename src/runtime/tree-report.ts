import type { Supervisor } from '../../supervisors/supervisor.ts';
import type { TreeChild as Child, SupervisorTree, TreeWindow } from '../../supervisors/tree.ts';
import type { ApiBody } from '../core/door-wire.ts';
import { AppError } from '../core/errors.ts';
import {
  MAX_EFFECTS,
  NodeTree,
  type TreeChild,
  type TreeMachine,
  TreeQuery,
  type TreeRun,
  type TreeSupervisor,
} from '../core/tree-wire.ts';
import type { Subscription } from '../ports/bus.ts';
import type { Activations } from './activations.ts';
import { askNode } from './ask-node.ts';
import type { NodeDeps } from './deps.ts';
import type { RunOwner } from './run-owner.ts';
import type { TreeLog } from './tree-log.ts';

/**
 * The tree of a node, made when somebody asks: nothing of it is kept ready. Effects are read from their owners at that
 * moment. A node may have thousands of runs: so many are told as the question allows, and one answer holds.
 */

/** Bytes of JSON that an answer may hold; the server takes 1 MB. */
const MAX_BYTES = 700 * 1024;

export class TreeReport {
  private readonly deps: NodeDeps;
  private readonly activations: Activations;
  private readonly log: TreeLog;
  private readonly root: () => Supervisor;
  private readonly machines: () => TreeMachine[];

  constructor(
    deps: NodeDeps,
    activations: Activations,
    log: TreeLog,
    root: () => Supervisor,
    machines: () => TreeMachine[],
  ) {
    this.machines = machines;
    this.deps = deps;
    this.activations = activations;
    this.log = log;
    this.root = root;
  }

  serve(): Subscription {
    const { bus, subjects, node } = this.deps;
    return bus.serve(subjects.node(node, 'tree'), async ({ data }) => {
      const query = TreeQuery.parse(JSON.parse(data));
      for (let { runs } = query; ; runs = Math.floor(runs / 2)) {
        const text = JSON.stringify(this.of({ ...query, runs }));
        // Characters of three bytes are rare here: identifiers, and messages that were clipped.
        if (runs === 0 || text.length < MAX_BYTES) return text;
      }
    });
  }

  /** Throws AppError `unknown_type`. */
  of({ runs, type, after }: TreeQuery): NodeTree {
    const root = this.root();
    const top = type === undefined ? root : root.nested('agents')?.nested(type);
    const { supervised } = this.activations;
    const tree = top?.tree({
      most: runs,
      ...(after === undefined
        ? { first: (run: string) => (supervised.get(run)?.restarts ?? 0) > 0 || supervised.get(run)?.owner === null }
        : { after }),
    } satisfies TreeWindow);
    if (tree == null) throw new AppError('unknown_type', `this node has no ${type ?? 'tree'}`, { field: 'type' });
    return {
      v: 1,
      node: this.deps.node,
      now: this.deps.clock.now(),
      tree: this.supervisor(tree, ''),
      machines: type === undefined ? this.machines() : [],
    };
  }

  /** @param id of the child that it is */
  private supervisor(tree: SupervisorTree, id: string): TreeSupervisor {
    const { name, strategy, phase, intensity, periodMs, recentRestarts, maxChildren, left } = tree;
    return {
      strategy,
      phase,
      intensity,
      period_ms: periodMs,
      recent_restarts: recentRestarts,
      max_children: maxChildren,
      children: tree.children.map((child) => this.child(child, name, id)),
      left,
      next: left > 0 ? (tree.children.at(-1)?.slot ?? null) : null,
      ended: [...this.log.endedOf(name)],
    };
  }

  private child({ id, type, restart, status, restarts, upAt, retryAt, tree }: Child, above: string, run: string) {
    const error = this.log.lastError(above, id);
    const owner = this.activations.owners.get(run);
    const shown: TreeChild = {
      id,
      type,
      restart,
      status,
      restarts,
      up_at: upAt,
      retry_at: retryAt,
      ...(error === undefined ? {} : { last_error: error }),
      ...(owner === undefined ? {} : { run: runOf(owner) }),
      ...(tree === null ? {} : { supervisor: this.supervisor(tree, id) }),
    };
    return shown;
  }
}

function runOf(owner: RunOwner): TreeRun {
  const { path, context, protocol } = owner.fold;
  const effects = owner.effects();
  const told = effects.slice(0, MAX_EFFECTS);
  return {
    state: path,
    steps: context.steps,
    epoch: protocol.epoch,
    effects: told,
    left: effects.length - told.length,
  };
}

/** The tree of one node, wherever it is. Throws AppError `no_tree`: it is gone, or of a version that does not tell. */
export async function treeOfNode(deps: NodeDeps, body: ApiBody<'tree'>): Promise<NodeTree> {
  const { node, ...query } = body;
  const answer = await askNode(deps, node, 'tree', query, { code: 'no_tree', tells: 'its tree' });
  const tree = NodeTree.safeParse(answer).data;
  if (tree !== undefined) return tree;
  throw new AppError('no_tree', `node "${node}": its version tells its tree in another form`, { field: 'node' });
}
