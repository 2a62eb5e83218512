import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

/** The Chromium of the system, else Playwright's own. */
export function startBrowser(): Promise<Browser> {
  const executablePath = systemChromium();
  return chromium.launch({
    ...(executablePath === null ? {} : { executablePath }),
    // Chromium refuses to run as root in its sandbox; what it opens here is our own page.
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  });
}

export function systemChromium(): string | null {
  // biome-ignore lint/style/noProcessEnv: where programs are found is the environment's word
  const { PATH = '' } = process.env;
  for (const folder of PATH.split(delimiter)) {
    for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
      if (existsSync(join(folder, name))) return join(folder, name);
    }
  }
  return null;
}
