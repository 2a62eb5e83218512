import { type Command, Option } from 'commander';
import type { Accepted } from '../client/answers.ts';
import type { Operator, Verdict } from '../client/operator.ts';
import { AppError } from '../core/errors.ts';
import { isRunId } from '../core/ids.ts';
import type { StatusEvent } from '../core/status.ts';
import { callId, jsonOrText, runId, runOrScope } from './arguments.ts';
import { addCommand, addOrder, type OrderOptions } from './command.ts';
import { withOperator } from './connect.ts';
import type { Io } from './io.ts';
import { addBulk, type BulkOptions, checkTarget, inBulk } from './select.ts';
import { giveSwitch } from './switches.ts';

/** Orders to runs: each is stored for the run and takes effect when its owner reads it. */

const lives = ({ phase, state }: StatusEvent) => phase !== 'complete' && state !== 'rejected';
const isHeld = ({ state }: StatusEvent) => state === 'idle.held';

export function addOrders(program: Command, io: Io): void {
  simple(program, io, 'cancel', {
    summary: 'end a run now, or many',
    applies: lives,
    give: (operator, run, why) => operator.cancel(run, why),
    examples: [
      'proctor cancel 20260101-abc-1 --why "wrong customer"',
      'proctor cancel --agent invoices --state waiting --older-than 1h --why "given up" --yes',
    ],
  });
  simple(program, io, 'pause', {
    summary: 'let a run, many, or a whole scope stand still',
    scopes: (target, options) => giveSwitch(io, 'pause', target, { ...options, reason: options.why }),
    applies: (status) => lives(status) && status.state !== 'waiting.paused',
    give: (operator, run, why) => operator.pause(run, why),
    examples: [
      'proctor pause 20260101-abc-1 --why "the API is down"',
      'proctor pause --agent invoices --why "the API is down" --yes',
      'proctor pause agent:invoices --why "the API is down"',
    ],
  });
  simple(program, io, 'resume', {
    summary: 'let a paused run go on, or many',
    applies: ({ state }) => state === 'waiting.paused',
    give: (operator, run, why) => operator.resume(run, why),
    examples: ['proctor resume 20260101-abc-1', 'proctor resume --agent invoices --yes'],
  });
  addResolve(program, io);
  const quarantine = addCommand(program, 'quarantine', {
    summary: 'runs whose journal cannot be read: retry or fail them',
    examples: ['proctor ps --state idle.held', 'proctor quarantine retry 20260101-abc-1 --why "node upgraded"'],
  });
  simple(quarantine, io, 'retry', {
    summary: 'read the journal of a held run again, or of many',
    applies: isHeld,
    give: (operator, run, why) => operator.release(run, why),
    examples: [
      'proctor quarantine retry 20260101-abc-1 --why "node upgraded"',
      'proctor quarantine retry --state idle.held --why "nodes upgraded" --yes',
    ],
  });
  simple(quarantine, io, 'fail', {
    summary: 'end a held run, or many',
    applies: isHeld,
    give: (operator, run, why) => operator.fail(run, why),
    examples: ['proctor quarantine fail 20260101-abc-1 --why "cannot be repaired"'],
  });
}

const SCOPE_HELP =
  ' A scope (global, agent:NAME, agent:NAME@VERSION, user:NAME, run:ID, tool:NAME, model:PROVIDER/MODEL) stands still as a whole, what comes later and what a run delegated to included, until proctor revive.';

interface SimpleOrder {
  summary: string;
  /** Which of many runs the order makes sense for. */
  applies: (status: StatusEvent) => boolean;
  give: (operator: Operator, run: string, why: string) => Promise<Accepted>;
  examples: string[];
  /** Takes a scope in the place of a run id. */
  scopes?: (scope: string, options: OrderOptions) => Promise<void>;
}

function simple(parent: Command, io: Io, name: string, order: SimpleOrder): void {
  const { summary, applies, give, examples, scopes } = order;
  const description = `${summary[0]?.toUpperCase()}${summary.slice(1)}. Without a run id it is about all runs that match the options; they are only shown unless --yes is given.${scopes === undefined ? '' : SCOPE_HELP}`;
  addBulk(addOrder(parent, name, { summary, description, examples }))
    .argument(
      scopes === undefined ? '[run]' : '[target]',
      scopes === undefined ? 'run id' : 'run id, or scope',
      scopes === undefined ? runId : runOrScope,
    )
    .action(async (run: string | undefined, options: OrderOptions & BulkOptions) => {
      checkTarget(run, options);
      if (scopes !== undefined && run !== undefined && !isRunId(run)) return scopes(run, options);
      await withOperator(options, async (operator) => {
        if (run !== undefined) return tell(io, options, await give(operator, run, options.why), name);
        const giveTo = async (one: string) => told(await give(operator, one, options.why), name);
        await inBulk(io, operator, options, { name, applies, give: giveTo });
      });
    });
}

interface ResolveOptions extends OrderOptions {
  done?: boolean;
  repeat?: boolean;
  fail?: boolean;
  result?: string;
}

function addResolve(program: Command, io: Io): void {
  addOrder(program, 'resolve', {
    summary: 'say what became of a call that waits for a person',
    description:
      'Says what became of a call whose outcome nobody knows, or answers a question that a run asked. ' +
      'Give one of --done, --repeat, --fail.',
    examples: [
      'proctor resolve 20260101-abc-1 4-0 --done --result \'{"ticket":17}\'',
      'proctor resolve 20260101-abc-1 4-0 --repeat --why "the mail was never sent"',
      'proctor resolve 20260101-abc-1 4-0 --fail --why "the order does not exist"',
    ],
  })
    .argument('<run>', 'run id', runId)
    .argument('<call>', 'call id', callId)
    .addOption(new Option('--done', 'it was done; see --result').conflicts(['repeat', 'fail']))
    .addOption(new Option('--repeat', 'do it again').conflicts(['done', 'fail']))
    .addOption(new Option('--fail', 'count it as failed').conflicts(['done', 'repeat']))
    .addOption(
      new Option('--result <value>', 'with --done: what it brought, JSON or a text').conflicts(['repeat', 'fail']),
    )
    .action(async (run: string, call: string, options: ResolveOptions) => {
      const verdict = verdictOf(options);
      const accepted = await withOperator(options, (operator) => operator.resolve(run, call, verdict, options.why));
      tell(io, options, accepted, 'resolve');
    });
}

function verdictOf({ done, repeat, fail, result, why }: ResolveOptions): Verdict {
  if (repeat === true) return { verdict: 'repeat' };
  if (fail === true) {
    if (why !== '') return { verdict: 'fail', why };
    throw new AppError('usage', '--fail needs a reason: add --why TEXT');
  }
  if (done === true) return { verdict: 'done', ...(result === undefined ? {} : { result: jsonOrText(result) }) };
  throw new AppError('usage', 'say what became of the call: give one of --done, --repeat, --fail');
}

function tell(io: Io, options: OrderOptions, accepted: Accepted, order: string): void {
  io.out(options.json === true ? JSON.stringify(accepted) : told(accepted, order));
}

function told({ run, state }: Accepted, order: string): string {
  return `${order}: stored for run ${run}, which was ${state}`;
}
