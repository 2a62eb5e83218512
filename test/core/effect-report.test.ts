import { describe, expect, it } from 'vitest';
import { effectsIn } from '../../src/core/effect-report.ts';
import type { PlannedCall, RunEvent } from '../../src/core/events.ts';
import type { JournalEntry } from '../../src/core/journal-entry.ts';

/** A decision with one call in entry 0, then the events about it, an entry each. */
async function effect(call: Partial<PlannedCall>, events: object[], ended = true) {
  const decided = {
    type: 'decided',
    decision: { action: 'tool_call', calls: [{ tool: 't', args: { n: 1 } }] },
    calls: [{ tool: 't', idempotent: true, timeout_ms: 0, ...call }],
  };
  async function* entries(): AsyncIterable<JournalEntry> {
    for (const [n, event] of [decided, ...events.map((one) => ({ c: '0-0', ms: 0, ...one }))].entries()) {
      yield { v: 2, n, epoch: 0, writer: '', at: n * 10, events: [event as RunEvent] };
    }
  }
  return effectsIn(entries(), ended);
}
const state = async (...args: Parameters<typeof effect>) => (await effect(...args)).effects[0]?.state;

const failed = { type: 'call_failed', error: { code: 'e', message: 'no', retryable: false } };
const once = { idempotent: false };
const waits: Partial<PlannedCall> = { approval_until: 9, approval: { needed: 2 } as never };
const approved = { type: 'approval_decided', verdict: 'approved', by: 'olga', why: '' };

describe('what a run did in the world (OPS-8)', () => {
  it.each([
    ['with a result', {}, [{ type: 'call_done', result: 7 }], 'done'],
    ['that its tool refused', {}, [failed], 'failed'],
    ['that failed and may have taken effect', {}, [{ ...failed, effect_open: true }], 'open'],
    [
      'of which a try before may have',
      {},
      [{ type: 'call_retry', effect_open: true, error: failed.error }, failed],
      'open',
    ],
    ['cut off by the end of the run', {}, [], 'open'],
    ['that must not be repeated, cut off before it was sent', once, [], 'not_made'],
    ['that must not be repeated, cut off after it was sent', once, [{ type: 'call_started', start_by: 1 }], 'open'],
    [
      'of which nobody knows',
      once,
      [
        { type: 'call_started', start_by: 1 },
        { type: 'outcome_unknown', error: failed.error },
      ],
      'open',
    ],
    [
      'of which a person knows',
      once,
      [
        { type: 'outcome_unknown', error: failed.error },
        { type: 'resolved', verdict: 'done', by: 'olga', why: '' },
      ],
      'done',
    ],
    ['that a gate refused', { refused: failed.error }, [], 'not_made'],
    ['that waited for approvals till the end', waits, [approved], 'not_made'],
    ['that was approved, and cut off', waits, [approved, { ...approved, by: 'frida' }], 'open'],
    ['that was denied', waits, [{ ...approved, verdict: 'denied' }], 'not_made'],
    ['that nobody approved in time', waits, [{ type: 'approval_expired' }], 'not_made'],
  ])('a call %s', async (_name, call, events, expected) => {
    expect(await state(call as Partial<PlannedCall>, events)).toBe(expected);
  });

  it('while it is at work nothing is said that is not known', async () => {
    expect(await state({}, [], false)).toBe('working');
    expect(await state(waits, [], false)).toBe('working');
  });

  it('leaves out what only reads, and names the runs that it started', async () => {
    const { effects, children } = await effect({ reads: true }, [{ type: 'delegated', run: '20260101-abc-2' }]);
    expect({ effects, children }).toEqual({ effects: [], children: ['20260101-abc-2'] });
  });

  it('shows the arguments that were sent, with what an approver changed', async () => {
    const payload = {
      v: 1,
      type: 'proctor.decision',
      cluster: 'cluster1234567890',
      run: '20260101-abc-1',
      c: '0-0',
      digest: 'd'.repeat(64),
      policy: 'a@1',
      approver: 'olga',
      verdict: 'approve',
      why: '',
      expires_at: 1,
      edited: { args: { n: 2 }, digest: 'd'.repeat(64) },
    };
    const signed = { key: '', payload: JSON.stringify(payload), signature: '' };
    const { effects } = await effect({ approval_until: 9 }, [
      { ...approved, edited: true, signed },
      { type: 'call_done', result: null },
    ]);
    expect(effects).toMatchObject([{ state: 'done', args: { n: 2 }, decided_at: 0, at: 20 }]);
  });
});
