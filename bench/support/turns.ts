import { Subjects } from '../../src/core/subjects.ts';
import { Blocks } from '../steps/blocks.ts';
import { DURABLE_STEPS, TOOL_STEPS } from '../steps/cells.ts';
import type { StepProcessOptions } from '../steps/wire.ts';
import { type Child, startChild } from './children.ts';
import { round } from './numbers.ts';
import { cpuMsFine } from './proc.ts';
import type { DrillServer } from './server.ts';

/**
 * Two builds of a node beside each other, on one server, by turns: a block of runs on the one, the same on the other, in
 * the order A B B A. While one works the other only shows signs of life, and a block is shorter than most of what else
 * the machine does, so that happens to both.
 */

/** How a node is started. */
export interface Side {
  /** URL of a module of the build's benchmarks; default this build. */
  base?: string;
  node?: Pick<StepProcessOptions, 'telemetry' | 'logLevel' | 'policy' | 'priced'>;
  env?: Record<string, string>;
}

export interface TurnsOptions {
  concurrency: number;
  /** Runs of one block. */
  runs: number;
  /** Blocks of each side. */
  blocks: number;
  /** Blocks of each side before them, which do not count. */
  warmup: number;
}

/** Of one side, over all its blocks. */
export interface Turn {
  /** Steps a second while it had the turn. */
  stepsPerSecond: number;
  /** CPU time a durable step of the node alone, microseconds. */
  cpuUsPerStep: number;
}

export function roundTurn({ stepsPerSecond, cpuUsPerStep }: Turn): Turn {
  return { stepsPerSecond: round(stepsPerSecond), cpuUsPerStep: round(cpuUsPerStep) };
}

/** So many blocks of each of two, in the order A B B A. */
export async function takeTurns<T>(blocks: number, pair: readonly [T, T], play: (one: T) => Promise<void>) {
  const [a, b] = pair;
  for (let i = 0; i < blocks; i++) for (const one of i % 2 === 0 ? [a, b] : [b, a]) await play(one);
}

/** @param url of the server; @param name no two calls may have the same on one server */
export async function byTurns(
  { url }: Pick<DrillServer, 'url'>,
  name: string,
  sides: readonly [Side, Side],
  options: TurnsOptions,
): Promise<[Turn, Turn]> {
  const players = await Promise.all(sides.map((side, i) => Player.open(url, `${name}${i}`, side, options)));
  const [a, b] = players as [Player, Player];
  try {
    for (let i = 0; i < options.warmup; i++) for (const player of [a, b]) await player.play(options.runs);
    for (const player of players) player.forget();
    await takeTurns(options.blocks, [a, b], (player) => player.play(options.runs));
    return [a.turn, b.turn];
  } finally {
    await Promise.all(players.map((player) => player.close()));
  }
}

class Player {
  private readonly node: Child;
  private readonly blocks: Blocks;
  private ms = 0;
  private cpu = 0;
  private runs = 0;

  private constructor(node: Child, blocks: Blocks) {
    this.node = node;
    this.blocks = blocks;
  }

  static async open(url: string, prefix: string, side: Side, { concurrency }: TurnsOptions): Promise<Player> {
    const settings: StepProcessOptions = {
      url,
      prefix,
      slots: concurrency,
      steps: TOOL_STEPS,
      tool: 'local',
      ...side.node,
    };
    const node = startChild(side.base ?? import.meta.url, '../steps/node', settings, [], side.env);
    await node.until((line) => line === 'up' || null);
    return new Player(node, await Blocks.open(url, new Subjects(prefix), concurrency));
  }

  async play(runs: number): Promise<void> {
    const cpu = cpuMsFine(this.node.pid);
    const began = performance.now();
    await this.blocks.run(runs);
    this.ms += performance.now() - began;
    this.cpu += cpuMsFine(this.node.pid) - cpu;
    this.runs += runs;
  }

  forget(): void {
    this.ms = 0;
    this.cpu = 0;
    this.runs = 0;
  }

  get turn(): Turn {
    const steps = this.runs * DURABLE_STEPS;
    return { stepsPerSecond: steps / (this.ms / 1000), cpuUsPerStep: (this.cpu * 1000) / steps };
  }

  async close(): Promise<void> {
    await this.blocks.close();
    await this.node.end('SIGKILL');
  }
}
