import { randomBytes } from 'node:crypto';
import { connectBus } from '../../src/app.ts';
import { createClient } from '../../src/client/client.ts';
import type { Watch } from '../../src/console/wire.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { AGENT, type StepProcessOptions } from '../steps/wire.ts';
import { type Child, startChild } from '../support/children.ts';
import { silent } from '../support/log.ts';
import { mean, type Ratio, ratioOf, round } from '../support/numbers.ts';
import { cpuMsFine } from '../support/proc.ts';
import { progress } from '../support/report.ts';
import { startServer } from '../support/server.ts';

/**
 * What it costs a node that its runs are watched: so many long runs at a time, by turns with nobody looking and with one
 * tab of a console on each of them, which follows every step.
 */

export interface WatchedOptions {
  runs: number;
  /** Tool steps of each run. */
  steps: number;
  /** Rounds of each kind. */
  rounds: number;
}

/** Most that watching may cost: of the steps a second. */
export const MOST_COST_OF_WATCHING = 0.05;

export interface Watched {
  /** Durable steps a second, nobody looking. */
  stepsPerSecond: number;
  speed: Ratio;
  /** CPU time a step of the node alone. */
  cpu: Ratio;
  /** Frames of the watched runs that came down to the tabs, a run. */
  framesARun: number;
}

const TOKEN = 'watcher-token-0123456789';

export async function watchedRuns({ runs, steps, rounds }: WatchedOptions): Promise<Watched> {
  const server = await startServer();
  const settings: StepProcessOptions = { url: server.url, prefix: 'bench', slots: runs, steps, tool: 'local' };
  const node = startChild(import.meta.url, '../steps/node', settings);
  const page = startChild(import.meta.url, './gateway', {
    url: server.url,
    prefix: 'bench',
    dir: server.dir,
    token: TOKEN,
  });
  const subjects = new Subjects('bench');
  const bus = await connectBus({ url: server.url }, 'bench-driver', subjects, silent);
  const client = createClient({ bus, subjects, user: 'watched' });
  try {
    await node.until((line) => line === 'up' || null);
    const url = await page.until((line) => /^at (.*)$/.exec(line)?.[1] ?? null);
    const found: { watched: boolean; stepsPerSecond: number; cpu: number; frames: number }[] = [];
    for (let i = -1; i < rounds; i++) {
      for (const watched of i % 2 === 0 ? [false, true] : [true, false]) {
        const one = await play(client, node, { runs, steps, url: watched ? url : null });
        progress(`round ${i + 1}, ${watched ? 'watched' : 'alone'}: ${JSON.stringify(one)}`);
        // The first round warms up.
        if (i >= 0) found.push({ watched, ...one });
      }
    }
    const of = (watched: boolean) => found.filter((one) => one.watched === watched);
    const pairs = (key: 'stepsPerSecond' | 'cpu') =>
      ratioOf(of(true).map((one, i) => one[key] / (of(false)[i]?.[key] ?? Number.NaN)));
    return {
      stepsPerSecond: round(mean(of(false).map((one) => one.stepsPerSecond))),
      speed: pairs('stepsPerSecond'),
      cpu: pairs('cpu'),
      framesARun: round(mean(of(true).map((one) => one.frames)) / runs),
    };
  } finally {
    await bus.close();
    await Promise.all([node.end('SIGKILL'), page.end('SIGKILL')]);
    await server.stop();
  }
}

async function play(
  client: ReturnType<typeof createClient>,
  node: Child,
  { runs, steps, url }: { runs: number; steps: number; url: string | null },
): Promise<{ stepsPerSecond: number; cpu: number; frames: number }> {
  const cpu = cpuMsFine(node.pid);
  const began = performance.now();
  const started = await Promise.all(Array.from({ length: runs }, () => client.submit({ input: steps }, AGENT)));
  const tabs = url === null ? [] : await Promise.all(started.map(({ run }) => Tab.open(url, run)));
  const results = await Promise.all(started.map(({ run }) => client.result(run, { wait: true })));
  const ms = performance.now() - began;
  const bad = results.find(({ status }) => status !== 'completed');
  if (bad !== undefined) throw new Error(`run ${bad.run} ended ${bad.code}`);
  const durable = runs * 2 * steps;
  const frames = tabs.reduce((sum, tab) => sum + tab.frames, 0);
  for (const tab of tabs) tab.close();
  return {
    stepsPerSecond: round(durable / (ms / 1_000)),
    cpu: round(((cpuMsFine(node.pid) - cpu) * 1_000) / durable),
    frames,
  };
}

/** What a browser does for one run, without drawing it. */
class Tab {
  frames = 0;
  private readonly end = new AbortController();

  static async open(url: string, run: string): Promise<Tab> {
    const tab = new Tab();
    const id = randomBytes(16).toString('hex');
    const headers = { authorization: `Bearer ${TOKEN}` };
    const { csrf } = (await (await fetch(`${url}/api/me`, { headers })).json()) as { csrf: string };
    const stream = await fetch(`${url}/api/stream?tab=${id}`, { headers, signal: tab.end.signal });
    void tab.read(stream.body as ReadableStream<Uint8Array>).catch(() => undefined);
    const watch: Watch = {
      n: 1,
      overview: false,
      cluster: false,
      approvals: false,
      runs: [],
      run: { id: run, from: 0 },
      actor: null,
    };
    const answer = await fetch(`${url}/api/stream/${id}/watch`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json', 'x-proctor-csrf': csrf },
      body: JSON.stringify(watch),
    });
    if (!answer.ok) throw new Error(`watching: ${answer.status} ${await answer.text()}`);
    return tab;
  }

  private async read(body: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of body) this.frames += decoder.decode(chunk, { stream: true }).split('"via":').length - 1;
  }

  close(): void {
    this.end.abort();
  }
}
