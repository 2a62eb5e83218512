import { type Command, InvalidArgumentError } from 'commander';
import type { PersonSaid } from '../client/answers.ts';
import type { PersonWord } from '../client/operator.ts';
import { AppError } from '../core/errors.ts';
import { PersonQueue } from '../core/fallback.ts';
import type { HumanDetails, HumanStanding, HumanWord } from '../core/human-wire.ts';
import { all, jsonOrText, runId } from './arguments.ts';
import { addCommand, addRemoteCommand, type CommandTexts, type CommonOptions } from './command.ts';
import { withOperator } from './connect.ts';
import { ago, line, moment, pretty, preview } from './format.ts';
import { type Io, selfCommand } from './io.ts';
import { stepLine } from './progress.ts';
import { facts, table } from './table.ts';

/** Tasks that agents could not do, for the people who take them over. */

interface ListOptions extends CommonOptions {
  queue?: string;
  all?: boolean;
}

interface PersonOptions extends CommonOptions {
  by?: string;
}

interface ReleaseOptions extends PersonOptions {
  why: string;
}

interface DoneOptions extends PersonOptions {
  answer?: string;
  note?: string;
  notSolved?: boolean;
}

export function addQueue(program: Command, io: Io): void {
  const queue = addCommand(program, 'queue', {
    summary: 'tasks that agents could not do and a person takes over',
    examples: ['proctor queue', 'proctor queue claim 20260101-abc-1 --as ann'],
  });
  addRemoteCommand(queue, 'ls', {
    summary: 'list what waits for a person, the oldest first',
    examples: ['proctor queue', 'proctor queue ls --queue support', 'proctor queue ls --all --json'],
    isDefault: true,
  })
    .option('--queue <name>', 'this queue alone', queueName)
    .option('--all', 'also what is done')
    .action((options: ListOptions) => list(io, options));
  addRemoteCommand(queue, 'show', {
    summary: 'one of them: what was asked, what was found, what was tried, who has it',
    examples: ['proctor queue show 20260101-abc-1'],
  })
    .argument('<run>', 'run id', runId)
    .action(async (run: string, options: CommonOptions) => {
      const details = await withOperator(options, (operator) => operator.queueItem(run));
      io.out(options.json === true ? JSON.stringify(details) : detailsText(details, Date.now()));
    });
  addWord(queue, 'claim', {
    summary: 'take it over, so that nobody else does the same',
    examples: ['proctor queue claim 20260101-abc-1 --as ann'],
  }).action(async (run: string, options: PersonOptions) => {
    const said = await withOperator(options, (operator) => operator.queueClaim(run));
    tell(io, options, said, `claimed by ${line(said.standing.by ?? '')}`);
    if (options.json !== true) io.err(`Say what came of it with: ${selfCommand()} queue done ${run} --answer JSON`);
  });
  addWord(queue, 'release', {
    summary: 'give it back, also when another has claimed it',
    examples: ['proctor queue release 20260101-abc-1 --why "ann is on holiday"'],
  })
    .option('--why <text>', 'reason, kept with it', '')
    .action(async (run: string, options: ReleaseOptions) => {
      const said = await withOperator(options, (operator) => operator.queueRelease(run, options.why));
      tell(io, options, said, 'waits for a person again');
    });
  addWord(queue, 'done', {
    summary: 'say what came of it; its submitter is told',
    description:
      'Says what came of it: an answer, a note, or both. It is the last word, and the submitter of the run is told. The result of the run stays as it is; proctor result shows both.',
    examples: [
      'proctor queue done 20260101-abc-1 --answer \'{"refund":12}\'',
      'proctor queue done 20260101-abc-1 --note "there is no such order" --not-solved',
    ],
  })
    .option('--answer <value>', 'the answer: JSON or a text')
    .option('--note <text>', 'what is to be said besides, or in its place')
    .option('--not-solved', 'the task could not be done')
    .action(async (run: string, options: DoneOptions) => {
      const word = wordOf(options);
      const said = await withOperator(options, (operator) => operator.queueDone(run, word));
      tell(io, options, said, standingText(said.standing));
    });
}

/** The log says who it was. */
function addWord(queue: Command, name: string, texts: CommandTexts): Command {
  return addRemoteCommand(queue, name, texts)
    .argument('<run>', 'run id', runId)
    .option('--as, --by <name>', 'who you are (default: your user name)');
}

