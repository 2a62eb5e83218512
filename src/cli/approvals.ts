import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { type Approver, connectApprover, type Verdict } from '../app/approvals.ts';
import { logTo } from '../app/local.ts';
import { webhook } from '../app/webhook.ts';
import { Group } from '../core/approval-rules.ts';
import type { ApprovalNotice, ApprovalRequest } from '../core/approval-wire.ts';
import { AppError } from '../core/errors.ts';
import { type Json, JsonObject } from '../core/json.ts';
import { all, callId, collect, runId, unreadable } from './arguments.ts';
import { addCommand, addRemoteCommand, type CommandTexts, type CommonOptions } from './command.ts';
import { find, whoAmI, withOperator } from './connect.ts';
import { EXIT } from './failure.ts';
import { ago, duration, line, moment, preview } from './format.ts';
import { type Io, selfCommand } from './io.ts';
import { keyFileOf } from './keys.ts';
import { onQuit } from './quit.ts';
import { facts, table } from './table.ts';

/** Approvals from the command line: what is open, and a person's signed word on it. */

interface GroupOptions extends CommonOptions {
  group?: string[];
}

interface DecideOptions extends GroupOptions {
  as?: string;
  key?: string;
  why?: string;
  args?: string;
}

interface WatchOptions extends GroupOptions {
  webhook?: string;
  secretFile?: string;
}

export function addApprovals(program: Command, io: Io): void {
  const approvals = addCommand(program, 'approvals', {
    summary: 'calls that wait for an approval: list, show, approve, deny',
    examples: ['proctor approvals', 'proctor approvals approve 20260101-abc-1 4-0 --as alice'],
  });
  addGroupCommand(approvals, 'ls', {
    summary: 'list what waits for an approval, the oldest first',
    examples: ['proctor approvals', 'proctor approvals ls --group finance --json'],
    isDefault: true,
  }).action(async (options: GroupOptions) => {
    const open = await withApprover(options, (approver) => all(approver.open()));
    if (options.json === true) return io.out(JSON.stringify(open));
    if (open.length === 0) return io.out('Nothing waits for an approval.');
    const now = Date.now();
    const rows = open.map((one) => [
      one.run,
      one.c,
      line(one.tool),
      preview(one.args, 60),
      one.risk,
      line(one.user),
      preview(one.reason, 60),
      `${one.given.length} of ${one.needed}`,
      duration(Math.max(0, one.deadline - now)),
    ]);
    io.out(table(io, ['run', 'call', 'tool', 'arguments', 'risk', 'user', 'why', 'approved', 'time left'], rows));
  });
  addGroupCommand(approvals, 'show', {
    summary: 'one request, with the arguments exactly as the tool would get them',
    examples: ['proctor approvals show 20260101-abc-1 4-0'],
  })
    .argument('<run>', 'run id', runId)
    .argument('<call>', 'call id', callId)
    .action(async (run: string, call: string, options: GroupOptions) => {
      const request = await withApprover(options, (approver) => requestOf(approver, run, call));
      io.out(options.json === true ? JSON.stringify(request) : requestText(request, Date.now()));
    });
  addVerdict(approvals, io, 'approve');
  addVerdict(approvals, io, 'deny');
  addWatch(approvals, io);
  addRemoteCommand(approvals, 'refused', {
    summary: 'decisions that counted for nothing, and why',
    description:
      'Lists decisions that counted for nothing: forged, replayed, late, signed by somebody who may not. They changed nothing in the run. Many of them may be an attack.',
    examples: ['proctor approvals refused', 'proctor approvals refused --json'],
  }).action(async (options: CommonOptions) => {
    const refused = await withOperator(options, (operator) => all(operator.refusedDecisions()));
    if (options.json === true) return io.out(JSON.stringify(refused));
    if (refused.length === 0) return io.out('Every decision counted.');
    const rows = refused.map((one) => [
      moment(one.at),
      line(one.run),
      line(one.c),
      line(one.approver),
      one.code,
      preview(one.message, 80),
    ]);
    io.out(table(io, ['at', 'run', 'call', 'approver', 'code', 'what is wrong'], rows));
  });
}

/** With a login for some groups these have to be named. */
function addGroupCommand(parent: Command, spec: string, texts: CommandTexts): Command {
  const text = 'look at the requests of this group of approvers; may be repeated (default: all)';
  return addRemoteCommand(parent, spec, texts).option('--group <name>', text, collect);
}

