import type { Page } from 'playwright-core';
import type { NatsBus } from '../../src/adapters/nats/bus.ts';
import type { RunPage, RunQuery } from '../../src/console/wire.ts';
import type { StatusEvent } from '../../src/core/status.ts';
import { streamsOf } from '../../src/core/streams.ts';
import type { Subjects } from '../../src/core/subjects.ts';
import { type Drill, PREFIX, withDrill } from '../support/drill.ts';
import { median, quantile, round } from '../support/numbers.ts';
import { cpuMsFine, peakMb, rssMb } from '../support/proc.ts';
import { type Random, seeded } from '../support/random.ts';
import { progress } from '../support/report.ts';
import { startBrowser } from './browser.ts';
import { GatewayApi } from './gateway-api.ts';
import { type Gateway, startGateway, TOKEN } from './gateway-wire.ts';
import { type MadeRuns, madeRuns, steppedOn } from './statuses.ts';

/**
 * The list of runs when there are very many: their last statuses are put into the stream that nodes write them to, then
 * a fresh gateway reads them, and a browser opens the list, filters, searches, sorts and scrolls while runs go on.
 */

export interface ManyRunsOptions {
  /** Folder of the built page; default what `npm run build` made. */
  assets?: string | undefined;
  runs: number;
  /** Statuses a second while the list is used. */
  changes: number;
  /** How often each thing is done in the page. */
  rounds: number;
}

const READY_MS = 120_000;
const IN_FLIGHT = 1_000;
const TICK_MS = 50;

export function manyRuns(options: ManyRunsOptions) {
  return withDrill((drill) => manyOn(drill, options));
}

async function manyOn({ server, subjects, bus, keep }: Drill, options: ManyRunsOptions) {
  const open = async () => {
    const began = performance.now();
    const gateway = await startGateway({ url: server.url, prefix: PREFIX, dir: server.dir, assets: options.assets });
    keep(gateway.child);
    return { gateway, began };
  };
  await bus.ensureStream(streamsOf(subjects).events);
  // A gateway with nothing to know, for comparison.
  const empty = await open();
  const startEmptyMs = performance.now() - empty.began;
  const emptyHeapMb = await empty.gateway.heapMb();
  await empty.gateway.child.end('SIGKILL');

  const made = madeRuns(options.runs, Date.now());
  const filling = performance.now();
  await fill(bus, subjects, made.statuses);
  const fillMs = performance.now() - filling;
  progress(`${options.runs} runs after ${Math.round(fillMs)} ms`);

  const { gateway, began } = await open();
  const api = await GatewayApi.open(gateway.url, TOKEN);
  await knowsAll(api, options.runs);
  const startMs = performance.now() - began;
  const startCpuMs = cpuMsFine(gateway.child.pid);
  const heapMb = await gateway.heapMb();
  progress(`the gateway knows them after ${Math.round(startMs)} ms, ${Math.round(heapMb)} MB of heap`);

  const used = await use(gateway, api, made, { ...options, bus, subjects });
  return {
    runs: options.runs,
    startMs: round(startMs),
    startEmptyMs: round(startEmptyMs),
    startCpuMs: round(startCpuMs),
    heapMb: round(heapMb),
    bytesARun: Math.round(((heapMb - emptyHeapMb) * 2 ** 20) / options.runs),
    rssMb: round(rssMb(gateway.child.pid)),
    peakMb: round(peakMb(gateway.child.pid)),
    ...used,
    fillSeconds: round(fillMs / 1_000),
  };
}

async function fill(bus: NatsBus, subjects: Subjects, statuses: StatusEvent[]): Promise<void> {
  for (let at = 0; at < statuses.length; at += IN_FLIGHT) {
    await Promise.all(statuses.slice(at, at + IN_FLIGHT).map((status) => put(bus, subjects, status)));
  }
}

function put(bus: NatsBus, subjects: Subjects, status: StatusEvent): Promise<unknown> {
  return bus.publish(subjects.event(status.agent, status.user, status.run), JSON.stringify(status));
}

const ALL: RunQuery = { text: '', states: [], needs: false, sort: 'newest', offset: 0, limit: 1 };

async function knowsAll(api: GatewayApi, runs: number): Promise<void> {
  const until = performance.now() + READY_MS;
  for (;;) {
    const { total } = await api.post<RunPage>('/api/runs/query', ALL);
    if (total === runs) return;
    if (performance.now() > until) throw new Error(`the gateway knows ${total} of ${runs} runs after ${READY_MS} ms`);
  }
}

/** While statuses come: what the page takes, what a request takes, and what the gateway spends. */
async function use(
  { url, child }: Gateway,
  api: GatewayApi,
  made: MadeRuns,
  options: ManyRunsOptions & { bus: NatsBus; subjects: Subjects },
) {
  const browser = await startBrowser();
  const changing = new Changes(made, options);
  try {
    const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, bypassCSP: true });
    await context.request.post(`${url}/api/login`, { data: { token: TOKEN } });
    // Somebody looks at the figures at the same time.
    const overview = await context.newPage();
    await overview.goto(`${url}/`);
    await overview.locator('.counts').waitFor();
    const page = await context.newPage();
    changing.start();
    const [cpu, from, changes] = [cpuMsFine(child.pid), performance.now(), changing.made];
    const pageMs = await actions(page, url, made, options.rounds);
    const ms = performance.now() - from;
    const gatewayCpuMsPerSecond = ((cpuMsFine(child.pid) - cpu) * 1_000) / ms;
    const changesPerSecond = ((changing.made - changes) * 1_000) / ms;
    const queryMs = await queries(api, made);
    return {
      changesPerSecond: round(changesPerSecond),
      gatewayCpuMsPerSecond: round(gatewayCpuMsPerSecond),
      page: pageMs,
      query: queryMs,
    };
  } finally {
    changing.stop();
    await browser.close();
  }
}

