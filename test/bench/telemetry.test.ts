import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { TELLING, TELLING_LINE } from '../../bench/telemetry/without.ts';

describe('the benchmark of telemetry', () => {
  it.each(Object.entries(TELLING))('finds the lines that %s has for it, to measure what they cost', (module, lines) => {
    const text = readFileSync(new URL(`../../src/runtime/${module}.ts`, import.meta.url), 'utf8');
    expect(text.match(TELLING_LINE)).toHaveLength(lines);
  });
});
