import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineLocalTool, type LocalTool, type ToolContext } from '../../../src/adapters/toolbox/local-tool.ts';
import { localToolSource, MAX_RESULT_BYTES } from '../../../src/adapters/toolbox/source.ts';
import { AppError } from '../../../src/core/errors.ts';
import type { Json } from '../../../src/core/json.ts';
import type { ToolCall } from '../../../src/ports/tools.ts';
import { errorOf, faultOf, ManualClock } from './support.ts';

function toolThat(run: (args: { n: number }, ctx: ToolContext) => Promise<unknown>): LocalTool {
  return defineLocalTool({
    name: 'probe',
    description: 'A tool of this test.',
    parameters: z.strictObject({ n: z.int().default(1), list: z.array(z.object({ x: z.string() })).optional() }),
    run: async (args, ctx) => (await run(args, ctx)) as Json,
  });
}

function setup(run: (args: { n: number }, ctx: ToolContext) => Promise<unknown>) {
  const clock = new ManualClock();
  const abort = new AbortController();
  const source = localToolSource([toolThat(run)], clock);
  const call = (change: Partial<ToolCall> = {}) =>
    source.call({
      tool: 'probe',
      args: {},
      run: 'r',
      c: '1-0',
      agent: 'a',
      user: 'u',
      idempotencyKey: 'r:1-0',
      startBy: clock.now() + 1000,
      timeoutMs: 500,
      attempt: 1,
      refresh: false,
      signal: abort.signal,
      ...change,
    });
  return { clock, abort, source, call };
}

const never = () => new Promise<never>(() => undefined);

describe('local tools', () => {
  it('are found by name, with a JSON Schema that was made from their parameters', async () => {
    const { source } = setup(never);
    expect(await source.find('probe')).toMatchObject({
      name: 'probe',
      effect: 'write',
      idempotent: false,
      parameters: { type: 'object', properties: { n: { type: 'integer', default: 1 } }, additionalProperties: false },
    });
    expect(await source.find('other')).toBeNull();
    expect(await source.find('__proto__')).toBeNull();
  });

  it('must have different names', () => {
    const tool = toolThat(never);
    expect(() => localToolSource([tool, tool], new ManualClock())).toThrow(
      expect.objectContaining({ code: 'duplicate_tool' }),
    );
  });

  it('get parsed arguments and the idempotency key', async () => {
    const { call } = setup(async ({ n }, { idempotencyKey }) => ({ n, idempotencyKey }));
    expect(await call()).toEqual({ n: 1, idempotencyKey: 'r:1-0' });
    expect(await call({ args: { n: 5 } })).toEqual({ n: 5, idempotencyKey: 'r:1-0' });
  });

  it('that do not exist are unknown_tool', async () => {
    expect(await faultOf(setup(never).call({ tool: 'constructor' }))).toBe('unknown_tool');
  });

  it('begin at startBy and not after it', async () => {
    let begun = 0;
    const { call, clock } = setup(async () => ++begun);
    expect(await call({ startBy: clock.now() })).toBe(1);
    expect(await faultOf(call({ startBy: clock.now() - 1 }))).toBe('too_late');
    expect(begun).toBe(1);
  });

  it('do not begin when the call was aborted before', async () => {
    let begun = 0;
    const { call } = setup(async () => ++begun);
    expect(await faultOf(call({ signal: AbortSignal.abort() }))).toBe('too_late');
    expect(begun).toBe(0);
  });

  it('are given up at their timeout, and told so', async () => {
    let seen: AbortSignal | undefined;
    const { call, clock } = setup((_, { signal }) => {
      seen = signal;
      return never();
    });
    const fault = faultOf(call());
    clock.advance(499);
    expect(seen?.aborted).toBe(false);
    clock.advance(1);
    expect(await fault).toBe('timeout');
    expect(seen?.aborted).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it('are given up when the caller aborts, and told so', async () => {
    let seen: AbortSignal | undefined;
    const { call, abort, clock } = setup((_, { signal }) => {
      seen = signal;
      return never();
    });
    const fault = faultOf(call());
    abort.abort();
    expect(await fault).toBe('aborted');
    expect(seen?.aborted).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it('that fail after they were given up disturb nobody', async () => {
    let fail: (error: Error) => void = () => undefined;
    const { call, clock } = setup(() => new Promise((_, reject) => (fail = reject)));
    const fault = faultOf(call());
    clock.advance(500);
    expect(await fault).toBe('timeout');
    fail(new Error('too late to matter'));
    // An unhandled rejection would be reported by the test runner after this turn.
    await new Promise((resolve) => setImmediate(resolve));
  });

  it('leave no timer behind when they are done', async () => {
    const { call, clock } = setup(async () => 'done');
    await call();
    expect(clock.pending).toBe(0);
  });

  it('answer arguments that do not fit with the path of the first fault', async () => {
    const { call } = setup(never);
    const error = await errorOf(call({ args: { list: [{ x: 'ok' }, { x: 1 }], n: 'one' } }));
    expect([error.code, error.field]).toEqual(['invalid_arguments', 'n']);
    expect(error.message).toContain('list.1.x');
    expect(await faultOf(call({ args: { list: [{ x: 'ok' }, {}] } }))).toBe('invalid_arguments list.1.x');
    expect(await faultOf(call({ args: { unknown: 1 } }))).toBe('invalid_arguments args');
    expect(await faultOf(call({ args: JSON.parse('{"__proto__":{"n":2}}') }))).toBe('invalid_arguments args');
  });

  it('that parse on their own answer zod faults in the same way', async () => {
    const { call } = setup(async () => z.object({ a: z.object({ b: z.string() }) }).parse({ a: {} }));
    expect(await faultOf(call())).toBe('invalid_arguments a.b');
  });

  it('answer their own AppErrors as they are and anything else as tool_error', async () => {
    const own = new AppError('not_found', 'Gone.', { field: 'path', retryable: true });
    expect(await errorOf(setup(() => Promise.reject(own)).call())).toBe(own);
    expect((await errorOf(setup(() => Promise.reject(new TypeError('odd'))).call())).toInfo()).toEqual({
      code: 'tool_error',
      message: 'odd',
      retryable: false,
    });
    expect(await faultOf(setup(() => Promise.reject('text')).call())).toBe('tool_error');
    expect(
      await faultOf(
        setup(() => {
          throw new Error('at once');
        }).call(),
      ),
    ).toBe('tool_error');
  });

  it('may answer exactly the limit in bytes of JSON text, and no more', async () => {
    const fits = 'x'.repeat(MAX_RESULT_BYTES - 2);
    expect(await setup(async () => fits).call()).toBe(fits);
    expect(await faultOf(setup(async () => `${fits}x`).call())).toBe('result_too_large');
    expect(await faultOf(setup(async () => 'ü'.repeat(MAX_RESULT_BYTES / 2)).call())).toBe('result_too_large');
  });

  it('must answer JSON', async () => {
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    for (const bad of [undefined, () => 1, 1n, cycle, deep(65)]) {
      expect(await faultOf(setup(async () => bad).call())).toBe('bad_result');
    }
    expect(await setup(async () => deep(60)).call()).toEqual(deep(60));
    expect(await setup(async () => ({ at: new Date(0), gone: undefined })).call()).toEqual({
      at: '1970-01-01T00:00:00.000Z',
    });
  });
});

function deep(levels: number): Json {
  let value: Json = 1;
  for (let i = 0; i < levels; i++) value = [value];
  return value;
}
