import { setTimeout as delay } from 'node:timers/promises';
import type { NatsBus } from '../../src/adapters/nats/bus.ts';
import { type Client, createClient } from '../../src/client/client.ts';
import { createOperator, type Operator } from '../../src/client/operator.ts';
import type { Subjects } from '../../src/core/subjects.ts';
import { AGENT, type StepProcessOptions } from '../steps/wire.ts';
import type { Child } from '../support/children.ts';
import { type Drill, PREFIX, withDrill } from '../support/drill.ts';
import { mean, type Ratio, ratioOf, round } from '../support/numbers.ts';
import { coresCpuMs, cpuMsFine, keepApart, yieldToOthers } from '../support/proc.ts';
import { progress } from '../support/report.ts';
import { takeTurns } from '../support/turns.ts';
import { startGateway } from './gateway-wire.ts';
import type { StandIn } from './stand-in-wire.ts';
import type { AskFrames, TabsOptions, WatchRuns } from './tabs-wire.ts';

/**
 * What it costs a node that its runs are watched: blocks of so many runs, by turns with nobody looking and with a tab on
 * each of them, which hears of every entry. The node has a core to itself, of which rivals take the most, so that it is
 * full while server, gateway and tabs have room on the others: what it does a second is then what it can do. A core is
 * slower when another one works, so while nobody looks a process that does nothing else spends what gateway, tabs and
 * server spend more on watching, on work of their kind.
 */

export interface WatchedOptions {
  /** Runs at a time, each with a tab of its own. */
  runs: number;
  /** Tool steps of each. */
  steps: number;
  /** Processes that do nothing but share the core of the node. */
  rivals: number;
  /** Blocks of each kind, after `warmup` of each. */
  blocks: number;
  warmup: number;
}

/** Most that watching may cost a node: of the steps a second that it can do. */
export const MOST_COST_OF_WATCHING = 0.05;

/** How long the tabs get to hear of the last entries, milliseconds. */
const LAST_WORD_MS = 3_000;

/** With more, server, gateway and tabs wait for each other, and decide how fast the runs are. */
const MOST_BUSY_PCT = 80;
/** With less, the node is not full. */
const LEAST_BUSY_PCT = 95;

/** Of the entries; the rest may come after a run has ended, on a machine that is full. */
const FEWEST_HEARD = 0.9;

/** Of one block, or of several on average. */
interface Block {
  stepsPerSecond: number;
  /** CPU time a durable step, microseconds. */
  nodeUsPerStep: number;
  serverUsPerStep: number;
  /** CPU time a second, milliseconds. */
  gatewayMsPerSecond: number;
  tabsMsPerSecond: number;
  /** Of the node's core, and of all others, with all that runs there. */
  nodeCoreBusyPct: number;
  otherCoresBusyPct: number;
  /** Entries that the tabs heard of. */
  frames: number;
}

export interface Watched {
  alone: Block;
  watched: Block;
  speed: Ratio;
  /** CPU time a step of the node, and of the server. */
  nodeCpu: Ratio;
  serverCpu: Ratio;
  /** CPU time of the gateway for each entry that a tab heard of, microseconds. */
  gatewayUsPerFrame: number;
  /** Whether the node had a core of its own. */
  hasOwnCore: boolean;
  /** Of the entries of the watched runs, the share that a tab heard of. */
  heard: number;
}

interface Kind {
  watch: boolean;
  found: Block[];
}

interface Processes {
  client: Client;
  /** Of the journal of one run. */
  entries: number;
  /** Resolves when all of them have begun. */
  begun(runs: string[]): Promise<void>;
  server: number;
  node: Child;
  gateway: Child;
  tabs: Child;
}

export function watchedRuns(options: WatchedOptions, cores: number): Promise<Watched> {
  return withDrill((drill) => watchedOn(drill, options, cores));
}