/** Runs that work take steps, so many a second; those that came first stand still, so that it is known who is oldest. */
class Changes {
  made = 0;
  private readonly live: StatusEvent[];
  private readonly random: Random = seeded(2);
  private readonly options: ManyRunsOptions & { bus: NatsBus; subjects: Subjects };
  private timer: NodeJS.Timeout | null = null;
  private due = 0;

  constructor({ live }: MadeRuns, options: ManyRunsOptions & { bus: NatsBus; subjects: Subjects }) {
    this.options = options;
    this.live = live.slice(Math.ceil(live.length / 10)).filter(({ requires }) => requires === undefined);
  }

  start(): void {
    const { changes, bus, subjects } = this.options;
    this.timer = setInterval(() => {
      for (this.due += (changes * TICK_MS) / 1_000; this.due >= 1; this.due--) {
        const at = this.random.int(this.live.length);
        const next = steppedOn(this.live[at] as StatusEvent, Date.now());
        this.live[at] = next;
        bus.emit(subjects.event(next.agent, next.user, next.run), JSON.stringify(next));
        this.made++;
      }
    }, TICK_MS);
  }

  stop(): void {
    if (this.timer !== null) clearInterval(this.timer);
  }
}

interface Took {
  medianMs: number;
  maxMs: number;
}

function took(all: number[]): Took {
  return { medianMs: round(median(all)), maxMs: round(Math.max(...all)) };
}

const SHOWN = `[...document.querySelectorAll('.run-row')]`;

async function actions(page: Page, url: string, { statuses, live }: MadeRuns, rounds: number) {
  const failed = statuses.filter(({ state }) => state === 'failed').length;
  const [oldest, newest] = [live[0], statuses.at(-1)];
  const wanted = statuses[Math.floor(statuses.length / 3)];
  const found: Record<string, number[]> = {};
  const time = async (name: string, act: () => Promise<unknown>, ready: string): Promise<void> => {
    const began = performance.now();
    await act();
    await page.waitForFunction(ready, undefined, { polling: 'raf', timeout: 60_000 });
    found[name] = [...(found[name] ?? []), performance.now() - began];
    progress(`${name}: ${Math.round(performance.now() - began)} ms`);
  };
  const first = (run: string) =>
    `${SHOWN}.some((row) => row.ariaRowIndex === '1' && row.textContent.includes('${run}'))`;
  const rows = (n: number) => `document.querySelector('.runs')?.ariaRowCount === '${n}'`;
  const all = `${rows(statuses.length)} && ${first(newest?.run ?? '')}`;
  for (let i = 0; i < rounds; i++) {
    await page.goto('about:blank');
    await time('open', () => page.goto(`${url}/runs`, { waitUntil: 'commit' }), all);
    const failedShown = `${rows(failed)} && ${SHOWN}.length > 5 && ${SHOWN}.every((row) => row.textContent.startsWith('failed'))`;
    await time('filter', () => page.getByRole('button', { name: /^failed/ }).click(), failedShown);
    await time('unfilter', () => page.getByRole('button', { name: /^All/ }).click(), all);
    const search = page.getByRole('searchbox');
    await time('search', () => search.fill(wanted?.run ?? ''), `${rows(1)} && ${first(wanted?.run ?? '')}`);
    await time('unsearch', () => search.fill(''), all);
    await time('sortByAge', () => page.getByLabel('Sort').selectOption('age'), first(oldest?.run ?? ''));
    await time('unsort', () => page.getByLabel('Sort').selectOption('newest'), all);
    for (const part of [0.5, 1, 0]) {
      const scroll = `const body = document.querySelector('.runs-body'); body.scrollTop = (body.scrollHeight - body.clientHeight) * ${part}`;
      const near = part * (statuses.length - 1);
      const there = `${SHOWN}.some((row) => Math.abs(Number(row.ariaRowIndex) - 1 - ${near}) < 40) && ${SHOWN}.length > 5 && ${SHOWN}.every((row) => !row.textContent.startsWith('…'))`;
      await time('scroll', () => page.evaluate(scroll), there);
    }
  }
  return Object.fromEntries(Object.entries(found).map(([name, all]) => [name, took(all)]));
}

const QUERIES: Record<string, Partial<RunQuery>> = {
  newest: {},
  age: { sort: 'age' },
  cost: { sort: 'cost' },
  failed: { states: ['failed'] },
  text: { text: 'user-7 agent-3' },
  end: { offset: Number.MAX_SAFE_INTEGER },
};
const ASKED = 20;

/** A page of rows by each way to ask for it, one request after the other: what a request takes, milliseconds. */
async function queries(api: GatewayApi, { statuses }: MadeRuns) {
  const took: Record<string, { p50Ms: number; p95Ms: number }> = {};
  for (const [name, query] of Object.entries(QUERIES)) {
    const each: number[] = [];
    for (let i = 0; i < ASKED; i++) {
      const began = performance.now();
      const offset = query.offset === undefined ? 0 : statuses.length - 100;
      await api.post<RunPage>('/api/runs/query', { ...ALL, limit: 100, ...query, offset });
      each.push(performance.now() - began);
    }
    took[name] = { p50Ms: round(quantile(each, 0.5)), p95Ms: round(quantile(each, 0.95)) };
  }
  return took;
}
