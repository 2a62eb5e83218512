import { describe, expect, it } from 'vitest';
import { explainRun } from '../../src/client/explain.ts';
import type { RunEvent } from '../../src/core/events.ts';
import type { JournalEntry } from '../../src/core/journal-entry.ts';

async function* journal(...events: RunEvent[][]): AsyncIterable<JournalEntry> {
  for (const [n, inside] of events.entries()) yield { v: 2, n, epoch: 0, writer: '', at: 0, events: inside };
}

const accepted = { type: 'accepted', run: '20260101-abc-1', agent: { name: 'a' }, user: 'u', policy: 2 } as RunEvent;
const usage = { input_tokens: 0, output_tokens: 0, cost_usd: 0 };
const decided = (args: object, call: object): RunEvent =>
  ({
    type: 'decided',
    decision: { action: 'tool_call', calls: [{ tool: 't', args }] },
    calls: [{ tool: 't', idempotent: true, timeout_ms: 0, ...call }],
    usage,
    model: 'm',
    ms: 0,
  }) as RunEvent;

describe('why a call was allowed, denied or asked for', () => {
  it('is told by the rule, its line, and the words in that line', async () => {
    const policy = { version: 2, rules: [{ gate: 'permission', says: 'allow', rule: 'all', line: 2 }] };
    const { calls } = await explainRun(
      journal([accepted], [decided({}, { policy })]),
      async () => 'a\n  - all: yes  \nb',
    );
    expect(calls).toMatchObject([
      { c: '1-0', verdict: 'allowed', policy: 2, rules: [{ line: 2, text: '- all: yes' }] },
    ]);
  });

  it('is told without secrets, at any depth', async () => {
    const args = { deep: { er: [{ api_key: 'abc123', tokens_in: 4 }] } };
    const { calls } = await explainRun(journal([accepted], [decided(args, {})]), async () => null);
    expect(calls[0]?.args).toEqual({ deep: { er: [{ api_key: '***REDACTED***', tokens_in: 4 }] } });
  });

  it('names another gate than the policy, and no rule when the policy was not asked', async () => {
    const refused = { code: 'tool_not_listed', message: 'not listed', retryable: false };
    const { calls } = await explainRun(journal([accepted], [decided({}, { refused })]), async () => null);
    expect(calls).toMatchObject([{ verdict: 'denied', error: refused, rules: [] }]);
    const later = { code: 'invalid_arguments', message: 'no', retryable: true };
    const other = await explainRun(journal([accepted], [decided({}, { refused: later })]), async () => null);
    expect(other.calls).toMatchObject([{ verdict: 'denied', rules: [{ rule: 'built-in', says: 'allow' }] }]);
  });

  it('tells what came of an approval', async () => {
    const approval = { reasons: [{ rule: 'risk', text: 'its risk is high' }] };
    const said = { type: 'approval_decided', c: '1-0', verdict: 'denied', by: 'olga', why: 'no' } as RunEvent;
    const { calls } = await explainRun(journal([accepted], [decided({}, { approval })], [said]), async () => null);
    expect(calls).toMatchObject([
      { verdict: 'asked', reasons: approval.reasons, decided: [{ verdict: 'denied', by: 'olga', why: 'no' }] },
    ]);
  });
});
