import type { Decision } from '../../../src/core/decision.ts';
import type { PlannedCall, RunEvent } from '../../../src/core/events.ts';
import { callId } from '../../../src/core/ids.ts';
import type { Json } from '../../../src/core/json.ts';
import { DEFAULT_LOOP_SETTINGS, type LoopSettings, type LoopState, type LoopVerdict } from '../../../src/core/loops.ts';
import { foldLoops, noLoops } from '../../../src/policy/loops/detector.ts';
import { judgeLoops } from '../../../src/policy/loops/verdict.ts';

const USED = { usage: { input_tokens: 0, output_tokens: 0, cost_usd: 0 }, model: 'm', ms: 0 };

interface Call {
  tool?: string;
  args?: Record<string, Json>;
  /** What comes of it; an Error fails it, `refused` and `denied` are what they say, absent: nothing yet. */
  result?: Json | Error | 'refused' | 'denied';
  declared?: Partial<PlannedCall>;
  plan_step?: string;
}

/** A run as its detector sees it. */
export class Watched {
  state: LoopState = noLoops();
  n = 0;

  fold(...events: RunEvent[]): this {
    for (const event of events) foldLoops(this.state, event, this.n);
    this.n++;
    return this;
  }

  decide(decision: Decision, calls?: PlannedCall[]): this {
    return this.fold({ type: 'decided', decision, ...(calls === undefined ? {} : { calls }), ...USED });
  }

  /** One step of calls side by side, and what came of each. */
  step(...calls: Call[]): this {
    return this.stepBecause(undefined, ...calls);
  }

  stepBecause(reasoning: string | undefined, ...calls: Call[]): this {
    const entry = this.n;
    const refused = { code: 'tool_not_listed', message: 'not listed', retryable: false };
    this.decide(
      {
        action: 'tool_call',
        ...(reasoning === undefined ? {} : { reasoning }),
        calls: calls.map(({ tool = 'search', args = {}, plan_step }) => ({
          tool,
          args,
          ...(plan_step === undefined ? {} : { plan_step }),
        })),
      },
      calls.map(({ tool = 'search', result, declared }) => ({
        tool,
        idempotent: true,
        timeout_ms: 0,
        ...declared,
        ...(result === 'refused' ? { refused } : {}),
      })),
    );
    calls.forEach(({ result = null }, i) => {
      const c = callId(entry, i);
      if (result === 'refused') return;
      if (result === 'denied') {
        this.fold({ type: 'approval_decided', c, verdict: 'denied', by: 'p', why: '' });
      } else if (result instanceof Error) {
        this.fold({
          type: 'call_failed',
          c,
          error: { code: 'tool_error', message: result.message, retryable: false },
          ms: 0,
        });
      } else this.fold({ type: 'call_done', c, result, ms: 0 });
    });
    return this;
  }

  times(count: number, step: (run: Watched, i: number) => void): this {
    for (let i = 0; i < count; i++) step(this, i);
    return this;
  }

  verdict(settings: LoopSettings = DEFAULT_LOOP_SETTINGS): LoopVerdict | null {
    return judgeLoops(this.state, settings);
  }
}
