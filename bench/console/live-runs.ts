import { setTimeout as delay } from 'node:timers/promises';
import type { Browser } from 'playwright-core';
import type { NatsBus } from '../../src/adapters/nats/bus.ts';
import { createClient } from '../../src/client/client.ts';
import type { Subjects } from '../../src/core/subjects.ts';
import { type Drill, PREFIX, withDrill } from '../support/drill.ts';
import { mean, quantile, round, slopeOf } from '../support/numbers.ts';
import { cpuMsFine, rssMb } from '../support/proc.ts';
import { progress } from '../support/report.ts';
import { startBrowser } from './browser.ts';
import { type Gateway, startGateway, TOKEN } from './gateway-wire.ts';
import { AGENT, type PacedNodeOptions } from './paced-wire.ts';
import { PageMeter, type Update, updatesOf } from './page-meter.ts';

/**
 * The console beside very many live runs, on the real stack: what its pages spend on each thing that they are told, and
 * whether their memory, and that of the gateway, stays as it is.
 */

export interface LiveRunsOptions {
  /** Folder of the built page; default what `npm run build` made. */
  assets?: string | undefined;
  runs: number;
  nodes: number;
  /** How long a step of a run takes on average, milliseconds. */
  stepMs: number;
  minutes: number;
  /** Before the first sample. */
  warmupSeconds: number;
}

const USERS = 100;
const SAMPLE_MS = 10_000;
/** Of each sample: the rest of the time no trace is taken, which costs the pages something as well. */
const TRACE_MS = 5_000;
/** Fewest samples that the beginning and the end are taken from; of 10 minutes a minute each. */
const FEWEST_SAMPLES = 3;
const BEGIN_MS = 180_000;
/** Where the pages are: the list with what stands longest on top, where all is always new, and the figures. */
const PLACES = { runs: '/runs?sort=age', overview: '/' };
const READY = { runs: '.run-row .state', overview: '.counts' };
type PageName = keyof typeof PLACES;
const PAGES = Object.keys(PLACES) as PageName[];

/** Memory over time, MB. */
interface Memory {
  first: number;
  last: number;
  /** A minute. */
  slope: number;
  /** Last through first, less 1. */
  growth: number;
}

interface Sample {
  minute: number;
  gateway: number;
  pages: Record<PageName, number>;
}

export function liveRuns(options: LiveRunsOptions) {
  return withDrill((drill) => liveOn(drill, options));
}

async function liveOn({ server, subjects, bus, start, keep }: Drill, options: LiveRunsOptions) {
  const { runs, nodes, stepMs, minutes, warmupSeconds } = options;
  let browser: Browser | null = null;
  try {
    const slots = Math.ceil(runs / nodes) + 64;
    for (let n = 1; n <= nodes; n++) {
      const settings: PacedNodeOptions = { url: server.url, prefix: PREFIX, name: `node-${n}`, slots, stepMs, seed: n };
      await start(import.meta.url, './paced-node', settings);
    }
    const counted = await begin(bus, subjects, runs);
    progress(`${counted.live()} runs are live`);
    const gateway = await startGateway({ url: server.url, prefix: PREFIX, dir: server.dir, assets: options.assets });
    keep(gateway.child);
    browser = await startBrowser();
    const meters = await openPages(browser, gateway);
    // Cleaning up makes a process smaller than it is at work, so that happens long before memory is looked at.
    const heapBefore = await gateway.heapMb();
    await delay(warmupSeconds * 1_000);

    const [cpu, statuses, from] = [cpuMsFine(gateway.child.pid), counted.statuses(), performance.now()];
    const { samples, updates } = await sample(browser, gateway, meters, minutes * 60_000);
    const seconds = (performance.now() - from) / 1_000;
    const gatewayCpuMsPerSecond = round((cpuMsFine(gateway.child.pid) - cpu) / seconds);
    const heapAfter = await gateway.heapMb();
    return {
      live: counted.live(),
      statusesPerSecond: round((counted.statuses() - statuses) / seconds),
      page: Object.fromEntries(PAGES.map((name) => [name, spent(updates[name])])) as Record<PageName, Spent>,
      memoryMb: {
        gatewayRss: memory(samples.map(({ minute, gateway: y }) => ({ x: minute, y }))),
        runsPageHeap: memory(samples.map(({ minute, pages }) => ({ x: minute, y: pages.runs }))),
        overviewPageHeap: memory(samples.map(({ minute, pages }) => ({ x: minute, y: pages.overview }))),
      },
      gatewayHeapMbBefore: round(heapBefore),
      gatewayHeapMbAfter: round(heapAfter),
      gatewayCpuMsPerSecond,
      samples: samples.length,
    };
  } finally {
    await browser?.close();
  }
}

