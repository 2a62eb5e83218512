import { describe, expect, it } from 'vitest';
import { jsonQueryTool } from '../../../src/adapters/toolbox/json-query.ts';
import { faultOf, realClock, use } from './support.ts';

const tool = jsonQueryTool(realClock);
const data = {
  items: [
    { name: 'a', price: 5 },
    { name: 'b', price: 20 },
    { name: 'c', price: 30 },
  ],
};

describe('json_query', () => {
  it('picks and reshapes', async () => {
    expect(await use(tool, { expression: 'items[?price > `10`].name', data })).toEqual({ result: ['b', 'c'] });
    expect(await use(tool, { expression: '{n: length(items), top: max_by(items, &price).name}', data })).toEqual({
      result: { n: 3, top: 'c' },
    });
    expect(await use(tool, { expression: 'missing.path', data })).toEqual({ result: null });
  });

  it('takes JSON text as well, and exactly one of the two', async () => {
    expect(await use(tool, { expression: 'a[0]', text: '{"a":[1]}' })).toEqual({ result: 1 });
    expect(await use(tool, { expression: '@', data: null })).toEqual({ result: null });
    expect(await faultOf(use(tool, { expression: '@', text: '{' }))).toBe('invalid_arguments text');
    expect(await faultOf(use(tool, { expression: '@', text: `${'['.repeat(70)}${']'.repeat(70)}` }))).toBe(
      'invalid_arguments text',
    );
    expect(await faultOf(use(tool, { expression: '@' }))).toBe('invalid_arguments data');
    expect(await faultOf(use(tool, { expression: '@', data: 1, text: '1' }))).toBe('invalid_arguments data');
  });

  it.each(['a[', 'nosuch(@)', 'length(`1`)', '{a', '`{`', '$$'])('refuses the expression %j', async (expression) => {
    expect(await faultOf(use(tool, { expression, data }))).toBe('invalid_expression expression');
  });

  it('gives data and nothing else', async () => {
    for (const expression of ['constructor', 'toString', 'items.constructor', 'constructor.constructor']) {
      expect(await use(tool, { expression, data })).toEqual({ result: null });
    }
    await use(tool, { expression: 'merge(@, {__proto__: {evil: `1`}})', data });
    await use(tool, { expression: "from_items([['__proto__', {evil: `1`}]])", data });
    await use(tool, { expression: '@', text: '{"__proto__":{"evil":1}}' });
    expect('evil' in {}).toBe(false);
  });

  it('ends a query that multiplies without end', async () => {
    const many = Array.from({ length: 3000 }, (_, n) => n);
    const short = jsonQueryTool(realClock, 400);
    const expression = 'a[*].[$.a[*].[$.a[*].[$.a[*].[length($.a)]]]] | length(@)';
    expect(await faultOf(use(short, { expression, data: { a: many } }))).toMatch(
      /^(too_slow|too_much_memory) expression$/,
    );
  });

  it('refuses an answer that is too large, and one that does not fit into its memory', async () => {
    expect(await faultOf(use(tool, { expression: "pad_left('x', `1000000`)", data }))).toBe(
      'invalid_expression expression',
    );
    expect(await faultOf(use(tool, { expression: "pad_left('x', `100000000000`)", data }))).toMatch(
      /^(invalid_expression|too_much_memory|too_slow) expression$/,
    );
  });

  it('ends when the call is aborted', async () => {
    expect(await faultOf(use(tool, { expression: '@', data }, AbortSignal.abort()))).toBe('aborted');
  });
});
