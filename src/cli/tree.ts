import type { Command } from 'commander';
import type { NodeWithTree, TreeOptions } from '../client/trees.ts';
import { DEFAULT_RUNS } from '../core/tree-wire.ts';
import { wholeNumber } from './arguments.ts';
import { addRemoteCommand, type CommonOptions } from './command.ts';
import { withOperator } from './connect.ts';
import { EXIT } from './failure.ts';
import type { Io } from './io.ts';
import { onQuit } from './quit.ts';
import { treesText } from './tree-view.ts';

const EVERY_MS = 1_000;
/** Back to the first line, and nothing below it. */
const REDRAW = '\u001b[H\u001b[J';
const CLEAR = '\u001b[2J';

interface TreeCommandOptions extends CommonOptions {
  node?: string;
  runs: number;
  all?: boolean;
  watch?: boolean;
}

export function addTree(program: Command, io: Io): void {
  addRemoteCommand(program, 'tree', {
    summary: 'draw the supervision tree of every node, live',
    description:
      'Draws what each node supervises now: its parts, its agent types, their runs and the effects of those, with restarts within the period, the wait before the next try, the last error, and runs that ended at their crash limit or are held. Of each agent type on a node the runs that crashed lately come first. On a terminal --watch draws it again each second, until Ctrl-C.',
    examples: [
      'proctor tree',
      'proctor tree --watch --node rack-2',
      'proctor tree --runs 100',
      'proctor tree --all --json',
    ],
  })
    .option('--node <name>', 'only this node')
    .option('--runs <n>', 'at most this many runs of each agent type on a node', wholeNumber(0, 100_000), DEFAULT_RUNS)
    .option('--all', 'all runs')
    .option('--watch', 'draw it again each second; where no person reads, once')
    .action((options: TreeCommandOptions) => tree(io, options));
}

async function tree(io: Io, options: TreeCommandOptions): Promise<void> {
  const { node, runs, all, json, watch } = options;
  const asked: TreeOptions = { runs: all === true ? 'all' : runs, ...(node === undefined ? {} : { node }) };
  await withOperator(options, async (operator) => {
    const found = await operator.trees(asked);
    if (json === true) return io.out(JSON.stringify(found));
    if (watch !== true || !io.outIsTty) return io.out(treesText(io, found));
    await redraw(io, found, () => operator.trees(asked));
  });
}

async function redraw(io: Io, first: NodeWithTree[], look: () => Promise<NodeWithTree[]>): Promise<void> {
  const quit = onQuit(() => process.exit(EXIT.interrupted));
  try {
    process.stdout.write(CLEAR);
    for (let found = first; ; found = await look()) {
      process.stdout.write(REDRAW);
      io.out(treesText(io, found));
      if ((await Promise.race([quit.asked, pause(EVERY_MS)])) === 'asked') return;
    }
  } finally {
    quit.release();
  }
}

function pause(ms: number): Promise<'over'> {
  return new Promise((resolve) => {
    setTimeout(() => resolve('over'), ms);
  });
}
