import type { Command } from 'commander';
import type { ContinueOptions } from '../client/client.ts';
import type { LimitOverrides } from '../core/limits.ts';
import { amount, durationIn, runId, wholeNumber } from './arguments.ts';
import { addOrder, type OrderOptions } from './command.ts';
import { withClient, withOperator } from './connect.ts';
import type { Io } from './io.ts';
import { addBulk, type BulkOptions, checkTarget, inBulk } from './select.ts';

/** A run that has ended, once more: from its start (`retry`), or from where it stopped (`continue`). */

export function addAgain(program: Command, io: Io): void {
  addRetry(program, io);
  addContinue(program, io);
}

function addRetry(program: Command, io: Io): void {
  addBulk(
    addOrder(program, 'retry', {
      summary: 'hand in the task of a run that has ended once more, or of many',
      description:
        'Hands in the task of a run that has ended once more: a new run does it again from the start, every call included. "proctor continue" goes on where a run stopped instead. Without a run id it is about all failed runs that match the options; they are only shown unless --yes is given.',
      examples: [
        'proctor retry 20260101-abc-1 --why "the API is back"',
        'proctor retry --agent invoices --error timeout --why "the API is back" --yes',
      ],
    }),
  )
    .argument('[run]', 'run id', runId)
    .action(async (run: string | undefined, options: OrderOptions & BulkOptions) => {
      checkTarget(run, options);
      await withOperator(options, async (operator) => {
        const give = async (one: string) => {
          const { run: fresh } = await operator.retry(one, options.why);
          return { json: { run: fresh, retry_of: one }, text: `run ${fresh} does the task of ${one} again` };
        };
        if (run !== undefined) {
          const { json, text } = await give(run);
          return io.out(options.json === true ? JSON.stringify(json) : text);
        }
        await inBulk(io, operator, options, {
          name: 'retry',
          applies: ({ state }) => state.startsWith('failed'),
          give: async (one) => (await give(one)).text,
        });
      });
    });
}

interface ContinueCommandOptions extends OrderOptions {
  user?: string;
  steps?: number;
  time?: number;
  usd?: number;
  tokens?: number;
  toolCalls?: number;
  repeatUnknown?: boolean;
}

const YEAR_MS = 365 * 86_400_000;

function addContinue(program: Command, io: Io): void {
  addOrder(program, 'continue', {
    summary: 'let a run that ended short of its answer go on, as a new run',
    description:
      'Lets a run that ended at a limit, a timeout or an error go on where it stopped, as a new run that is linked to it and has the limits of its agent or those given here.',
    examples: [
      'proctor continue 20260101-abc-1 --steps 50 --why "nearly there"',
      'proctor continue 20260101-abc-1 --time 10m --usd 2 --tokens 200000',
    ],
  })
    .argument('<run>', 'run id', runId)
    .option('--user <name>', 'as this submitter, a run of its own (default: as operator)')
    .option('--steps <n>', 'steps that it may take', wholeNumber(1, 100_000))
    .option('--time <time>', 'time that it may take: 90s, 10m, 2h', durationIn(100, YEAR_MS))
    .option('--usd <amount>', 'money that it may spend', amount)
    .option('--tokens <n>', 'tokens that it may use', wholeNumber(1, 1_000_000_000))
    .option('--tool-calls <n>', 'tool calls that it may make', wholeNumber(0, 1_000_000))
    .option('--repeat-unknown', 'calls of which nobody knows whether they took effect may be made anew')
    .action(async (run: string, options: ContinueCommandOptions) => {
      const { user, why } = options;
      const limits = limitsOf(options);
      const how: ContinueOptions = {
        why,
        ...(Object.keys(limits).length === 0 ? {} : { limits }),
        ...(options.repeatUnknown === true ? { repeat_unknown: true } : {}),
      };
      const continued = await (user === undefined
        ? withOperator(options, (operator) => operator.continue(run, how))
        : withClient({ ...options, user }, (client) => client.continue(run, how)));
      io.out(options.json === true ? JSON.stringify(continued) : `run ${continued.run} goes on where ${run} stopped`);
    });
}

function limitsOf({ steps, time, usd, tokens, toolCalls }: ContinueCommandOptions): LimitOverrides {
  return {
    ...(steps === undefined ? {} : { steps }),
    ...(time === undefined ? {} : { wall_ms: time }),
    ...(usd === undefined ? {} : { cost_usd: usd }),
    ...(tokens === undefined ? {} : { tokens }),
    ...(toolCalls === undefined ? {} : { tool_calls: toolCalls }),
  };
}