async function watchedOn(drill: Drill, options: WatchedOptions, cores: number): Promise<Watched> {
  const { server, subjects, bus, start, keep } = drill;
  const { runs, steps, rivals, blocks, warmup } = options;
  const settings: StepProcessOptions = { url: server.url, prefix: PREFIX, slots: runs, steps, tool: 'local' };
  const client = createClient({ bus, subjects, user: 'watched' });
  const node = await start(import.meta.url, '../steps/node', settings);
  const { child: gateway, url } = await startGateway({ url: server.url, prefix: PREFIX, dir: server.dir });
  keep(gateway);
  const tabs = await start(import.meta.url, './tabs', { url, tabs: runs } satisfies TabsOptions);
  const standIn = await start(import.meta.url, './stand-in', {});
  const sharers: Child[] = [];
  for (let i = 0; i < rivals; i++) sharers.push(await start(import.meta.url, './stand-in', {}));
  const entries = await entriesOf(createOperator({ bus, subjects, by: 'bench' }), client, steps);
  const all = { client, entries, begun: begunRuns(bus, subjects), server: server.pid, node, gateway, tabs };
  const others = [server.pid, gateway.pid, tabs.pid, standIn.pid, process.pid];
  const hasOwnCore = keepApart(
    [node, ...sharers].map(({ pid }) => pid),
    others,
    cores,
  );
  // Where they are, they would keep the server from the node.
  yieldToOthers([gateway.pid, tabs.pid, standIn.pid]);
  for (const sharer of sharers) await spend(sharer, 1_000);
  const kinds: [Kind, Kind] = [
    { watch: false, found: [] },
    { watch: true, found: [] },
  ];
  const [nobody, somebody] = kinds;
  await takeTurns(warmup + blocks, kinds, async ({ watch, found }) => {
    await spend(standIn, watch ? 0 : spentBeside(somebody.found.at(-1)) - spentBeside(nobody.found.at(-1)));
    const block = await play(all, watch, options);
    found.push(block);
    progress(`block ${found.length}, ${watch ? 'watched' : 'alone'}: ${JSON.stringify(shown(block))}`);
  });
  const [alone, watched] = kinds.map(({ found }) => found.slice(warmup)) as [Block[], Block[]];
  const ratio = (key: keyof Block) => ratioOf(watched.map((one, i) => one[key] / (alone[i]?.[key] ?? Number.NaN)));
  const [before, after] = [average(alone), average(watched)];
  const seconds = (2 * runs * steps) / after.stepsPerSecond;
  return {
    speed: ratio('stepsPerSecond'),
    nodeCpu: ratio('nodeUsPerStep'),
    serverCpu: ratio('serverUsPerStep'),
    gatewayUsPerFrame: round(
      ((after.gatewayMsPerSecond - before.gatewayMsPerSecond) * seconds * 1_000) / Math.max(1, after.frames),
    ),
    hasOwnCore,
    heard: round(after.frames / (runs * entries)),
    alone: shown(before),
    watched: shown(after),
  };
}

async function play(
  { client, begun, entries, server, node, gateway, tabs }: Processes,
  watch: boolean,
  { runs, steps }: WatchedOptions,
): Promise<Block> {
  const pids = [server, node.pid, gateway.pid, tabs.pid];
  const before = pids.map(cpuMsFine);
  const [cores, began] = [coresCpuMs(), performance.now()];
  const started = await Promise.all(Array.from({ length: runs }, () => client.submit({ input: steps }, AGENT)));
  await begun(started.map(({ run }) => run));
  if (watch) await look(tabs, { watch: started.map(({ run }) => run) });
  const results = await Promise.all(started.map(({ run }) => client.result(run, { wait: true })));
  const ms = performance.now() - began;
  const [nodeCore = 0, ...otherCores] = coresCpuMs().map((spent, i) => (100 * (spent - (cores[i] ?? 0))) / ms);
  const [serverMs = 0, nodeMs = 0, gatewayMs = 0, tabsMs = 0] = pids.map((pid, i) => cpuMsFine(pid) - (before[i] ?? 0));
  const bad = results.find(({ status }) => status !== 'completed');
  if (bad !== undefined) throw new Error(`run ${bad.run} ended ${bad.code}`);
  const frames = await framesOf(tabs, watch ? runs * entries : 0);
  await look(tabs, { watch: [] });
  const durable = runs * 2 * steps;
  return {
    stepsPerSecond: durable / (ms / 1_000),
    nodeUsPerStep: (nodeMs * 1_000) / durable,
    serverUsPerStep: (serverMs * 1_000) / durable,
    gatewayMsPerSecond: gatewayMs / (ms / 1_000),
    tabsMsPerSecond: tabsMs / (ms / 1_000),
    nodeCoreBusyPct: nodeCore,
    otherCoresBusyPct: mean(otherCores),
    frames,
  };
}

