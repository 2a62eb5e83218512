import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { AgentInput } from '../../src/core/agent.ts';
import type { Decision } from '../../src/core/decision.ts';
import { AppError } from '../../src/core/errors.ts';
import type { Model, ThinkInput } from '../../src/ports/model.ts';
import { defineTool } from '../../src/worker/define-tool.ts';
import { toolError } from '../../src/worker/tool-error.ts';

/** The agents and tools of the scene. Only the model's far end is played; everything else is the product. */

const agent = (name: string, description: string, more: Partial<AgentInput> = {}): AgentInput => ({
  name,
  version: '3',
  model: 'script',
  description,
  retry_backoff_ms: 50,
  limits: { steps: 40, wall_ms: 900_000, step_ms: 700_000, tokens: 200_000, cost_usd: 2, tool_calls: 100 },
  ...more,
});

export const AGENTS: AgentInput[] = [
  agent('log-analyst', 'Reads logs and says what went wrong, with the lines that show it.', {
    tools: ['read_log', 'search_log', 'calculate'],
    instructions: 'You read logs. Say what went wrong, name the lines that show it, and what to do. Never guess.',
  }),
  agent('invoice-clerk', 'Checks invoices against orders.', { tools: ['find_order', 'check_invoice'] }),
  agent('concierge', 'Answers customers; asks a person where money is at stake.', {
    // Those of the log analyst too: whom it delegates to has nothing that it does not have.
    tools: ['find_order', 'send_mail', 'read_log', 'search_log', 'calculate'],
    delegates_to: ['log-analyst'],
  }),
  agent('refund-desk', 'Pays money back.', { tools: ['pay_back'] }),
  agent('voucher-desk', 'Gives vouchers to customers whom something went wrong for.', {
    tools: ['find_order', 'grant_voucher'],
  }),
  agent('estimator', 'Estimates what a repair costs; hands it to a person when its model is away.', {
    model: 'away',
    retry_backoff_ms: 1,
    fallback: { person: { queue: 'workshop' } },
  }),
  agent('slow', 'Waits for a long report.', { tools: ['long_report'] }),
  agent('stepper', 'Takes a step whenever it is told to.', {
    tools: ['tick'],
    // It takes the same step again and again on purpose.
    loops: { detect: false },
    limits: { steps: 5_000, tool_calls: 5_000, wall_ms: 3_600_000, tokens: 100_000_000, cost_usd: 1_000 },
  }),
];

const say = (action: Decision, input = 900, output = 120) => ({
  decision: action,
  usage: { input_tokens: input, output_tokens: output, cost_usd: (input * 2.5 + output * 10) / 1e6 },
  model: 'script',
});
const call = (
  reasoning: string,
  ...calls: [tool: string, args: Record<string, never | string | number>][]
): Decision => ({
  action: 'tool_call',
  reasoning,
  calls: calls.map(([tool, args]) => ({ tool, args })),
});
const answer = (text: string): Decision => ({
  action: 'final_answer',
  reasoning: 'All that was asked is known now.',
  answer: text,
});

type Script = (turn: number, input: ThinkInput) => Decision;

const SCRIPTS: Record<string, Script> = {
  'log-analyst': (turn, { task }) => {
    const { file } = task.input as { file: string };
    if (turn === 0)
      return call(
        `The question is about ${file}. Its end first, and how often errors occur.`,
        ['read_log', { file, lines: 200 }],
        ['search_log', { file, pattern: 'ERROR' }],
      );
    if (turn === 1)
      return call('The errors begin at 09:12:04, all from the payment gateway. How large a share of requests is it?', [
        'calculate',
        { expression: '184 / 2310 * 100' },
      ]);
    if (turn === 2)
      return call('Is the same pattern older than today?', ['search_log', { file, pattern: 'gateway timeout' }]);
    return answer(
      'Checkout failed because the payment gateway timed out from 09:12:04 to 09:19:40 (184 of 2,310 requests, 8 %). First seen today. Raise the pool of connections, which was exhausted.',
    );
  },
  'invoice-clerk': (turn, { task }) => {
    const { invoice } = task.input as { invoice: string };
    if (turn === 0) return call('The order that the invoice names comes first.', ['find_order', { order: invoice }]);
    if (invoice.startsWith('broken'))
      return call('The sums differ: checked once more.', ['check_invoice', { invoice }]);
    return turn === 1
      ? call('Now the sums.', ['check_invoice', { invoice }])
      : answer(`${invoice} agrees with its order.`);
  },
  concierge: (turn, { task }) => {
    if (task.input === 'delegate') {
      return turn === 0
        ? {
            action: 'delegate',
            reasoning: "Logs are the analyst's business.",
            agent: 'log-analyst',
            input: { file: 'orders.log' },
          }
        : answer('The analyst found the cause: see its answer.');
    }
    if (turn === 0) return call('First the order itself.', ['find_order', { order: 'A-17' }]);
    if (turn === 1)
      return {
        action: 'ask_human',
        reasoning: 'A refund of 49.90 is a matter for a person.',
        question:
          'The parcel of order A-17 counts as delivered, and the customer says that it never came. Refund 49.90 EUR?',
      };
    return answer('The refund is on its way.');
  },
  'refund-desk': (turn, { task }) => {
    const { order, amount } = task.input as { order: string; amount: number };
    return turn === 0
      ? call('The refund was approved yesterday.', ['pay_back', { order, amount }])
      : answer('Paid back.');
  },
  'voucher-desk': (turn, { task }) => {
    const { order, amount } = task.input as { order: string; amount: number };
    if (turn === 0) return call('Which order is it about?', ['find_order', { order }]);
    return turn === 1
      ? call('The parcel came a week late: the rules allow a voucher.', ['grant_voucher', { order, amount }])
      : answer('The voucher is granted.');
  },
  slow: (_turn, { task }) =>
    call('The report takes its time.', ['long_report', { seconds: (task.input as { seconds: number }).seconds }]),
  stepper: (turn, { task }) => {
    const { steps, ms } = task.input as { steps: number; ms: number };
    return turn < steps ? call(`Step ${turn + 1}.`, ['tick', { ms }]) : answer('Done.');
  },
};

