import type { RunEvent } from '../../src/core/events.ts';
import { callId } from '../../src/core/ids.ts';
import type { LoopSettings, LoopVerdict } from '../../src/core/loops.ts';
import { foldLoops, noLoops } from '../../src/policy/loops/detector.ts';
import { judgeLoops } from '../../src/policy/loops/verdict.ts';
import type { Row, Step } from './rows.ts';

/** A recorded run as the journal of a run: each step a decision with one call, and what came of it. */

const NO_USAGE = { input_tokens: 0, output_tokens: 0, cost_usd: 0 };

/** The two events of step `i`. @param reads the tools are declared to read */
export function eventsOf(step: Step, i: number, reads: boolean): [RunEvent, RunEvent] {
  const c = callId(i, 0);
  const reasoning = step.thought === undefined ? {} : { reasoning: step.thought };
  const base = { type: 'decided' as const, usage: NO_USAGE, model: 'recorded', ms: 0 };
  // The hashes stand for what is cut off of the texts.
  const failure = { code: 'tool_error', message: `${step.result} ${step.rh}`, retryable: false };
  const outcome: RunEvent = step.error
    ? { type: 'call_failed', c, error: failure, ms: 0 }
    : { type: 'call_done', c, result: [step.result, step.rh], ms: 0 };
  if (step.kind === 'message') {
    return [
      { ...base, decision: { action: 'ask_human', ...reasoning, question: `${step.ah} ${text(step)}` } },
      outcome,
    ];
  }
  return [
    {
      ...base,
      decision: {
        action: 'tool_call',
        ...reasoning,
        calls: [{ tool: step.tool, args: { ...step.args, '#': step.ah } }],
      },
      calls: [{ tool: step.tool, idempotent: true, timeout_ms: 0, ...(reads ? { reads: true as const } : {}) }],
    },
    outcome,
  ];
}

function text({ args }: Step): string {
  return JSON.stringify(args);
}

/** What detection says after each step. */
export function verdictsOf(row: Row, settings: LoopSettings, reads: boolean): (LoopVerdict | null)[] {
  const state = noLoops();
  return row.steps.map((step, i) => {
    for (const event of eventsOf(step, i, reads)) foldLoops(state, event, i);
    return judgeLoops(state, settings);
  });
}
