import { Ajv } from 'ajv';
import { describe, expect, it } from 'vitest';
import { localToolSource } from '../../../src/adapters/toolbox/source.ts';
import { createToolbox } from '../../../src/adapters/toolbox/toolbox.ts';
import type { Json } from '../../../src/core/json.ts';
import { ToolDefinition } from '../../../src/core/tool.ts';
import { makeRoot, realClock } from './support.ts';

const toolbox = (root: string) => createToolbox({ root, allowHosts: [], clock: realClock });

describe('the toolbox', () => {
  it('has these tools, and only write_file changes anything', () => {
    expect(
      Object.fromEntries(toolbox('/nowhere').map(({ definition }) => [definition.name, definition.effect])),
    ).toEqual({
      http_fetch: 'read',
      read_file: 'read',
      list_files: 'read',
      search_files: 'read',
      write_file: 'write',
      calculate: 'read',
      json_query: 'read',
      current_time: 'read',
    });
    expect(toolbox('/nowhere').every(({ definition }) => definition.idempotent)).toBe(true);
  });

  it('declares definitions and schemas that are valid', () => {
    const ajv = new Ajv({ strict: true, allowUnionTypes: true });
    for (const { definition } of toolbox('/nowhere')) {
      expect(ToolDefinition.parse(definition)).toEqual(definition);
      expect(definition.parameters).toMatchObject({ type: 'object', additionalProperties: false });
      expect(typeof ajv.compile(definition.parameters)).toBe('function');
      expect(typeof ajv.compile(definition.result ?? {})).toBe('function');
    }
  });

  it('gives results that fit the schema that it declares', async () => {
    const { root } = await makeRoot({ 'a.txt': 'hello' });
    const source = localToolSource(toolbox(root), realClock);
    const ajv = new Ajv({ strict: true, allowUnionTypes: true });
    const calls: [string, Record<string, Json>][] = [
      ['write_file', { path: 'b/c.txt', content: 'hello again' }],
      ['read_file', { path: 'b/c.txt' }],
      ['list_files', { pattern: '**' }],
      ['search_files', { query: 'hel+o', regex: true }],
      ['calculate', { expression: '6 * 7' }],
      ['calculate', { expression: '6 < 7' }],
      ['json_query', { expression: 'a', data: { a: [1] } }],
      ['current_time', { time_zone: 'Europe/Berlin' }],
    ];
    for (const [tool, args] of calls) {
      const definition = await source.find(tool);
      const result = await source.call({
        tool,
        args,
        run: 'r',
        c: '1-0',
        agent: 'a',
        user: 'u',
        idempotencyKey: 'r:1-0',
        startBy: realClock.now() + 10_000,
        timeoutMs: 20_000,
        attempt: 1,
        refresh: false,
        signal: new AbortController().signal,
      });
      expect(ajv.validate(definition?.parameters ?? false, args)).toBe(true);
      expect(ajv.validate(definition?.result ?? false, result)).toBe(true);
    }
  });

  it('refuses a list of hosts that it cannot understand', () => {
    expect(() => createToolbox({ root: '/nowhere', allowHosts: ['*'], clock: realClock })).toThrow(
      expect.objectContaining({ code: 'bad_allow_list' }),
    );
  });
});
