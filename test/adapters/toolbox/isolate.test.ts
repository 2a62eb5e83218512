import { describe, expect, it, onTestFinished } from 'vitest';
import { Isolate } from '../../../src/adapters/toolbox/isolate.ts';
import { faultOf, ManualClock, realClock } from './support.ts';

function start(code: string, options: { data?: unknown; budgetMs?: number; clock?: ManualClock } = {}): Isolate {
  const isolate = new Isolate(code, {
    data: options.data ?? null,
    budgetMs: options.budgetMs ?? 20_000,
    clock: options.clock ?? realClock,
    signal: new AbortController().signal,
    field: 'query',
  });
  onTestFinished(() => isolate.close());
  return isolate;
}

describe('an isolate', () => {
  it('answers one question after the other', async () => {
    const isolate = start('let n = workerData; function answer(add) { return (n += add); }', { data: 10 });
    expect(await isolate.ask(1)).toBe(11);
    expect(await isolate.ask(2)).toBe(13);
  });

  it('tells what its code threw, and goes on', async () => {
    const isolate = start('function answer(q) { if (q) return q; throw new Error("no"); }');
    expect(await faultOf(isolate.ask(0))).toBe('rejected query');
    expect(await isolate.ask(1)).toBe(1);
  });

  it('fails code that is none, and every question after that', async () => {
    const isolate = start('function answer( {');
    expect(await faultOf(isolate.ask(1))).toBe('tool_error');
    expect(await faultOf(isolate.ask(1))).toBe('tool_error');
  });

  it('sees no environment of this process', async () => {
    expect(await start('function answer() { return Object.keys(process.env); }').ask(1)).toEqual([]);
  });

  it('is out of time after its budget, and its thread stops when it is closed', async () => {
    const data = new SharedArrayBuffer(4);
    const turns = new Int32Array(data);
    const clock = new ManualClock();
    const code = 'const t = new Int32Array(workerData); function answer() { for (;;) Atomics.add(t, 0, 1); }';
    const isolate = start(code, { data, budgetMs: 1000, clock });
    const fault = faultOf(isolate.ask(1));
    await expect.poll(() => Atomics.load(turns, 0), { timeout: 60_000 }).not.toBe(0);
    clock.advance(1000);
    expect(await fault).toBe('too_slow query');
    await isolate.close();
    const atClose = Atomics.load(turns, 0);
    // A thread that still ran would turn many times while another one starts.
    await start('function answer(q) { return q; }').ask(1);
    expect(Atomics.load(turns, 0)).toBe(atClose);
    expect(clock.pending).toBe(0);
  });

  it('is out of memory without taking this process with it', async () => {
    const isolate = start(
      'function answer() { const all = []; for (;;) all.push(new Array(1e5).fill(all.length + 0.5)); }',
    );
    expect(await faultOf(isolate.ask(1))).toBe('too_much_memory query');
  });
});
