import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { newNkey } from '../app/approvals.ts';
import { ApproverName, DEFAULT_GROUP } from '../core/approval-rules.ts';
import { AppError, toAppError } from '../core/errors.ts';
import { collect, unreadable } from './arguments.ts';
import { addCommand, addOrder, addRemoteCommand, type CommonOptions, type OrderOptions } from './command.ts';
import { withOperator } from './connect.ts';
import { ago, line, moment } from './format.ts';
import type { Io } from './io.ts';
import { table } from './table.ts';

/** Who may decide about approvals, and with which key. The public half is stored; the secret stays in a file. */

interface NewOptions extends OrderOptions {
  group?: string[];
  user?: string[];
  out?: string;
  publicKey?: string;
}

/** Where the key of an approver lies unless another file is named. */
export function keyFileOf(dir: string, name: string): string {
  return join(dir, 'keys', `approver-${name}.nk`);
}

export function addKeys(program: Command, io: Io): void {
  const keys = addCommand(program, 'keys', {
    summary: 'who may decide about approvals: new, ls, revoke',
    examples: [
      'proctor keys new alice --group finance',
      'proctor keys ls',
      'proctor keys revoke alice --why "left us"',
    ],
  });
  addOrder(keys, 'new <name>', {
    summary: 'let somebody decide about approvals',
    description:
      'Makes a key, writes its secret half into a file that only you can read, and lets whoever signs with it decide for the groups. With --public-key nothing is made: the key is one that the approver keeps.',
    examples: [
      'proctor keys new alice',
      'proctor keys new alice --group finance --group ops --user alice@example.com --out alice.nk',
      'proctor keys new ci --public-key UCK5N7N66OBOINFXAYC2ACJQYFSOD4VYNU6APEJTAVFZB2SVHLKGEW7L',
    ],
  })
    .option(
      '--group <name>',
      `a group that the approver belongs to; may be repeated (default: ${DEFAULT_GROUP})`,
      collect,
    )
    .option(
      '--user <name>',
      'a submitter that is the same person, whose tasks the approver may not decide about',
      collect,
    )
    .option('--out <file>', 'where the secret half goes (default: keys/approver-<name>.nk in the data folder)')
    .option('--public-key <key>', 'the public half of a key that is there already')
    .action((name: string, options: NewOptions) => make(io, name, options));
  addRemoteCommand(keys, 'ls', {
    summary: 'list who may decide about approvals',
    examples: ['proctor keys ls', 'proctor keys ls --history --json'],
    isDefault: true,
  })
    .option('--history', 'every record there ever was, oldest first')
    .action(async (options: CommonOptions & { history?: boolean }) => {
      const history = options.history === true;
      const approvers = await withOperator(options, (operator) => operator.approvers({ history }));
      if (options.json === true) return io.out(JSON.stringify(approvers));
      if (approvers.length === 0)
        return io.out('Nobody may decide about approvals. Add somebody: proctor keys new NAME');
      const now = Date.now();
      const rows = approvers.map((one) => [
        one.name,
        one.revoked ? 'revoked' : 'in force',
        one.groups.join(', '),
        line(one.users.join(', ')) || '-',
        one.public_key,
        line(`${one.by}${one.why === '' ? '' : `: ${one.why}`}`),
        history ? moment(one.at) : ago(one.at, now),
      ]);
      const heads = ['name', 'key', 'groups', 'is also', 'public key', 'by', history ? 'at' : 'since'];
      io.out(table(io, heads, rows));
    });
  addOrder(keys, 'revoke <name>', {
    summary: 'let no decision count any more that is signed with the key of this name',
    description:
      'From now on no decision counts that is signed with the key of this name. What was approved with it before stands; proctor kill stops calls that must not be made. The name may get a new key.',
    examples: ['proctor keys revoke alice --why "laptop stolen"'],
  }).action(async (name: string, options: OrderOptions) => {
    await withOperator(options, (operator) => operator.revokeApprover(checked(name), options.why));
    io.out(options.json === true ? JSON.stringify({ ok: true, name }) : `The key of ${name} is revoked.`);
  });
}

async function make(io: Io, name: string, options: NewOptions): Promise<void> {
  checked(name);
  const { group = [DEFAULT_GROUP], user = [], publicKey, why } = options;
  const key = publicKey === undefined ? newNkey() : null;
  const file = options.out ?? keyFileOf(options.dir, name);
  if (key !== null) await keep(file, key.seed);
  const public_key = publicKey ?? key?.publicKey ?? '';
  try {
    await withOperator(options, (operator) =>
      operator.putApprover({ name, public_key, groups: group, users: user }, why),
    );
  } catch (thrown) {
    // Without a record the secret is of no use to anybody. One that may have been stored must be kept.
    if (key !== null && !['timeout', 'no_node', 'closed'].includes(toAppError(thrown).code))
      await rm(file, { force: true });
    throw thrown;
  }
  const made = { name, public_key, groups: group, ...(key === null ? {} : { file }) };
  if (options.json === true) return io.out(JSON.stringify(made));
  io.out(`${name} may decide for ${group.join(', ')}${key === null ? '' : `; the secret key is in ${file}`}.`);
}

async function keep(file: string, seed: string): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(file, `${seed}\n`, { mode: 0o600, flag: 'wx' });
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'EEXIST') {
      throw new AppError('usage', `${file} is there already: move it away, or name another file with --out`);
    }
    throw new AppError('usage', `--out: ${unreadable(file, thrown)}`);
  }
}

function checked(name: string): string {
  if (ApproverName.safeParse(name).success) return name;
  throw new AppError('usage', `"${line(name)}": expected a name of 1 to 32 letters, digits, ., _, @, + or -`);
}