function queueName(text: string): string {
  if (PersonQueue.safeParse(text).success) return text;
  throw new InvalidArgumentError('Expected 1 to 32 of a-z, 0-9, _ and -.');
}

function wordOf({ answer, note, notSolved }: DoneOptions): PersonWord {
  if (answer === undefined && note === undefined) {
    throw new AppError('usage', 'say what came of it: give --answer JSON, --note TEXT, or both');
  }
  return {
    outcome: notSolved === true ? 'not_solved' : 'solved',
    ...(answer === undefined ? {} : { answer: jsonOrText(answer) }),
    ...(note === undefined ? {} : { note }),
  };
}

function tell(io: Io, options: CommonOptions, said: PersonSaid, what: string): void {
  io.out(options.json === true ? JSON.stringify(said) : `run ${said.run} of queue ${said.queue}: ${what}`);
}

async function list(io: Io, options: ListOptions): Promise<void> {
  const { queue } = options;
  const filter = { all: options.all === true, ...(queue === undefined ? {} : { queue }) };
  const items = await withOperator(options, (operator) => all(operator.queue(filter)));
  if (options.json === true) return io.out(JSON.stringify(items));
  if (items.length === 0) {
    const where = queue === undefined ? '' : ` in queue ${queue}`;
    return io.out(filter.all ? `Nothing was queued for a person${where}.` : `Nothing waits for a person${where}.`);
  }
  const now = Date.now();
  const rows = items.map((one) => [
    one.run,
    one.queue,
    line(one.agent),
    line(one.user),
    preview(one.task, 60),
    one.code,
    ago(one.at, now),
    standingText(one.standing),
  ]);
  io.out(table(io, ['run', 'queue', 'agent', 'user', 'task', 'failed with', 'age', 'state'], rows));
}

function standingText({ state, by = '', outcome }: HumanStanding): string {
  if (state === 'open') return 'open';
  if (state === 'unreadable') return 'unreadable: upgrade the node';
  if (state === 'claimed') return `claimed by ${line(by)}`;
  return `${outcome === 'solved' ? 'solved' : 'not solved'} by ${line(by)}`;
}

function detailsText({ item, standing, words }: HumanDetails, now: number): string {
  const self = selfCommand();
  const { run } = item;
  const tried = item.errors.map(({ kind, to, model, queue, error }) => {
    const next = to === 'model' ? `then ${model}` : to === 'person' ? `then queue ${queue}` : `then ${to}`;
    return `${kind} ${error.code}: ${preview(error.message, 400)}; ${next}`;
  });
  const done = words.findLast((word) => word.kind === 'done');
  const pairs: [string, string][] = [
    ['run', run],
    ['queue', item.queue],
    ['state', standingText(standing)],
    ['agent', `${line(item.agent)} ${line(item.agent_version)} for ${line(item.user)}`],
    ...(item.parent === undefined ? [] : ([['delegated by', item.parent]] as [string, string][])),
    ['queued', `${moment(item.at)} (${ago(item.at, now)} ago)`],
    ['task', preview(item.task, 4_096)],
    ['found so far', item.partial === null ? 'nothing' : preview(item.partial, 4_096)],
    ['last steps', item.steps.length === 0 ? 'none' : item.steps.map((step) => stepLine(step).trim()).join('\n')],
    ['what failed', tried.join('\n')],
    ['said', words.length === 0 ? 'nothing yet' : words.map(wordText).join('\n')],
  ];
  if (done?.answer !== undefined) pairs.push(['answer', pretty(done.answer)]);
  if (standing.state === 'open') pairs.push(['take it', `${self} queue claim ${run}`]);
  if (standing.state === 'claimed') pairs.push(['end it', `${self} queue done ${run} --answer JSON`]);
  pairs.push(['all of it', `${self} trace ${run}`]);
  return facts(pairs);
}

function wordText(word: HumanWord): string {
  const more = word.kind === 'released' ? word.why : word.kind === 'done' ? (word.note ?? '') : '';
  const what = word.kind === 'done' && word.outcome === 'not_solved' ? 'done, not solved,' : word.kind;
  return line(`${moment(word.at)}  ${what} by ${word.by}${more === '' ? '' : `: ${more}`}`);
}
