#!/usr/bin/env node
/** Builds the page of the console into the folder that is named. */
import { join } from 'node:path';
import { build } from 'vite';

const root = join(import.meta.dirname, '..', '..', 'src', 'console', 'page');

// Whatever the surroundings say: React brings another, larger self to whoever develops.
// biome-ignore lint/style/noProcessEnv: this is where Vite and React read it
process.env.NODE_ENV = 'production';

await build({
  root,
  configFile: false,
  logLevel: 'warn',
  oxc: { jsx: { runtime: 'automatic' } },
  build: {
    outDir: process.argv[2],
    emptyOutDir: true,
    assetsInlineLimit: 0,
    // Licences of what is bundled stand in node_modules, as for everything else that is not ours.
    modulePreload: { polyfill: false },
  },
});