function addVerdict(approvals: Command, io: Io, verdict: Verdict['verdict']): void {
  const deny = verdict === 'deny';
  const command = addGroupCommand(approvals, verdict, {
    summary: deny ? 'deny a call; the model sees the reason' : 'approve a call, with its arguments or with others',
    description: deny
      ? 'Signs a denial and waits until a node says what came of it. The model sees the reason and goes on without the call. One denial is enough.'
      : 'Signs an approval of exactly the arguments that "proctor approvals show" prints, or of those given with --args, and waits until a node says what came of it.',
    examples: deny
      ? ['proctor approvals deny 20260101-abc-1 4-0 --as alice --why "ask the customer first"']
      : [
          'proctor approvals approve 20260101-abc-1 4-0 --as alice',
          'proctor approvals approve 20260101-abc-1 4-0 --as alice --args \'{"amount": 5}\'',
        ],
  })
    .argument('<run>', 'run id', runId)
    .argument('<call>', 'call id', callId)
    .option('--as <name>', 'who decides: the name that the key was made for (default: your user name)')
    .option('--key <file>', 'the key to sign with (default: keys/approver-<name>.nk in the data folder)')
    .option('--why <text>', deny ? 'the reason; required' : 'a remark, kept in the journal');
  if (!deny) command.option('--args <json>', 'other arguments: JSON, or the name of a file that holds it');
  command.action(async (run: string, call: string, options: DecideOptions) => {
    const given = await verdictIn(verdict, options);
    const notice = await withApprover(
      options,
      async (approver) => approver.decideAndWait(await requestOf(approver, run, call), given),
      signerIn(options),
    );
    io.out(options.json === true ? JSON.stringify(notice) : noticeText(notice));
  });
}

async function verdictIn(verdict: Verdict['verdict'], { why, args }: DecideOptions): Promise<Verdict> {
  if (verdict === 'deny') {
    if (why === undefined || why.trim() === '')
      throw new AppError('usage', 'say why: add --why TEXT; the model sees it');
    return { verdict, why };
  }
  return {
    verdict,
    ...(why === undefined ? {} : { why }),
    ...(args === undefined ? {} : { args: await argsIn(args) }),
  };
}

