import { setTimeout as delay } from 'node:timers/promises';
import { connectBus } from '../../src/app.ts';
import { periodOf } from '../../src/core/ids.ts';
import { journalStream } from '../../src/core/streams.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { type Child, startChild } from '../support/children.ts';
import { silent } from '../support/log.ts';
import { median, quantile, round } from '../support/numbers.ts';
import { cpuMs, machineCpuMs, peakMb } from '../support/proc.ts';
import { startServer } from '../support/server.ts';
import { ClosedLoop } from './closed-loop.ts';
import type { StepProcessOptions } from './wire.ts';

/** One measurement: a fresh server, fresh processes, a warm-up, then so many seconds of a closed loop. */

export const SERIES = ['proctorInProcess', 'proctorNats', 'bareStock', 'bareBest'] as const;
export type Series = (typeof SERIES)[number];

/** Tool steps of a run, and durable steps: each has a decision and an outcome. */
export const TOOL_STEPS = 10;
export const DURABLE_STEPS = 2 * TOOL_STEPS;

/** A measurement goes on until so many runs have ended. */
const FEWEST_RUNS = 5;

export interface Figures {
  stepsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
  /** CPU time a durable step of node (or publisher), worker and server together. */
  cpuUsPerStep: number;
  /** The server's part of it. */
  serverCpuUsPerStep: number;
  /** Peak memory of the same processes. */
  peakMb: number;
  /** CPU that others used meanwhile, percent of one core; includes the load driver for Proctor. */
  otherCpuPct: number;
}

export interface CellOptions {
  seconds: number;
  warmupSeconds: number;
  /** Node flags of the node process, such as `--cpu-prof`. */
  nodeFlags: string[];
  /** Journal entries of one run, for the bare series. */
  entries: string[];
}

export async function measure(series: Series, concurrency: number, options: CellOptions): Promise<Figures> {
  return series.startsWith('proctor')
    ? proctor(series === 'proctorNats' ? 'worker' : 'local', concurrency, options)
    : bare(series === 'bareBest' ? 'best' : 'stock', concurrency, options);
}

async function proctor(tool: StepProcessOptions['tool'], concurrency: number, options: CellOptions): Promise<Figures> {
  const server = await startServer();
  const settings: StepProcessOptions = {
    url: server.url,
    prefix: 'bench',
    slots: concurrency,
    steps: TOOL_STEPS,
    tool,
  };
  const node = startChild(import.meta.url, './node', settings, options.nodeFlags);
  const children = tool === 'worker' ? [node, startChild(import.meta.url, './worker', settings)] : [node];
  try {
    await allUp(children);
    const loop = await ClosedLoop.open(server.url, settings.prefix);
    loop.start(concurrency);
    await delay(options.warmupSeconds * 1000);
    const meter = new Meter([server.pid, ...children.map((child) => child.pid)]);
    loop.begin();
    await delay(options.seconds * 1000);
    while (loop.end().length < FEWEST_RUNS) await delay(10);
    const figures = meter.figures([...loop.end()]);
    await loop.close();
    node.tell({ stop: true });
    await node.exited;
    return figures;
  } finally {
    await Promise.all(children.map((child) => child.end('SIGKILL')));
    await server.stop();
  }
}

async function bare(path: 'stock' | 'best', concurrency: number, options: CellOptions): Promise<Figures> {
  const server = await startServer();
  const { entries } = options;
  const child = startChild(import.meta.url, './bare', { url: server.url, prefix: 'bench', concurrency, path, entries });
  try {
    await allUp([child]);
    await delay(options.warmupSeconds * 1000);
    const meter = new Meter([server.pid, child.pid]);
    child.tell({ begin: true });
    await delay(options.seconds * 1000);
    child.tell({ end: FEWEST_RUNS });
    const latencies = await child.until((line) =>
      line.startsWith('{') ? (JSON.parse(line) as { latencies: number[] }).latencies : null,
    );
    return meter.figures(latencies);
  } finally {
    await child.end('SIGKILL');
    await server.stop();
  }
}

function allUp(children: Child[]): Promise<true[]> {
  return Promise.all(children.map((child) => child.until((line) => line === 'up' || null)));
}

class Meter {
  private readonly pids: number[];
  private readonly began = performance.now();
  private readonly cpu: number;
  private readonly server: number;
  private readonly machine = machineCpuMs();

  /** @param pids the server first */
  constructor(pids: [number, ...number[]]) {
    this.pids = pids;
    this.server = cpuMs(pids[0]);
    this.cpu = this.ours();
  }

  private ours(): number {
    return this.pids.reduce((sum, pid) => sum + cpuMs(pid), 0);
  }

  figures(latencies: number[]): Figures {
    const ms = performance.now() - this.began;
    const cpu = this.ours() - this.cpu;
    const server = cpuMs(this.pids[0] ?? 0) - this.server;
    const steps = latencies.length * DURABLE_STEPS;
    return {
      stepsPerSecond: round(steps / (ms / 1000)),
      p50Ms: round(quantile(latencies, 0.5)),
      p99Ms: round(quantile(latencies, 0.99)),
      cpuUsPerStep: round((cpu * 1000) / steps),
      serverCpuUsPerStep: round((server * 1000) / steps),
      peakMb: round(this.pids.reduce((sum, pid) => sum + peakMb(pid), 0)),
      otherCpuPct: Math.max(0, Math.round(((machineCpuMs() - this.machine - cpu) / ms) * 100)),
    };
  }
}

export function medianFigures(all: Figures[]): Figures {
  const of = (key: keyof Figures): number => median(all.map((figures) => figures[key]));
  return {
    stepsPerSecond: of('stepsPerSecond'),
    p50Ms: of('p50Ms'),
    p99Ms: of('p99Ms'),
    cpuUsPerStep: of('cpuUsPerStep'),
    serverCpuUsPerStep: of('serverCpuUsPerStep'),
    peakMb: of('peakMb'),
    otherCpuPct: of('otherCpuPct'),
  };
}

/** The entries that a real run stores for its steps: a decision and an outcome each. */
export async function entriesOfARun(): Promise<string[]> {
  const server = await startServer();
  const settings: StepProcessOptions = { url: server.url, prefix: 'bench', slots: 1, steps: TOOL_STEPS, tool: 'local' };
  const node = startChild(import.meta.url, './node', settings);
  try {
    await allUp([node]);
    const loop = await ClosedLoop.open(server.url, settings.prefix);
    loop.start(1);
    await loop.close();
    const subjects = new Subjects(settings.prefix);
    const bus = await connectBus({ url: server.url }, 'bench-reader', subjects, silent);
    const entries: string[] = [];
    for await (const message of bus.scan(journalStream(subjects, periodOf(Date.now())).name, 'bench.jrn.>')) {
      if (/"type":"(?:decided|call_done)"/.test(message.data)) entries.push(message.data);
    }
    await bus.close();
    return entries.slice(0, DURABLE_STEPS);
  } finally {
    await node.end('SIGKILL');
    await server.stop();
  }
}