/** By gateway, tabs and server, CPU milliseconds a second. */
function spentBeside(block: Block | undefined): number {
  if (block === undefined) return 0;
  const { gatewayMsPerSecond, tabsMsPerSecond, serverUsPerStep, stepsPerSecond } = block;
  return gatewayMsPerSecond + tabsMsPerSecond + (serverUsPerStep * stepsPerSecond) / 1_000;
}

async function spend(standIn: Child, cpuMsPerSecond: number): Promise<void> {
  standIn.tell({ cpuMsPerSecond: Math.max(0, cpuMsPerSecond) } satisfies StandIn);
  await standIn.until((line) => line === 'spending' || null);
}

/** A run that has not begun cannot be watched. */
function begunRuns(bus: NatsBus, subjects: Subjects): Processes['begun'] {
  const seen = new Set<string>();
  let tell = () => {};
  bus.subscribe(`${subjects.prefix}.evt.>`, ({ subject }) => {
    seen.add(subject.split('.').at(-1) ?? '');
    tell();
  });
  return (runs) =>
    new Promise((resolve) => {
      tell = () => {
        if (runs.every((run) => seen.has(run))) resolve();
      };
      tell();
    });
}

/** Journal entries of one such run. */
async function entriesOf(operator: Operator, client: Client, steps: number): Promise<number> {
  const { run } = await client.submit({ input: steps }, AGENT);
  await client.result(run, { wait: true });
  let entries = 0;
  for await (const _ of operator.journal(run)) entries++;
  return entries;
}

/** Frames that the tabs have had: all of them, or what came until they had had the time for it. */
async function framesOf(tabs: Child, all: number): Promise<number> {
  for (const until = performance.now() + LAST_WORD_MS; ; ) {
    tabs.tell({ frames: true } satisfies AskFrames);
    const frames = Number(await tabs.until((line) => /^frames (\d+)$/.exec(line)?.[1] ?? null));
    if (frames >= all || performance.now() > until) return frames;
    await delay(50);
  }
}

async function look(tabs: Child, message: WatchRuns): Promise<void> {
  tabs.tell(message);
  await tabs.until((line) => line === 'watching' || null);
}

function average(blocks: Block[]): Block {
  return mapped(blocks[0] as Block, (key) => mean(blocks.map((block) => block[key])));
}

function shown(block: Block): Block {
  return mapped(block, (key) => round(block[key]));
}

function mapped(block: Block, of: (key: keyof Block) => number): Block {
  return Object.fromEntries((Object.keys(block) as (keyof Block)[]).map((key) => [key, of(key)])) as unknown as Block;
}

/** What these figures say against the cost of watching. */
export function faultsOfWatching({ alone, watched, speed, hasOwnCore, heard }: Watched): string[] {
  const faults: string[] = [];
  const cost = 1 - speed.mean;
  if (!(cost <= MOST_COST_OF_WATCHING)) {
    const said = `watching costs ${percent(cost)} (standard error ${percent(speed.error)}) of the steps a second`;
    faults.push(`${said}; it may cost ${percent(MOST_COST_OF_WATCHING)}`);
  }
  if (!hasOwnCore) faults.push('the node had no core to itself: that needs a second one, and taskset (util-linux)');
  if (!(Math.min(alone.nodeCoreBusyPct, watched.nodeCoreBusyPct) >= LEAST_BUSY_PCT))
    faults.push(`the node's core was not full: ${alone.nodeCoreBusyPct} and ${watched.nodeCoreBusyPct} % busy`);
  if (!(watched.otherCoresBusyPct <= MOST_BUSY_PCT))
    faults.push(
      `the other cores were ${watched.otherCoresBusyPct} % busy: take more --rivals, so that the node does less`,
    );
  if (!(heard >= FEWEST_HEARD))
    faults.push(`the tabs heard of ${percent(heard)} of the entries: they were not watched`);
  return faults;
}

function percent(part: number): string {
  return `${(100 * part).toFixed(2)} %`;
}
