import type { Browser, CDPSession, Page } from 'playwright-core';
import { z } from 'zod';

/**
 * What a page spends on what it is told, from Chromium's own trace: all script of its main thread (handlers, React,
 * timers, answers of requests, garbage collection) from one message of its stream to the next counts as the cost of that
 * message.
 */

const MARK = 'proctor:update';
/** Names of trace events during which script runs, as the developer tools count it. */
const SCRIPT = new Set([
  'EventDispatch',
  'FunctionCall',
  'TimerFire',
  'FireAnimationFrame',
  'FireIdleCallback',
  'RunMicrotasks',
  'EvaluateScript',
  'v8.run',
  'MinorGC',
  'MajorGC',
  'V8.GCScavenger',
]);
const TASK = 'RunTask';
const CATEGORIES = [
  'devtools.timeline',
  'disabled-by-default-devtools.timeline',
  'blink.user_timing',
  'v8',
  'toplevel',
];

const TraceEvent = z.object({
  name: z.string(),
  ph: z.string(),
  pid: z.number(),
  tid: z.number(),
  /** Microseconds. */
  ts: z.number().default(0),
  dur: z.number().default(0),
});
type TraceEvent = z.infer<typeof TraceEvent>;

/** In the page, before its own scripts: a mark for each message of the stream that brings something to draw. */
function markUpdates(name: string): string {
  return `const listen = EventSource.prototype.addEventListener;
EventSource.prototype.addEventListener = function (type, listener, options) {
  if (type !== 'runs' && type !== 'overview') return listen.call(this, type, listener, options);
  return listen.call(this, type, (event) => {
    performance.mark('${MARK}:${name}');
    // The trace has it; in the page it would stay for good.
    performance.clearMarks();
    listener(event);
  }, options);
};`;
}

/** Of one message. */
export interface Update {
  scriptMs: number;
  /** All that the main thread did: script, style, layout and painting. */
  taskMs: number;
}

export class PageMeter {
  readonly name: string;
  readonly page: Page;
  private readonly session: CDPSession;

  private constructor(name: string, page: Page, session: CDPSession) {
    this.name = name;
    this.page = page;
    this.session = session;
  }

  /** Before the page goes anywhere. */
  static async open(name: string, page: Page): Promise<PageMeter> {
    await page.addInitScript(markUpdates(name));
    const session = await page.context().newCDPSession(page);
    await session.send('Performance.enable');
    return new PageMeter(name, page, session);
  }

  /** What its heap holds when it is cleaned up, MB. */
  async heapMb(): Promise<number> {
    await this.session.send('HeapProfiler.collectGarbage');
    const { metrics } = await this.session.send('Performance.getMetrics');
    return (metrics.find(({ name }) => name === 'JSHeapUsedSize')?.value ?? Number.NaN) / 2 ** 20;
  }
}

/** What each of the pages spent on each message within a while. Pages must be in contexts of their own. */
export async function updatesOf(
  browser: Browser,
  names: string[],
  wait: () => Promise<void>,
): Promise<Map<string, Update[]>> {
  const session = await browser.newBrowserCDPSession();
  const events: TraceEvent[] = [];
  session.on('Tracing.dataCollected', ({ value }) => {
    for (const event of value) {
      const { data } = TraceEvent.safeParse(event);
      if (data !== undefined && (data.name.startsWith(MARK) || data.name === TASK || SCRIPT.has(data.name))) {
        events.push(data);
      }
    }
  });
  await session.send('Tracing.start', {
    transferMode: 'ReportEvents',
    traceConfig: { includedCategories: CATEGORIES, excludedCategories: ['*'] },
  });
  await wait();
  const complete = new Promise((resolve) => session.once('Tracing.tracingComplete', resolve));
  await session.send('Tracing.end');
  await complete;
  await session.detach();
  return new Map(names.map((name) => [name, updatesIn(events, name)]));
}

function updatesIn(events: TraceEvent[], name: string): Update[] {
  const marks = events.filter((event) => event.name === `${MARK}:${name}`).sort((a, b) => a.ts - b.ts);
  const [first] = marks;
  if (first === undefined) return [];
  const own = events.filter(({ pid, tid, ph }) => pid === first.pid && tid === first.tid && ph === 'X');
  const script = merged(own.filter((event) => SCRIPT.has(event.name)));
  const tasks = merged(own.filter((event) => event.name === TASK));
  // A message counts from the beginning of the script that brought it.
  const begins = marks.map(({ ts }) => script.find(({ from, to }) => from <= ts && ts <= to)?.from ?? ts);
  return begins.slice(0, -1).map((from, i) => {
    const to = begins[i + 1] ?? from;
    return { scriptMs: within(script, from, to) / 1_000, taskMs: within(tasks, from, to) / 1_000 };
  });
}

interface Span {
  from: number;
  to: number;
}

/** Events that lie within each other count once. */
function merged(events: TraceEvent[]): Span[] {
  const spans: Span[] = [];
  for (const { ts, dur } of [...events].sort((a, b) => a.ts - b.ts)) {
    const last = spans.at(-1);
    if (last !== undefined && ts <= last.to) last.to = Math.max(last.to, ts + dur);
    else spans.push({ from: ts, to: ts + dur });
  }
  return spans;
}

function within(spans: Span[], from: number, to: number): number {
  return spans.reduce((sum, span) => sum + Math.max(0, Math.min(span.to, to) - Math.max(span.from, from)), 0);
}
