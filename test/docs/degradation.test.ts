import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadAgents } from '../../src/adapters/definition-files/load-agents.ts';
import { DEFAULT_TEXTS } from '../../src/core/fallback.ts';

const text = readFileSync(new URL('../../docs/degradation.md', import.meta.url), 'utf8');

it('shows an agent that loads, and falls back on everything there is', async () => {
  const yaml = /```yaml\n(.*?)```/s.exec(text)?.[1] ?? '';
  const folder = mkdtempSync(join(tmpdir(), 'proctor-docs-'));
  try {
    writeFileSync(join(folder, 'desk.yaml'), yaml);
    const [loaded, ...more] = await loadAgents(folder);
    expect(more).toEqual([]);
    const fallback = loaded?.definition.fallback;
    expect(new Set(Object.keys(fallback ?? {}))).toEqual(
      new Set(['models', 'plain', 'cached', 'person', 'tools', 'texts']),
    );
    expect(fallback).toMatchObject({ models: [{}, {}], person: { queue: 'support' } });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

it('quotes the texts as they are', () => {
  for (const [key, words] of Object.entries(DEFAULT_TEXTS)) {
    expect(text).toMatch(new RegExp(`\\| \`${key}\` .*\\| ${words.replaceAll('.', '\\.')} +\\|`));
  }
});
