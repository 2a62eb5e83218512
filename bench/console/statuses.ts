import { periodOf } from '../../src/core/ids.ts';
import type { StatusEvent } from '../../src/core/status.ts';
import { seeded } from '../support/random.ts';

/** The last statuses of very many runs, as nodes would have left them: most have ended, some work, some wait. */

export const AGENTS = 12;
const USERS = 60;
/** Over how long the runs came, milliseconds. */
const SPREAD_MS = 86_400_000;

/** Of a hundred runs. */
const STATES: [state: string, share: number][] = [
  ['completed', 64],
  ['failed', 8],
  ['waiting.person', 8],
  ['executing.calling', 10],
  ['thinking.deciding', 6],
  ['idle.queued', 4],
];

export interface MadeRuns {
  statuses: StatusEvent[];
  /** Those that may still change, the one that came first at the beginning. */
  live: StatusEvent[];
}

/** @param now epoch milliseconds: the newest run came then */
export function madeRuns(count: number, now: number): MadeRuns {
  const random = seeded(1);
  const states = STATES.flatMap(([state, share]) => Array.from({ length: share }, () => state));
  const statuses = Array.from({ length: count }, (_, i): StatusEvent => {
    const at = now - Math.floor(((count - i) * SPREAD_MS) / count);
    const run = `${periodOf(at)}-bench001-${(i + 1).toString(36)}`;
    const step = 1 + random.int(19);
    return statusOf({ run, at, step, state: random.pick(states), agent: random.int(AGENTS), user: random.int(USERS) });
  });
  return { statuses, live: statuses.filter(({ phase }) => phase !== 'complete') };
}

interface Standing {
  run: string;
  at: number;
  step: number;
  state: string;
  agent: number;
  user: number;
}

function statusOf({ run, at, step, state, agent, user }: Standing): StatusEvent {
  const over = state === 'completed' || state === 'failed';
  const status: StatusEvent = {
    v: 1,
    run,
    agent: `agent-${agent}`,
    user: `user-${user}`,
    at,
    accepted_at: at,
    state,
    phase: over ? 'complete' : 'executing',
    step,
    progress: null,
    can_cancel: !over,
    budget: {
      cost_usd: step * 0.0137,
      tokens: step * 1_020,
      left: { steps: 20 - step, tokens: 100_000 - step * 1_020, cost_usd: 1 - step * 0.0137, tool_calls: 100 - step },
      deadline_at: over ? null : at + 300_000,
    },
    steps: [
      {
        step,
        entry: step * 2,
        at,
        action: 'tool_call',
        reasoning: 'The order that the invoice names comes first, then the sums.',
        calls: [{ c: `${step * 2}-0`, tool: 'find_order', status: 'ok', ms: 40, preview: '{"order":"A-17"}' }],
      },
    ],
  };
  if (state === 'waiting.person') return { ...status, requires: { kind: 'answer', c: '3-0', text: 'which one?' } };
  if (state === 'failed') {
    const error = { message: 'the tool find_order failed: no such order', code: 'error', retryable: false };
    return { ...status, code: 'max_retries', outcome: 'failure', error };
  }
  if (state === 'completed') return { ...status, code: 'completed', outcome: 'success' };
  return { ...status, node: `node-${user % 4}` };
}

/** The run took a step: what it says next. */
export function steppedOn(before: StatusEvent, at: number): StatusEvent {
  const state = before.state === 'executing.calling' ? 'thinking.deciding' : 'executing.calling';
  const { requires: _, ...rest } = before;
  return { ...rest, at, state, step: before.step + 1, node: before.node ?? 'node-0' };
}