/** Submits the runs; resolves when all are in work. */
async function begin(bus: NatsBus, subjects: Subjects, runs: number) {
  const live = new Set<string>();
  let statuses = 0;
  bus.subscribe(`${subjects.prefix}.evt.>`, ({ subject, data }) => {
    statuses++;
    const { state } = JSON.parse(data) as { state: string };
    const run = subject.split('.').at(-1) ?? '';
    if (/^(?:thinking|executing)/.test(state)) live.add(run);
    else live.delete(run);
  });
  await bus.flush();
  const clients = Array.from({ length: USERS }, (_, i) => createClient({ bus, subjects, user: `user-${i}` }));
  for (let at = 0; at < runs; at += USERS) {
    await Promise.all(clients.slice(0, runs - at).map((client) => client.submit({ input: 'go on' }, AGENT)));
  }
  const until = performance.now() + BEGIN_MS;
  while (live.size < runs) {
    if (performance.now() > until) throw new Error(`${live.size} of ${runs} runs are live after ${BEGIN_MS} ms`);
    await delay(100);
  }
  return { live: () => live.size, statuses: () => statuses };
}

async function openPages(browser: Browser, { url }: Gateway): Promise<Record<PageName, PageMeter>> {
  const opened = PAGES.map(async (name) => {
    // Of its own, so that it has a process of its own.
    const context = await browser.newContext({ viewport: { width: 1280, height: 860 } });
    await context.request.post(`${url}/api/login`, { data: { token: TOKEN } });
    const page = await context.newPage();
    const meter = await PageMeter.open(name, page);
    await page.goto(`${url}${PLACES[name]}`);
    await page.locator(READY[name]).first().waitFor();
    return [name, meter] as const;
  });
  return Object.fromEntries(await Promise.all(opened)) as Record<PageName, PageMeter>;
}

async function sample(browser: Browser, { child }: Gateway, meters: Record<PageName, PageMeter>, ms: number) {
  const updates: Record<PageName, Update[]> = { runs: [], overview: [] };
  const samples: Sample[] = [];
  const began = performance.now();
  for (let n = 1; performance.now() - began < ms - SAMPLE_MS / 2; n++) {
    const traced = await updatesOf(browser, PAGES, () => delay(TRACE_MS));
    for (const name of PAGES) updates[name].push(...(traced.get(name) ?? []));
    const pages = { runs: await meters.runs.heapMb(), overview: await meters.overview.heapMb() };
    const one = { minute: (performance.now() - began) / 60_000, gateway: rssMb(child.pid), pages };
    samples.push(one);
    progress(`sample ${n}: ${JSON.stringify(one)}, ${updates.runs.length} updates of the list`);
    await delay(Math.max(0, began + n * SAMPLE_MS - performance.now()));
  }
  return { samples, updates };
}

interface Spent {
  updates: number;
  scriptP50Ms: number;
  scriptP95Ms: number;
  taskP50Ms: number;
  taskP95Ms: number;
}

function spent(updates: Update[]): Spent {
  const of = (key: keyof Update, q: number) =>
    round(
      quantile(
        updates.map((update) => update[key]),
        q,
      ),
    );
  return {
    updates: updates.length,
    scriptP50Ms: of('scriptMs', 0.5),
    scriptP95Ms: of('scriptMs', 0.95),
    taskP50Ms: of('taskMs', 0.5),
    taskP95Ms: of('taskMs', 0.95),
  };
}

function memory(points: { x: number; y: number }[]): Memory {
  const edge = Math.max(FEWEST_SAMPLES, Math.floor(points.length / 10));
  const first = mean(points.slice(0, edge).map(({ y }) => y));
  const last = mean(points.slice(-edge).map(({ y }) => y));
  return {
    first: round(first),
    last: round(last),
    slope: Number(slopeOf(points).toFixed(3)),
    growth: Number((last / first - 1).toFixed(4)),
  };
}
