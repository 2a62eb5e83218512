import type { NodeReport } from '../core/cluster-wire.ts';
import type { ApiInput } from '../core/door-wire.ts';
import { AppError, toAppError } from '../core/errors.ts';
import { DEFAULT_RUNS, MAX_RUNS, type NodeTree, type TreeChild } from '../core/tree-wire.ts';
import type { ApiAnswer } from './answers.ts';

/** The supervision trees of a cluster, from node to node: each tells its own. */

export interface TreeOptions {
  /** Only this node; default all. */
  node?: string;
  /** Most runs of each agent type on a node, those that crashed lately first; default 10. */
  runs?: number | 'all';
}

export interface NodeWithTree {
  report: NodeReport;
  /** Null when the node does not tell it. */
  tree: NodeTree | null;
  /** Why there is none. */
  why?: string;
}

type Call = <K extends 'nodes' | 'tree'>(verb: K, body: ApiInput<K>) => Promise<ApiAnswer<K>>;

/** Why a node that is there tells no tree: nobody answers the request, or the node does not know it. */
const NO_TREE = new Set(['no_tree', 'no_node', 'bad_answer']);

export async function clusterTrees(
  call: Call,
  { node, runs = DEFAULT_RUNS }: TreeOptions = {},
): Promise<NodeWithTree[]> {
  const { nodes } = await call('nodes', {});
  const asked = node === undefined ? nodes : nodes.filter((one) => one.node === node);
  if (node !== undefined && asked.length === 0) {
    const names = nodes.map((one) => one.node).join(', ');
    throw new AppError('unknown_node', `no node "${node}" answers; these do: ${names}`, { field: 'node' });
  }
  return Promise.all(
    asked.map(async (report): Promise<NodeWithTree> => {
      try {
        return { report, tree: await treeOf(call, report.node, runs) };
      } catch (thrown) {
        const { code, message } = toAppError(thrown);
        if (!NO_TREE.has(code)) throw thrown;
        return { report, tree: null, why: code === 'no_node' ? 'no node knows how to ask for it' : message };
      }
    }),
  );
}

async function treeOf(call: Call, node: string, runs: number | 'all'): Promise<NodeTree> {
  if (runs !== 'all' && runs <= MAX_RUNS) return call('tree', { node, runs });
  const whole = await call('tree', { node, runs: 0 });
  const most = runs === 'all' ? Number.POSITIVE_INFINITY : runs;
  const types = whole.tree.children.find(({ id }) => id === 'agents')?.supervisor?.children ?? [];
  for (const { id, supervisor } of types) {
    if (supervisor === undefined || supervisor.left === 0) continue;
    const found: TreeChild[] = [];
    for (let after: number | null = -1; after !== null && found.length < most; ) {
      const page: NodeTree = await call('tree', {
        node,
        type: id,
        after,
        runs: Math.min(MAX_RUNS, most - found.length),
      });
      found.push(...page.tree.children);
      after = page.tree.next;
      supervisor.left = page.tree.left;
    }
    supervisor.children = found;
  }
  return whole;
}