async function argsIn(text: string): Promise<Record<string, Json>> {
  let json = text;
  if (!text.trimStart().startsWith('{')) {
    json = await readFile(text, 'utf8').catch((thrown: unknown) => {
      throw new AppError('usage', `--args: ${unreadable(text, thrown)}`);
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw new AppError('usage', '--args: expected a JSON object, such as \'{"amount": 5}\'');
  }
  const parsed = JsonObject.safeParse(value);
  if (!parsed.success) throw new AppError('usage', `--args: ${parsed.error.issues[0]?.message ?? 'not valid'}`);
  return parsed.data;
}

function addWatch(approvals: Command, io: Io): void {
  addGroupCommand(approvals, 'watch', {
    summary: 'print requests as they come, and what becomes of them',
    description:
      'Prints what is open, then each request as it comes and what becomes of it, until Ctrl-C. With --webhook each is posted there as well, as JSON, signed with the secret (docs/approvals.md); arguments are redacted there.',
    examples: [
      'proctor approvals watch',
      'proctor approvals watch --webhook https://chat.example.com/hook --secret-file hook.secret',
    ],
  })
    .option('--webhook <url>', 'post each there: https, or http on this machine')
    .option('--secret-file <file>', 'the secret that is shared with the receiver')
    .action((options: WatchOptions) => watch(io, options));
}

async function watch(io: Io, options: WatchOptions): Promise<void> {
  const { webhook: url, secretFile } = options;
  if ((url === undefined) !== (secretFile === undefined)) {
    throw new AppError('usage', '--webhook and --secret-file go together');
  }
  const secret = await readFile(secretFile ?? '/dev/null', 'utf8').catch((thrown: unknown) => {
    throw new AppError('usage', `--secret-file: ${unreadable(secretFile ?? '', thrown)}`);
  });
  const log = logTo((text) => void process.stderr.write(text), 'warn');
  const hook = url === undefined ? null : webhook({ url, secret: secret.trim(), log });
  const quit = onQuit(() => process.exit(EXIT.interrupted));
  const shown = new Set<string>();
  const posts = new Set<Promise<void>>();
  const post = (what: { request: ApprovalRequest } | { notice: ApprovalNotice }): void => {
    if (hook === null) return;
    const posting = hook.tell(what).finally(() => posts.delete(posting));
    posts.add(posting);
  };
  await withApprover(options, async (approver) => {
    const request = (one: ApprovalRequest): void => {
      const id = `${one.id} ${one.given.length} ${one.groups.length}`;
      if (shown.has(id)) return;
      shown.add(id);
      io.out(options.json === true ? JSON.stringify(one) : requestLine(one));
      post({ request: one });
    };
    const told = new Set<string>();
    const notice = (one: ApprovalNotice): void => {
      // Each group is told.
      const id = JSON.stringify(one);
      if (told.has(id)) return;
      told.add(id);
      if (one.refused === undefined && one.state !== 'pending')
        for (const key of shown) if (key.startsWith(`${one.run}:${one.c} `)) shown.delete(key);
      setTimeout(() => told.delete(id), 5_000).unref();
      io.out(options.json === true ? JSON.stringify(one) : noticeText(one));
      post({ notice: one });
    };
    const heard = approver.hear({ request, notice });
    for await (const one of approver.open()) request(one);
    if (options.json !== true) io.err('Watching for requests. Stop it with Ctrl-C.');
    await quit.asked;
    await Promise.all(heard.map((one) => one.stop()));
    await Promise.all(posts);
  });
  quit.release();
}

async function withApprover<T>(
  options: GroupOptions,
  use: (approver: Approver) => Promise<T>,
  as?: { name: string; keyFile: string },
): Promise<T> {
  const groups = groupsIn(options);
  const { address, subjects } = await find(options, { role: 'approver' });
  const approver = await connectApprover({
    nats: address,
    prefix: subjects.prefix,
    ...(groups === undefined ? {} : { groups }),
    ...(as === undefined ? {} : { as }),
  });
  try {
    return await use(approver);
  } finally {
    await approver.close();
  }
}

function signerIn({ as = whoAmI(), key, dir }: DecideOptions): { name: string; keyFile: string } {
  return { name: as, keyFile: key ?? keyFileOf(dir, as) };
}

function groupsIn({ group }: GroupOptions): string[] | undefined {
  const bad = group?.find((one) => !Group.safeParse(one).success);
  if (bad !== undefined) throw new AppError('usage', `--group ${line(bad)}: expected 1 to 32 letters, digits, _ or -`);
  return group;
}

async function requestOf(approver: Approver, run: string, call: string): Promise<ApprovalRequest> {
  for await (const request of approver.open()) if (request.run === run && request.c === call) return request;
  throw new AppError(
    'not_open',
    `call ${call} of run ${run} waits for no approval: it was decided, is over, or never asked`,
  );
}

function requestLine(one: ApprovalRequest): string {
  const self = selfCommand();
  return line(
    `${moment(one.created_at)}  ${one.run} ${one.c}  ${one.tool} ${preview(one.args, 100)}  risk ${one.risk}, ${one.reason}; ${one.given.length} of ${one.needed} approved; until ${moment(one.deadline)}: ${self} approvals show ${one.run} ${one.c}`,
  );
}

function noticeText({ run, c, state, by, why = '', given, needed, refused }: ApprovalNotice): string {
  if (refused !== undefined) {
    return line(
      `${run} ${c}  a decision of ${refused.approver} counts for nothing: ${refused.message} (${refused.code})`,
    );
  }
  const count = state === 'pending' && given !== undefined ? `, ${given} of ${needed ?? '?'} approved` : '';
  return line(`${run} ${c}  ${state}${by === undefined ? '' : ` by ${by}`}${count}${why === '' ? '' : `: ${why}`}`);
}

function requestText(one: ApprovalRequest, now: number): string {
  const given = one.given.map(
    ({ approver, why, args }) =>
      `${line(approver)}${args === undefined ? '' : ` for ${exact(args)}`}${why === '' ? '' : `: ${line(why)}`}`,
  );
  const steps = one.steps.map(
    (step) =>
      `${step.step}  ${step.calls.map((call) => `${call.tool} ${call.status} ${preview(call.preview, 100)}`).join('; ')}`,
  );
  const self = selfCommand();
  return facts([
    ['run', `${one.run}, call ${one.c}`],
    ['agent', `${line(one.agent)} for ${line(one.user)}`],
    ['task', preview(one.task, 300)],
    ['tool', `${line(one.tool)}${one.action === undefined ? '' : ` (${one.action})`}`],
    ['arguments', exact(one.args)],
    ['digest', one.digest],
    ['risk', one.risk],
    ['why', line(one.reason)],
    ['steps before', steps.length === 0 ? 'none' : steps.map(line).join('\n')],
    ['asked', `${ago(one.created_at, now)} ago, of ${one.groups.join(', ')}`],
    [
      'deadline',
      `${moment(one.deadline)} (in ${duration(Math.max(0, one.deadline - now))}); then it counts as not approved`,
    ],
    ['approved', `${one.given.length} of ${one.needed}${given.length === 0 ? '' : `\n${given.join('\n')}`}`],
    ['decide', `${self} approvals approve ${one.run} ${one.c} --as NAME`],
    ['', `${self} approvals deny ${one.run} ${one.c} --as NAME --why TEXT`],
  ]);
}

/** JSON exactly as it is: what a terminal would hide or turn around is written as an escape. */
function exact(value: Json): string {
  return JSON.stringify(value, null, 2).replace(
    /[\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
