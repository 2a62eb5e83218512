import type { Browser } from 'playwright-core';
import { quantile } from '../support/numbers.ts';
import { type Scene, TOKENS } from './scene.ts';

/** From the moment an entry is journalled, by the server's clock, to the moment its state stands in the page. */
export async function liveLatency(scene: Scene, browser: Browser, transitions: number) {
  const opened = await scene.console();
  const context = await browser.newContext();
  await context.request.post(`${opened.url}/api/login`, { data: { token: TOKENS.operator } });
  const page = await context.newPage();
  const { run } = await scene.client.submit({ input: { steps: Math.ceil(transitions / 2), ms: 700 } }, 'stepper');
  await page.goto(`${opened.url}/runs/${run}`);
  await page.locator('.scrub-told strong').waitFor();
  await page.evaluate(SEEN);
  const began = Date.now();
  await scene.client.result(run, { wait: true });
  await page.waitForTimeout(1_000);
  const seen = (await page.evaluate('window.seenAt')) as Record<string, number>;
  const waits: number[] = [];
  for await (const entry of scene.operator.journal(run)) {
    // Of entries that came together only the last stood below the chart.
    const at = Object.entries(seen).find(([n]) => Number(n) >= entry.n)?.[1];
    if (at !== undefined && entry.at > began) waits.push(Math.max(0, at - entry.at));
  }
  await context.close();
  await opened.stop();
  return {
    transitions: waits.length,
    p50Ms: quantile(waits, 0.5),
    p95Ms: quantile(waits, 0.95),
    maxMs: Math.max(...waits),
  };
}

/** In the page: when each entry came to stand below the chart. */
const SEEN = `window.seenAt = {};
new MutationObserver(() => {
  const n = document.querySelector('.scrub-told strong')?.textContent ?? '';
  window.seenAt[n] ??= Date.now();
}).observe(document.querySelector('.scrubber'), { subtree: true, childList: true, characterData: true });`;
