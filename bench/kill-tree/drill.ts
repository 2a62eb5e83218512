import { setTimeout as delay } from 'node:timers/promises';
import { connectBus } from '../../src/app.ts';
import { createOperator } from '../../src/client/operator.ts';
import { StatusEvent } from '../../src/core/status.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { wallClock } from '../kill/wire.ts';
import { type Child, startChild } from '../support/children.ts';
import { silent } from '../support/log.ts';
import { quantile, round } from '../support/numbers.ts';
import { seeded } from '../support/random.ts';
import { progress } from '../support/report.ts';
import { startServer } from '../support/server.ts';
import { DESCENDANTS, ROOT, TREE_EFFECTS, TREE_STARTS, type TreeEffect, type TreeNodeOptions } from './wire.ts';

/**
 * Kills of whole trees: a root and what it delegated to, over several node processes, killed while runs below it are
 * still attaching. What any of them begins after the acknowledgement is late.
 */

export interface TreeDrillOptions {
  tries: number;
  nodes: number;
  /** Trees at once. */
  atOnce: number;
  seed: number;
  /** See TreeNodeOptions. */
  lateMs?: number;
}

/** A tree is killed when so many of its runs have begun, at random: so most kills meet runs that attach. */
const FEWEST = 20;
/** How long a tree may take to get there, milliseconds. */
const PATIENCE_MS = 30_000;
/** After the last kill, milliseconds. */
const SETTLE_MS = 1_000;

interface Tree {
  root: string;
  /** When each of its runs began, by run: the first time counts. */
  starts: Map<string, number>;
  effects: TreeEffect[];
  putAt: number;
  ackAt: number;
}

export async function treeDrill({ tries, nodes, atOnce, seed, lateMs }: TreeDrillOptions) {
  const server = await startServer();
  const children: Child[] = [];
  try {
    const subjects = new Subjects('bench');
    const bus = await connectBus({ url: server.url }, 'bench', subjects, silent);
    const slots = Math.ceil((DESCENDANTS * atOnce * 1.5) / nodes);
    for (let i = 0; i < nodes; i++) {
      const options: TreeNodeOptions = {
        url: server.url,
        prefix: subjects.prefix,
        name: `n${i}`,
        slots,
        ...(lateMs === undefined ? {} : { lateMs }),
      };
      const child = startChild(import.meta.url, './node', options);
      children.push(child);
      await child.until((line) => (line === 'up' ? true : null));
    }
    const trees = new Map<string, Tree>();
    const treeOf = (name: string): Tree => {
      const tree = trees.get(name) ?? {
        root: '',
        starts: new Map(),
        effects: [],
        putAt: 0,
        ackAt: Number.POSITIVE_INFINITY,
      };
      trees.set(name, tree);
      return tree;
    };
    const hear = (data: string): TreeEffect => JSON.parse(data) as TreeEffect;
    bus.subscribe(TREE_EFFECTS, ({ data }) => void treeOf(hear(data).tree).effects.push(hear(data)));
    bus.subscribe(TREE_STARTS, ({ data }) => {
      const { tree, run, at } = hear(data);
      const { starts } = treeOf(tree);
      if (!starts.has(run)) starts.set(run, at);
    });
    bus.subscribe(`${subjects.prefix}.evt.${ROOT}.>`, ({ data }) => {
      const { user, run } = StatusEvent.parse(JSON.parse(data));
      treeOf(user).root = run;
    });
    const operator = createOperator({ bus, subjects, by: 'bench' });
    const random = seeded(seed);
    let begun = 0;
    let unacknowledged = 0;
    const one = async (): Promise<void> => {
      const name = `t${begun++}`;
      const tree = treeOf(name);
      const size = FEWEST + random.int(DESCENDANTS + 1 - FEWEST);
      await bus.publish(subjects.task(ROOT, name), '{"input":"x"}');
      const until = performance.now() + PATIENCE_MS;
      while ((tree.root === '' || tree.starts.size < size) && performance.now() < until) await delay(2);
      tree.putAt = wallClock();
      const { acknowledged } = await operator.switch(`run:${tree.root}`, 'kill', 'a drill');
      if (acknowledged) tree.ackAt = wallClock();
      else unacknowledged++;
      if (begun % 50 === 0) progress(`${begun} trees`);
    };
    const lanes = Array.from({ length: atOnce }, async () => {
      while (begun < tries) await one();
    });
    await Promise.all(lanes);
    await delay(SETTLE_MS + (lateMs ?? 0));
    await bus.close();
    const all = [...trees.values()];
    const late = all.flatMap((tree) => tree.effects.filter(({ at }) => at > tree.ackAt));
    for (const effect of late.slice(0, 10)) progress(`late: ${JSON.stringify(effect)}`);
    const ackMs = all.map(({ putAt, ackAt }) => ackAt - putAt);
    return {
      tries: all.length,
      lateEffects: late.length,
      unacknowledged,
      /** Below the root, of which so many began before the order was put, and between that and now. */
      descendants: all.reduce((sum, { starts }) => sum + starts.size - 1, 0),
      attachedLate: all.reduce(
        (sum, { starts, putAt }) => sum + [...starts.values()].filter((at) => at > putAt).length,
        0,
      ),
      largest: Math.max(...all.map(({ starts }) => starts.size - 1)),
      effects: all.reduce((sum, { effects }) => sum + effects.length, 0),
      acknowledgedP50Ms: round(quantile(ackMs, 0.5)),
      acknowledgedP99Ms: round(quantile(ackMs, 0.99)),
      nodes,
    };
  } finally {
    await Promise.all(children.map((child) => child.end('SIGKILL')));
    await server.stop();
  }
}
