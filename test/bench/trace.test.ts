import { describe, expect, it } from 'vitest';
import { difference, storyOf, type Trace } from '../../bench/crash/trace.ts';
import { ToolNames } from '../../bench/replay/names.ts';
import { seeded } from '../../bench/support/random.ts';
import { NO_USAGE } from '../../src/core/decision.ts';
import type { RunEvent } from '../../src/core/events.ts';
import type { JournalEntry } from '../../src/core/journal-entry.ts';

const entry = (n: number, ...events: RunEvent[]): JournalEntry => ({ v: 1, n, epoch: 1, writer: 'w', at: n, events });
const claimed: RunEvent = { type: 'claimed', node: 'n', nonce: 'x', activation: { created: '', seq: 1 } };
const calls = (label: string): RunEvent => ({
  type: 'decided',
  decision: { action: 'tool_call', reasoning: `#${label}`, calls: [{ tool: 'sink', args: { label } }] },
  calls: [{ tool: 'sink', idempotent: true, timeout_ms: 1 }],
  usage: NO_USAGE,
  model: 'm',
  ms: 1,
});
const done = (c: string, result: string): RunEvent => ({ type: 'call_done', c, result, ms: 1 });
const traceOf = (...entries: JournalEntry[]): Trace => storyOf(entries).trace(undefined);

describe('the trace of a run', () => {
  const quiet = traceOf(entry(0, claimed), entry(1, calls('a')), entry(2, done('1-0', 'r')));

  it('is the same after another node has claimed the run', () => {
    const crashed = traceOf(entry(0, claimed), entry(1, calls('a')), entry(2, claimed), entry(3, done('1-0', 'r')));
    expect(difference(quiet, crashed)).toBeNull();
  });

  it.each([
    ['a call is missing', [entry(1, calls('a'))]],
    ['a result is another', [entry(1, calls('a')), entry(2, done('1-0', 'other'))]],
    ['a step was made twice', [entry(1, calls('a')), entry(2, done('1-0', 'r')), entry(3, calls('a'))]],
    ['its arguments are others', [entry(1, calls('b')), entry(2, done('1-0', 'r'))]],
  ])('differs when %s', (_, entries) => {
    expect(difference(quiet, traceOf(entry(0, claimed), ...entries))).not.toBeNull();
  });

  it('names the calls that somebody has to decide', () => {
    const unknown: RunEvent = {
      type: 'outcome_unknown',
      c: '1-0',
      error: { code: 'timeout', message: '', retryable: false },
    };
    const story = storyOf([entry(1, calls('a')), entry(2, unknown)]);
    expect(story).toMatchObject({ unknown: 1, open: [{ c: '1-0', kind: 'unknown' }] });
    const resolved: RunEvent = { type: 'resolved', c: '1-0', verdict: 'done', result: 'r', by: 'p', why: '' };
    const after = storyOf([entry(1, calls('a')), entry(2, unknown), entry(3, resolved)]);
    expect(after.open).toEqual([]);
    expect(after.trace(undefined).calls).toEqual(quiet.calls);
  });
});

describe('recorded tool names', () => {
  it.each(['search', 'with spaces', 'ünïcode', 'x--looks-mapped', 'long '.repeat(30)])(
    '"%s" can be mapped and back',
    (name) => {
      const names = new ToolNames();
      const ours = names.ours(name);
      expect(ours).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
      expect(names.ours(name)).toBe(ours);
      expect(names.recorded(ours)).toBe(name);
    },
  );
});

describe('seeded random numbers', () => {
  it('follow from the seed', () => {
    const draw = (seed: number) => Array.from({ length: 20 }, () => seeded(seed).int(1_000_000));
    const [a, b] = [seeded(7), seeded(7)];
    expect(Array.from({ length: 20 }, () => a.next())).toEqual(Array.from({ length: 20 }, () => b.next()));
    expect(draw(7)).not.toEqual(draw(8));
  });
});
