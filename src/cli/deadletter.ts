import type { Command } from 'commander';
import type { Operator } from '../client/operator.ts';
import { AppError } from '../core/errors.ts';
import { all, durationIn } from './arguments.ts';
import { addCommand, addRemoteCommand, type CommonOptions } from './command.ts';
import { withOperator } from './connect.ts';
import { ago, line, moment, pretty, preview } from './format.ts';

import type { Io } from './io.ts';
import { facts, table } from './table.ts';

/** Messages that could not be worked on: tasks that were refused, orders to runs that do not exist. */
export function addDeadLetter(program: Command, io: Io): void {
  const deadletter = addCommand(program, 'deadletter', {
    summary: 'messages that could not be worked on',
    examples: ['proctor deadletter ls', 'proctor deadletter show task.20260101-abc-1'],
  });

  addRemoteCommand(deadletter, 'ls', {
    summary: 'list them, oldest first',
    examples: ['proctor deadletter ls', 'proctor deadletter ls --json'],
  }).action(async (options: CommonOptions) => {
    const letters = await withOperator(options, (operator) => all(operator.deadLetters()));
    if (options.json === true) return io.out(JSON.stringify(letters));
    if (letters.length === 0) return io.out('There are no dead letters: every message could be worked on.');
    const now = Date.now();
    const rows = letters.map((one) => [
      one.id,
      preview(one.subject, 60),
      one.code,
      preview(one.message, 80),
      ago(one.at, now),
    ]);
    io.out(table(io, ['id', 'subject', 'code', 'what is wrong', 'age'], rows));
  });

  addRemoteCommand(deadletter, 'show <id>', {
    summary: 'one of them, with its reason and its body',
    examples: ['proctor deadletter show task.20260101-abc-1'],
  }).action(async (id: string, options: CommonOptions) => {
    const letter = await withOperator(options, (operator) => operator.deadLetter(id));
    if (options.json === true) return io.out(JSON.stringify(letter));
    const pairs: [string, string][] = [
      ['id', letter.id],
      ['subject', line(letter.subject)],
      ['received', moment(letter.at)],
      ['code', letter.code],
      ['what is wrong', line(letter.message)],
      ['bytes', `${letter.bytes}${letter.encoding === 'base64' ? ', shown in base64' : ''}`],
      ['body', pretty(letter.body)],
    ];
    if (letter.field !== undefined) pairs.splice(4, 0, ['field', line(letter.field)]);
    io.out(facts(pairs));
  });

  addRemoteCommand(deadletter, 'retry [id...]', {
    summary: 'publish messages once more, as they came',
    description:
      'Publishes messages once more, as they came, for example after the agent that they name was added. Without an id it is about all that match the options; they are only counted unless --yes is given.',
    examples: [
      'proctor deadletter retry task.20260101-abc-1',
      'proctor deadletter retry --code unknown_agent --older-than 1h --yes',
    ],
  })
    .option('--code <code>', 'those with this code')
    .option('--older-than <time>', 'those that came so long ago: 90s, 30m, 2h, 7d', durationIn(0, YEAR_MS))
    .option('--yes', 'do it; without it, those that match are only counted')
    .action((ids: string[], options: RetryOptions) => retry(io, ids, options));
}

interface RetryOptions extends CommonOptions {
  code?: string;
  olderThan?: number;
  yes?: boolean;
}

const YEAR_MS = 365 * 86_400_000;

async function retry(io: Io, ids: string[], options: RetryOptions): Promise<void> {
  const selects = options.code !== undefined || options.olderThan !== undefined;
  if (selects === ids.length > 0) {
    throw new AppError('usage', 'name dead letters by their ids, or say which: --code, --older-than');
  }
  await withOperator(options, async (operator) => {
    const wanted = ids.length > 0 ? ids : await matching(operator, options);
    if (selects && options.yes !== true) {
      const text = `This would retry ${wanted.length} dead letters. Nothing was done: add --yes to do it.`;
      io.out(options.json === true ? JSON.stringify({ matching: wanted, done: false }) : text);
      return;
    }
    for (const id of wanted) {
      const retried = await operator.deadLetterRetry(id);
      io.out(
        options.json === true
          ? JSON.stringify(retried)
          : `${retried.id}: published again on ${line(retried.subject)} as message ${retried.seq}`,
      );
    }
  });
}

async function matching(operator: Operator, { code, olderThan }: RetryOptions): Promise<string[]> {
  const before = olderThan === undefined ? Number.POSITIVE_INFINITY : (await operator.node()).now - olderThan;
  const letters = await all(operator.deadLetters());
  return letters.filter((one) => one.at <= before && (code === undefined || one.code === code)).map(({ id }) => id);
}
