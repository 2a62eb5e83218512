import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import type { OpenConsole } from '../../src/app/console.ts';
import { TOKENS } from './scene.ts';

/** Pictures of every view: light and dark, wide and narrow. */

export interface Shot {
  name: string;
  path: string;
  /** What must be there before the picture is taken. */
  ready: string;
  prepare?: (page: Page) => Promise<void>;
}

const SIZES = { wide: { width: 1440, height: 900 }, narrow: { width: 360, height: 780 } };

export function shotsOf(runs: Record<string, string>): Shot[] {
  return [
    { name: 'overview', path: '/', ready: '.sparks' },
    { name: 'runs', path: '/runs', ready: '.run-row .state' },
    { name: 'runs-failed', path: '/runs?state=failed', ready: '.run-row .state' },
    { name: 'run-executing', path: `/runs/${runs.executing}`, ready: '.node.active' },
    { name: 'run-person', path: `/runs/${runs.person}`, ready: '.resolve' },
    { name: 'run-done', path: `/runs/${runs.done}`, ready: '.node.active' },
    { name: 'run-travel', path: `/runs/${runs.done}?n=4&left=sequence`, ready: '.message.now' },
    { name: 'run-failed', path: `/runs/${runs.failed}?left=events&right=entry`, ready: '.node.active' },
    {
      name: 'run-full-chart',
      path: `/runs/${runs.parent}`,
      ready: '.node.active',
      prepare: async (page) => {
        await page.getByRole('button', { name: 'Every transition' }).click();
        await page.locator('.chart-full .node.active').first().waitFor({ state: 'attached' });
      },
    },
    { name: 'approvals', path: '/approvals', ready: '.approval' },
    { name: 'queue', path: `/queue/${runs.queued}`, ready: '.approval-decide' },
    { name: 'tree', path: '/tree', ready: '.sup-line' },
    { name: 'tree-chart', path: '/tree/node-1/supervisor/agents', ready: '.node.active' },
    { name: 'nodes', path: '/nodes', ready: '.node-line' },
    { name: 'switches', path: '/switches', ready: '.modes' },
    {
      name: 'switch-confirm',
      path: '/switches',
      ready: '.modes',
      prepare: async (page) => {
        await page.getByPlaceholder('name, or name@version').fill('log-analyst');
        await page.getByRole('radio', { name: /kill/ }).check();
        await page.getByRole('button', { name: 'kill agent:log-analyst' }).click();
      },
    },
    { name: 'agents', path: '/agents/log-analyst', ready: '.facts' },
    { name: 'tools', path: '/tools/pay_back', ready: '.table' },
    { name: 'dead-letters', path: '/dead-letters', ready: '.empty, .rows' },
    { name: 'not-found', path: '/runs/20200101-abc-1', ready: '[role=alert]' },
  ];
}

export async function takeShots(
  browser: Browser,
  opened: OpenConsole,
  runs: Record<string, string>,
  out: string,
): Promise<number> {
  await mkdir(out, { recursive: true });
  let taken = 0;
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of ['light', 'dark'] as const) {
      const context = await browser.newContext({ viewport, colorScheme, reducedMotion: 'reduce' });
      await context.request.post(`${opened.url}/api/login`, { data: { token: TOKENS.operator } });
      const page = await context.newPage();
      for (const { name, path, ready, prepare } of shotsOf(runs)) {
        await page.goto(`${opened.url}${path}`);
        await page.locator(ready).first().waitFor({ timeout: 20_000, state: 'attached' });
        await prepare?.(page);
        await page.waitForTimeout(400);
        await page.screenshot({ path: join(out, `${name}-${size}-${colorScheme}.png`) });
        taken++;
      }
      await context.close();
    }
  }
  const anonymous = await browser.newPage({ viewport: SIZES.wide });
  await anonymous.goto(opened.url);
  await anonymous.getByLabel('Token').waitFor();
  await anonymous.screenshot({ path: join(out, 'login-wide-light.png') });
  return taken + 1;
}
