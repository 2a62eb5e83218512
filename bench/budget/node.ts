import { setTimeout as delay } from 'node:timers/promises';
import { scripted } from '../../src/adapters/model/scripted.ts';
import { connectBus, startSupervisor } from '../../src/app.ts';
import { Subjects } from '../../src/core/subjects.ts';
import type { Model } from '../../src/ports/model.ts';
import { LedgerLog } from '../../src/runtime/ledger-log.ts';
import { childOptions, hearParent, say } from '../support/children.ts';
import { silent } from '../support/log.ts';
import {
  AGENT,
  ASKED,
  type Asked,
  type BudgetNodeOptions,
  MAX_OUTPUT_TOKENS,
  MODEL,
  MOST_CALLS,
  PRICE,
} from './wire.ts';

/** A node whose runs ask a model some times each, which costs at most what is reserved for it. */

const options = childOptions<BudgetNodeOptions>();
const subjects = new Subjects(options.prefix);
const bus = await connectBus({ url: options.url }, options.name, subjects, silent);
const sink = await connectBus({ url: options.url }, `${options.name}-sink`, subjects, silent);
if (options.sabotage) {
  const honest = LedgerLog.prototype.reserve;
  LedgerLog.prototype.reserve = async function (this: LedgerLog, entry, look) {
    await honest.call(this, entry, look);
    return { granted: true };
  };
}

const model: Model = {
  async think({ run, step }) {
    const input_tokens = 100 + Math.floor(Math.random() * 900);
    const output_tokens = Math.floor(Math.random() * MAX_OUTPUT_TOKENS);
    const nanos = (input_tokens + output_tokens) * 1_000;
    sink.emit(ASKED, JSON.stringify({ run, node: options.name, nanos, at: Date.now() } satisfies Asked));
    await sink.flush();
    await delay(200 + Math.random() * 1_800);
    const isLast = step >= MOST_CALLS || Math.random() < 1 / MOST_CALLS;
    const decision = isLast
      ? ({ action: 'final_answer', answer: 'done' } as const)
      : ({ action: 'think', reasoning: `step ${step}` } as const);
    return scripted(decision, { input_tokens, output_tokens, cost_usd: nanos / 1e9 });
  },
};

await startSupervisor({
  bus,
  subjects,
  log: silent,
  name: options.name,
  agents: [
    {
      name: AGENT,
      model: MODEL,
      loops: { detect: false },
      limits: { output_tokens_per_step: MAX_OUTPUT_TOKENS, wall_ms: 3_600_000, step_ms: 120_000 },
    },
  ],
  models: { [MODEL]: model },
  pricing: { v: 1, prices: [PRICE] },
  quotas: { users: { '*': { day: { usd: options.usd } } } },
  settings: { slots: options.slots, lease_ms: 4_000 },
});
hearParent((message) => {
  if (message.stop === true) process.exit(0);
});
say('up');
