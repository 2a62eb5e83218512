#!/usr/bin/env node
import { existsSync } from 'node:fs';

const main = new URL('../dist/src/cli/main.js', import.meta.url);
if (existsSync(main)) {
  await import(main.href);
} else {
  process.stderr.write('proctor: not built yet. Run: node scripts/setup.mjs --no-nats\n');
  process.exitCode = 1;
}
