import type { Command } from 'commander';
import type { NodeOrder, NodeReport } from '../core/cluster-wire.ts';
import { addCommand, addOrder, addRemoteCommand, type CommonOptions, type OrderOptions } from './command.ts';
import { withOperator } from './connect.ts';
import { ago, line, moment, paintFor } from './format.ts';
import type { Io } from './io.ts';
import { table } from './table.ts';

const ORDERS: { order: NodeOrder; summary: string; description: string; why: string }[] = [
  {
    order: 'cordon',
    summary: 'let a node take no more runs; it keeps those that it has',
    description:
      'The node takes no more runs and keeps those that it has. It goes on to answer requests and to take tasks in, and is not ready at /readyz. The order is forgotten when the node ends: what starts under its name takes runs.',
    why: 'strange disk errors',
  },
  {
    order: 'drain',
    summary: 'let a node take no more runs and hand over those that it has',
    description:
      'The node takes no more runs and hands over those that it has, each when the calls that it is in the middle of are done. It stays up, cordoned, until it is stopped or uncordoned.',
    why: 'new kernel tonight',
  },
  {
    order: 'uncordon',
    summary: 'let a node take runs again',
    description: 'Takes back a cordon or a drain. Runs that were handed over stay where they are.',
    why: 'the disk was changed',
  },
];

export function addNodes(program: Command, io: Io): void {
  const nodes = addCommand(program, 'nodes', {
    summary: 'the nodes of the cluster: list, cordon, drain',
    examples: ['proctor nodes', 'proctor nodes drain rack-2 --why "new kernel tonight"'],
  });
  addRemoteCommand(nodes, 'ls', {
    summary: 'list the nodes that are there',
    description:
      'Lists the nodes that answer now. A node that is gone is not in the list; runs that it left behind and that nobody has taken yet are in "proctor health".',
    examples: ['proctor nodes', 'proctor nodes ls --json'],
    isDefault: true,
  }).action(async (options: CommonOptions) => {
    const { nodes: found, now } = await withOperator(options, (operator) => operator.health());
    if (options.json === true) return io.out(JSON.stringify(found));
    io.out(nodesText(io, found, now));
  });
  for (const { order, summary, description, why } of ORDERS) {
    addOrder(nodes, `${order} <name>`, {
      summary,
      description,
      examples: [`proctor nodes ${order} rack-2 --why "${why}"`],
    }).action(async (name: string, options: OrderOptions) => {
      const given = await withOperator(options, (operator) => operator.nodeOrder(name, order, options.why));
      if (options.json === true) return io.out(JSON.stringify(given));
      const { node, lonely } = given;
      io.out(`${line(node.node)} is ${node.state}; ${node.active_runs} runs in work there`);
      if (lonely.length === 0) return;
      io.err(`No other node takes runs of ${line(lonely.join(', '))} now: they wait until one does.`);
    });
  }
}

export function nodesText(io: Io, nodes: NodeReport[], now: number): string {
  const paint = paintFor(io);
  const rows = nodes.map((node) => {
    const usable = Object.entries(node.agents).flatMap(([name, word]) => (word.unusable === undefined ? [name] : []));
    const { order, state } = node;
    const told =
      order === undefined ? '' : ` by ${order.by} ${ago(order.at, now)} ago${order.why === '' ? '' : `: ${order.why}`}`;
    return [
      line(node.node),
      line(node.host),
      line(node.version),
      `${state === 'ready' ? paint.good(state) : paint.warn(state)}${line(told)}`,
      String(node.active_runs),
      `${node.slots} per agent`,
      line(usable.join(', ')),
      `${moment(node.started_at).slice(0, 19)}Z`,
    ];
  });
  return table(io, ['node', 'host', 'version', 'state', 'runs', 'slots', 'agents', 'since'], rows);
}
