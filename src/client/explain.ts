import { membersOf } from '../core/decision.ts';
import type { ErrorInfo } from '../core/errors.ts';
import type { RunEventOf } from '../core/events.ts';
import { callId } from '../core/ids.ts';
import type { JournalEntry } from '../core/journal-entry.ts';
import type { Json } from '../core/json.ts';
import type { RuleWord } from '../core/policy.ts';
import { wordsOf } from '../core/policy-words.ts';
import { redact } from '../core/redact.ts';

/** Why each call of a run was allowed, denied, asked for: from its journal, so it says what was judged then. */

export interface ExplainedRule extends RuleWord {
  /** The line as it stands in the file. */
  text?: string;
}

export interface ExplainedCall {
  c: string;
  tool: string;
  /** Without secrets. */
  args: Json;
  verdict: 'allowed' | 'asked' | 'denied';
  /** Of the gate that refused it, or of what became of the approval. */
  error?: ErrorInfo;
  /** Version of the policy; 0: the built-in one. */
  policy: number;
  /** The rules that said so; none when a gate before the policy, or none at all, said no. */
  rules: ExplainedRule[];
  /** All that asked for an approval. */
  reasons: { rule: string; text: string }[];
  /** What it brings comes from outside. */
  untrusted: boolean;
  /** What approvers said, in order. */
  decided: { verdict: string; by: string; why: string }[];
}

export interface ExplainedRun {
  run: string;
  agent: string;
  user: string;
  /** Version of the policy that the run began under. */
  policy: number;
  calls: ExplainedCall[];
}

/** Throws a RangeError on a journal without its first entry. @param textOf the file of a version; null: it is not there */
export async function explainRun(
  entries: AsyncIterable<JournalEntry>,
  textOf: (version: number) => Promise<string | null>,
): Promise<ExplainedRun> {
  let accepted: RunEventOf<'accepted'> | null = null;
  const calls = new Map<string, ExplainedCall>();
  for await (const { n, events } of entries) {
    for (const event of events) {
      if (event.type === 'accepted') accepted = event;
      if (event.type === 'decided') for (const call of callsOf(event, n)) calls.set(call.c, call);
      if (event.type === 'approval_decided') {
        const { verdict, by, why } = event;
        calls.get(event.c)?.decided.push({ verdict, by, why });
      }
      if (event.type === 'approval_expired') {
        calls.get(event.c)?.decided.push({ verdict: 'timed_out', by: 'nobody', why: 'nobody approved it in time' });
      }
    }
  }
  if (accepted === null) throw new RangeError('the journal has no first entry');
  const texts = new Map<number, string[]>();
  for (const call of calls.values()) {
    if (!texts.has(call.policy)) texts.set(call.policy, ((await textOf(call.policy)) ?? '').split('\n'));
    call.rules = call.rules.map((rule) => {
      const text = rule.line === undefined ? undefined : texts.get(call.policy)?.[rule.line - 1]?.trim();
      return text === undefined || text === '' ? rule : { ...rule, text };
    });
  }
  const { run, agent, user, policy = 0 } = accepted;
  return { run, agent: agent.name, user, policy, calls: [...calls.values()] };
}

function callsOf({ decision, calls: planned = [] }: RunEventOf<'decided'>, n: number): ExplainedCall[] {
  const asked =
    decision.action === 'tool_call'
      ? decision.calls.map(({ args }) => args)
      : decision.action === 'delegate'
        ? membersOf(decision).map(({ input }) => input)
        : [];
  return planned.map((call, i) => {
    const { version, rules } = wordsOf(call);
    const { refused, approval } = call;
    return {
      c: callId(n, i),
      tool: call.tool,
      args: redact(asked[i] ?? null) as Json,
      verdict: refused !== undefined ? 'denied' : approval === undefined ? 'allowed' : 'asked',
      ...(refused === undefined ? {} : { error: redact(refused) as ErrorInfo }),
      policy: version,
      rules,
      reasons: approval?.reasons ?? [],
      untrusted: call.untrusted === true,
      decided: [],
    };
  });
}