export const actors: Model = {
  async think(input) {
    await delay(60 + Math.random() * 120);
    return say(
      SCRIPTS[input.agent.name]?.(input.step - 1, input) ?? answer('Nothing to do.'),
      800 + input.step * 350,
      90 + input.step * 8,
    );
  },
};

/** A model that does not answer. */
export const away: Model = {
  think: () => Promise.reject(new AppError('model_unavailable', 'HTTP 503: no capacity', { retryable: true })),
};

export const TOOLS = [
  defineTool({
    name: 'read_log',
    description: 'The last lines of a log.',
    parameters: z.object({ file: z.string(), lines: z.number() }),
    effect: 'read',
    idempotent: true,
    handler: async ({ file }) => {
      await delay(120);
      return {
        file,
        lines: [
          '09:12:04 ERROR payments: gateway timeout after 5000 ms',
          '09:12:05 ERROR checkout: order A-17 not charged',
          '09:12:09 WARN  pool: 64 of 64 connections in use',
        ],
      };
    },
  }),
  defineTool({
    name: 'search_log',
    description: 'Lines of a log that match.',
    parameters: z.object({ file: z.string(), pattern: z.string() }),
    effect: 'read',
    idempotent: true,
    handler: async ({ pattern }) => {
      await delay(200);
      return { pattern, hits: 184, first: '09:12:04.118', last: '09:19:40.902' };
    },
  }),
  defineTool({
    name: 'find_order',
    description: 'Looks an order up by its number.',
    parameters: z.object({ order: z.string() }),
    effect: 'read',
    idempotent: true,
    handler: ({ order }) => ({ order, customer: 'Ada', total: 49.9, currency: 'EUR', state: 'delivered' }),
  }),
  defineTool({
    name: 'check_invoice',
    description: 'Compares the sums of an invoice with its order.',
    parameters: z.object({ invoice: z.string() }),
    effect: 'read',
    idempotent: true,
    handler: ({ invoice }) => {
      if (invoice.startsWith('broken')) throw toolError('tool_error', `${invoice}: line 3 has no VAT rate`);
      return { invoice, agrees: true };
    },
  }),
  defineTool({
    name: 'send_mail',
    description: 'Sends a mail to a customer.',
    parameters: z.object({ to: z.string(), text: z.string() }),
    risk: 'medium',
    handler: ({ to }) => ({ sent: to }),
  }),
  defineTool({
    name: 'pay_back',
    description: 'Pays money of an order back.',
    parameters: z.object({ order: z.string(), amount: z.number() }),
    effect: 'destructive',
    risk: 'high',
    handler: () => {
      throw toolError('timeout', 'the bank did not answer within 10 s');
    },
  }),
  defineTool({
    name: 'grant_voucher',
    description: 'Grants a voucher for an order.',
    parameters: z.object({ order: z.string(), amount: z.number().positive() }),
    risk: 'high',
    handler: ({ order, amount }) => ({ order, granted: amount }),
  }),
  defineTool({
    name: 'long_report',
    description: 'Makes a report that takes its time.',
    parameters: z.object({ seconds: z.number() }),
    effect: 'read',
    idempotent: true,
    timeoutMs: 700_000,
    handler: async ({ seconds }, { signal }) => {
      await delay(seconds * 1_000, undefined, { signal }).catch(() => undefined);
      return { pages: 12 };
    },
  }),
  defineTool({
    name: 'tick',
    description: 'Takes so many milliseconds.',
    parameters: z.object({ ms: z.number() }),
    effect: 'read',
    idempotent: true,
    handler: async ({ ms }) => {
      await delay(ms);
      return 'tick';
    },
  }),
];
