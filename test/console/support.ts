import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { startBrowser } from '../../bench/console/browser.ts';
import { openScene, type Scene, TOKENS } from '../../bench/console/scene.ts';
import type { OpenConsole } from '../../src/app/console.ts';

/** A browser before the real stack: server, nodes, worker, gateway, and the page as it is built from the sources. */
export interface Stage {
  readonly scene: Scene;
  readonly browser: Browser;
  readonly assets: string;
  readonly gateway: OpenConsole;
  /** A page that is logged in, and what went wrong on it so far. */
  page(options?: PageOptions): Promise<{ page: Page; context: BrowserContext; faults: string[] }>;
  stop(): Promise<void>;
}

export interface PageOptions {
  role?: keyof typeof TOKENS;
  url?: string;
  viewport?: { width: number; height: number };
}

const root = fileURLToPath(new URL('../..', import.meta.url));

export function builtPage(): { assets: string; remove(): Promise<void> } {
  const assets = mkdtempSync(join(tmpdir(), 'proctor-page-'));
  execFileSync(process.execPath, [join(root, 'scripts/setup/page.mjs'), assets], { cwd: root, stdio: 'pipe' });
  return { assets, remove: () => rm(assets, { recursive: true, force: true }) };
}

export async function openStage(): Promise<Stage> {
  const built = builtPage();
  const scene = await openScene({ assets: built.assets });
  const gateway = await scene.console();
  const browser = await startBrowser();
  return {
    ...{ scene, browser, gateway, assets: built.assets },
    page: async ({ role = 'operator', url = gateway.url, viewport = { width: 1280, height: 860 } } = {}) => {
      const context = await browser.newContext({ viewport });
      const answer = await context.request.post(`${url}/api/login`, { data: { token: TOKENS[role] } });
      if (!answer.ok()) throw new Error(`login: ${answer.status()} ${await answer.text()}`);
      const page = await context.newPage();
      const faults: string[] = [];
      page.on('pageerror', (error) => faults.push(error.message));
      page.on('console', (message) => {
        if (message.type() === 'error') faults.push(message.text());
      });
      page.on('request', (request) => {
        if (new URL(request.url()).origin !== new URL(url).origin) faults.push(`request to ${request.url()}`);
      });
      return { page, context, faults };
    },
    stop: async () => {
      await browser.close();
      await scene.stop();
      await built.remove();
    },
  };
}
