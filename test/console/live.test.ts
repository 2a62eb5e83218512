import { beforeEach, expect, it, vi } from 'vitest';
import type { StreamEvents, Watch } from '../../src/console/wire.ts';

/** The stream of a tab as the page holds it: what the gateway is told, and when. */

/** Of the page, whose types are those of a browser. */
const LIVE = new URL('../../src/console/page/lib/live.ts', import.meta.url).href;

interface Live {
  start(): void;
  want(key: object, watch: Partial<Watch>): void;
}

class Stream {
  static opened: Stream[] = [];
  readyState = 1;
  private readonly listeners = new Map<string, (event: { data: string }) => void>();

  constructor() {
    Stream.opened.push(this);
  }

  addEventListener(name: string, listener: (event: { data: string }) => void): void {
    this.listeners.set(name, listener);
  }

  close(): void {}

  hello(known: boolean): void {
    const hello: StreamEvents['hello'] = { tab: 'tab', known, now: Date.now(), connected: true };
    this.listeners.get('hello')?.({ data: JSON.stringify(hello) });
  }

  breakOff(): void {
    this.listeners.get('error')?.({ data: '' });
  }
}

let told: Watch[];
let answers: () => boolean;

beforeEach(() => {
  vi.useFakeTimers();
  vi.resetModules();
  Stream.opened = [];
  told = [];
  answers = () => true;
  vi.stubGlobal('window', globalThis);
  vi.stubGlobal('EventSource', Object.assign(Stream, { CLOSED: 2 }));
  vi.stubGlobal('fetch', (_path: string, { body }: { body: string }) => {
    if (!answers()) return Promise.reject(new Error('away'));
    told.push(JSON.parse(body) as Watch);
    return Promise.resolve(new Response('{}'));
  });
  return () => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  };
});

async function opened() {
  const { live } = (await import(LIVE)) as { live: Live };
  live.want({}, { list: true });
  live.start();
  const [stream] = Stream.opened as [Stream];
  stream.hello(false);
  await vi.advanceTimersByTimeAsync(10);
  expect(told).toMatchObject([{ list: true, overview: false }]);
  told = [];
  return { live, stream };
}

it('tells a gateway that knows the tab nothing that it knows', async () => {
  const { stream } = await opened();
  stream.breakOff();
  stream.hello(true);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(told).toEqual([]);
});

it('tells what was wanted while the stream was away', async () => {
  const { live, stream } = await opened();
  stream.breakOff();
  live.want({}, { overview: true });
  await vi.advanceTimersByTimeAsync(2_000);
  expect(told).toEqual([]);
  stream.hello(true);
  await vi.advanceTimersByTimeAsync(10);
  expect(told).toMatchObject([{ list: true, overview: true }]);
});

it('tells what a gateway did not answer, also when the stream breaks off before it is told again', async () => {
  const { live, stream } = await opened();
  answers = () => false;
  live.want({}, { overview: true });
  await vi.advanceTimersByTimeAsync(10);
  stream.breakOff();
  await vi.advanceTimersByTimeAsync(2_000);
  answers = () => true;
  stream.hello(true);
  await vi.advanceTimersByTimeAsync(10);
  expect(told).toMatchObject([{ overview: true }]);
});
