import { readdirSync, readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { Task } from '../../src/core/task.ts';
import { VERSION } from '../../src/core/version.ts';
import { jsonSchemas } from '../../src/core/wire-schemas.ts';

const folder = new URL('../../schemas/', import.meta.url);

describe('the exported JSON Schemas', () => {
  it('are the ones that the code parses with (npm run schemas writes them anew)', () => {
    const expected = jsonSchemas();
    expect(new Set(readdirSync(folder))).toEqual(new Set(Object.keys(expected)));
    for (const [name, schema] of Object.entries(expected)) {
      expect(JSON.parse(readFileSync(new URL(name, folder), 'utf8')), name).toEqual(JSON.parse(JSON.stringify(schema)));
    }
  });

  it('judge a task as the door does', () => {
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    const validate = ajv.compile(jsonSchemas()['task.v1.json'] ?? {});
    const tasks: unknown[] = [
      { input: 'x' },
      { input: { any: ['json', 1, null] }, priority: 'high', limits: { steps: 3 } },
      { input: 'x', plan: { steps: [{ id: 'a', tool: 't' }] } },
      { input: 'x', surprise: 1 },
      { input: 'x', limits: { steps: 0 } },
      { input: 'x', plan: { steps: [] } },
      { input: 'x', key: '' },
      { v: 2, input: 'x' },
      [],
      null,
    ];
    for (const task of tasks) expect(validate(task), JSON.stringify(task)).toBe(Task.safeParse(task).success);
  });
});

describe('the version', () => {
  it('is the one of package.json', () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    expect(VERSION).toBe(version);
  });
});
