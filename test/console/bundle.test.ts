import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { builtPage } from './support.ts';

let page: ReturnType<typeof builtPage>;

beforeAll(() => {
  page = builtPage();
}, 120_000);

afterAll(() => page?.remove());

it('the scripts of the page are at most 120 KB, compressed, and name no other origin', () => {
  const folder = join(page.assets, 'assets');
  const scripts = readdirSync(folder).filter((name) => name.endsWith('.js'));
  expect(scripts.length).toBeGreaterThan(0);
  const bytes = scripts.reduce((sum, name) => sum + gzipSync(readFileSync(join(folder, name))).length, 0);
  expect(bytes).toBeLessThanOrEqual(120 * 1024);
  const html = readFileSync(join(page.assets, 'index.html'), 'utf8');
  expect(html).not.toMatch(/https?:|<style|<script>|onload=/);
});
