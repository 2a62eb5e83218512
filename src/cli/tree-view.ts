import type { NodeWithTree } from '../client/trees.ts';
import type { TreeChild, TreeEffect, TreeEnded, TreeMachine, TreeRun, TreeSupervisor } from '../core/tree-wire.ts';
import { ago, counted, duration, line, type Paint, paintFor, paintState } from './format.ts';
import type { Io } from './io.ts';

/** Supervision trees as lines. */

interface View {
  paint: Paint;
  now: number;
}

/** A line and what hangs below it. */
interface Branch {
  text: string;
  below: Branch[];
}

export function treesText(io: Io, found: NodeWithTree[]): string {
  if (found.length === 0) return 'No node answers. Start one with: proctor up';
  return found.map((node) => nodeLines(paintFor(io), node).join('\n')).join('\n\n');
}

function nodeLines(paint: Paint, { report, tree, why }: NodeWithTree): string[] {
  const { node, host, state, version } = report;
  const told = state === 'ready' ? paint.good(state) : paint.warn(state);
  const head = `${paint.bold(line(node))}  ${told}  ${line(host)}  ${line(version)}`;
  if (tree === null) return [`${head}  ${paint.warn(line(`no tree: ${why ?? 'it tells none'}`))}`];
  const view = { paint, now: tree.now };
  const branches = [...below(view, tree.tree), ...machineBranches(view, tree.machines ?? [])];
  return [`${head}  ${supervisorText(view, tree.tree)}`, ...lines(branches, '')];
}

/** Machines that a program in the node's process shows; their charts are in the console. */
function machineBranches({ paint }: View, machines: TreeMachine[]): Branch[] {
  if (machines.length === 0) return [];
  const shown = machines.map(({ name, status, state }): Branch => {
    const told = status === 'active' ? paint.good(status) : paint.warn(status);
    return { text: `${line(name)}  ${told}  ${line(state)}`, below: [] };
  });
  return [{ text: 'machines', below: shown }];
}

function lines(branches: Branch[], indent: string): string[] {
  return branches.flatMap((branch, i) => {
    const last = i === branches.length - 1;
    return [
      `${indent}${last ? '└── ' : '├── '}${branch.text}`,
      ...lines(branch.below, `${indent}${last ? '    ' : '│   '}`),
    ];
  });
}

function below(view: View, { children, left, ended }: TreeSupervisor): Branch[] {
  const more = left === 0 ? [] : [{ text: view.paint.dim(`${left} more: --runs N, --all`), below: [] }];
  return [...children.map((child) => branchOf(view, child)), ...more, ...ended.map((one) => endedBranch(view, one))];
}

function branchOf(view: View, child: TreeChild): Branch {
  const { supervisor } = child;
  const run = supervisor?.children.find(({ id }) => id === 'run');
  const isRun = child.restart === 'temporary' && run !== undefined;
  const what = supervisor === undefined ? '' : supervisorText(view, supervisor, isRun);
  return {
    text: [line(child.id), statusText(view, child), what].filter((part) => part !== '').join('  '),
    below: [
      ...(supervisor === undefined ? [] : below(view, supervisor)),
      ...(child.run?.effects.map((effect) => effectBranch(view, effect)) ?? []),
      ...(child.run === undefined || child.run.left === 0
        ? []
        : [{ text: view.paint.dim(counted(child.run.left, 'more effect')), below: [] }]),
    ],
  };
}

/** What stands between its name and what it supervises. */
function statusText(view: View, child: TreeChild): string {
  const { paint, now } = view;
  const { status, restarts, retry_at, up_at, last_error, run } = child;
  const parts = [
    status === 'running' ? paint.good(status) : paint.warn(status),
    ...(status === 'running' && up_at !== null ? [paint.dim(ago(up_at, now))] : []),
    ...(run === undefined ? [] : [runText(view, run)]),
    ...(restarts === 0 ? [] : [paint.warn(`restarted ${restarts}x`)]),
    ...(retry_at === null ? [] : [paint.warn(`again in ${duration(Math.max(0, retry_at - now))}`)]),
    ...(last_error === undefined ? [] : [paint.bad(errorText(view, last_error))]),
  ];
  return parts.join('  ');
}

function supervisorText({ paint }: View, supervisor: TreeSupervisor, brief = false): string {
  const { strategy, phase, intensity, period_ms, recent_restarts, max_children, children, left } = supervisor;
  const restarts = `${recent_restarts} of ${intensity} restarts in ${period_ms / 1_000} s`;
  const told = recent_restarts === 0 ? paint.dim(restarts) : paint.warn(restarts);
  // All run-supervisors are alike; theirs stands in the docs.
  if (brief) return recent_restarts === 0 ? '' : told;
  const most = max_children === null ? '' : ` of ${max_children}`;
  const runs = strategy === 'dynamic' ? `  ${children.length + left}${most} ${paint.dim('in work')}` : `  ${told}`;
  return `${strategy}${phase === 'running' ? '' : `  ${paint.warn(phase)}`}${runs}`;
}

function runText({ paint }: View, { state, steps, epoch }: TreeRun): string {
  return `${paintState(paint, line(state))}  step ${steps}  ${paint.dim(`epoch ${epoch}`)}`;
}

function effectBranch({ paint, now }: View, { id, uses, since }: TreeEffect): Branch {
  const what = uses === null ? '' : `  ${line(uses.replace(':', ' '))}`;
  const when = since === null ? 'done, on its way to the journal' : `for ${ago(since, now)}`;
  return { text: `${line(id)}${what}  ${paint.dim(when)}`, below: [] };
}

function endedBranch(view: View, { id, ...error }: TreeEnded): Branch {
  return { text: `${line(id)}  ended  ${view.paint.bad(errorText(view, error))}`, below: [] };
}

function errorText({ now }: View, { code, message, at }: { code: string; message: string; at: number }): string {
  return line(`${code}${message === '' || message === code ? '' : `: ${message}`} (${ago(at, now)} ago)`);
}
