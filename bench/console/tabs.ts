import { childOptions, hearParent, say } from '../support/children.ts';
import { GatewayApi } from './gateway-api.ts';
import { TOKEN } from './gateway-wire.ts';
import type { AskFrames, TabsOptions, WatchRuns } from './tabs-wire.ts';

/** What browsers do for the runs that they show, without drawing them: one stream a tab. */

const { url, tabs } = childOptions<TabsOptions>();
const api = await GatewayApi.open(url, TOKEN);
/** Each frame has it once. */
const FRAME = '"via":';
let frames = 0;
let told = 0;

const ids = await Promise.all(
  Array.from({ length: tabs }, async () => {
    const { tab, body } = await api.stream(new AbortController().signal);
    void count(body);
    return tab;
  }),
);

hearParent((message) => {
  const { watch: runs, frames: asked } = message as Partial<WatchRuns & AskFrames>;
  if (runs !== undefined) void watch(runs);
  if (asked === true) say(`frames ${frames}`);
});
say('up');

async function watch(runs: string[]): Promise<void> {
  const n = ++told;
  frames = 0;
  await Promise.all(
    ids.map((tab, i) => {
      const id = runs[i];
      return api.watch(tab, { n, run: id === undefined ? null : { id, from: 0 } });
    }),
  );
  say('watching');
}

async function count(body: AsyncIterable<Uint8Array>): Promise<void> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split(FRAME);
    frames += parts.length - 1;
    // The mark itself may be cut in two.
    rest = parts.at(-1)?.slice(1 - FRAME.length) ?? '';
  }
}
