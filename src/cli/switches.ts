import type { Command } from 'commander';
import type { Operator } from '../client/operator.ts';
import { AppError, toAppError } from '../core/errors.ts';
import { isRunId } from '../core/ids.ts';
import { GLOBAL, runScope, SwitchScope } from '../core/switch-scope.ts';
import type { SwitchInfo, SwitchOrder } from '../core/switch-wire.ts';
import { all } from './arguments.ts';
import { addRemoteCommand, type CommonOptions } from './command.ts';
import { withOperator } from './connect.ts';
import { ago, counted, line, moment, preview } from './format.ts';
import { type Io, selfCommand } from './io.ts';
import { table } from './table.ts';

/** Kill switches: `kill`, `drain`, `revive` and `kill ls`; `pause` of a scope is among the orders. */

const SCOPES =
  'A scope is global, agent:NAME, agent:NAME@VERSION, user:NAME, run:ID (with all that it delegated to), tool:NAME or model:PROVIDER/MODEL; a run id alone means run:ID.';

export interface SwitchOptions extends CommonOptions {
  reason?: string;
  by?: string;
  yes?: boolean;
}

export function addSwitches(program: Command, io: Io): void {
  const kill = order(program, io, 'kill', {
    spec: 'kill [scope]',
    summary: 'stop everything in a scope now, and list what is stopped',
    description: `Stops everything in a scope now, for good: runs end, their calls are cancelled, new tasks are refused; calls of a tool or a model are refused. ${SCOPES} Answers when every node knows, or has stopped acting as it cannot be told. docs/kill-switches.md has the command for when nothing of Proctor answers.`,
    examples: [
      'proctor kill agent:invoices --reason "writes to the wrong customers"',
      'proctor kill 20260101-abc-1 --reason "runs in circles"',
      'proctor kill global --reason "incident 7" --yes',
      'proctor kill ls',
    ],
  });
  // What follows `ls` is for `ls`.
  kill.enablePositionalOptions();
  addList(kill, io);
  order(program, io, 'drain', {
    spec: 'drain <scope>',
    summary: 'let the steps in a scope end, then let its runs stand still',
    description: `Lets the steps that are under way in a scope end, then lets its runs stand still; tasks that come wait. ${SCOPES}`,
    examples: ['proctor drain agent:invoices --reason "before the upgrade"'],
  });
  order(program, io, 'revive', {
    spec: 'revive <scope>',
    summary: 'lift a switch: what is paused goes on, what was killed stays ended',
    description: `Lifts the switch over a scope. What it paused goes on; what it killed stays ended. ${SCOPES}`,
    examples: ['proctor kill ls', 'proctor revive agent:invoices --reason "repaired in version 8"'],
  });
}

interface OrderTexts {
  spec: string;
  summary: string;
  description: string;
  examples: string[];
}

function order(program: Command, io: Io, mode: SwitchOrder['mode'], { spec, ...texts }: OrderTexts): Command {
  return addRemoteCommand(program, spec, texts)
    .option('--why, --reason <text>', 'why, kept in the audit; required')
    .option('--by <name>', 'who gives the order (default: your user name)')
    .option('--yes', 'do not ask; required for global where nobody can be asked')
    .action(async (scope: string | undefined, options: SwitchOptions) => {
      if (scope === undefined) throw new AppError('usage', 'name a scope, or list what is in force: proctor kill ls');
      await giveSwitch(io, mode, scope, options);
    });
}

/** Gives the order to the scope, and says when all know of it. */
export async function giveSwitch(
  io: Io,
  mode: SwitchOrder['mode'],
  target: string,
  { reason, ...options }: SwitchOptions,
): Promise<void> {
  const scope = isRunId(target) ? runScope(target) : target;
  if (!SwitchScope.safeParse(scope).success) throw new AppError('usage', `"${line(target)}" is no scope. ${SCOPES}`);
  if (reason === undefined || reason.trim() === '') throw new AppError('usage', 'say why: add --reason TEXT');
  await confirm(io, mode, scope, options.yes === true);
  await withOperator(options, async (operator) => {
    await refuseUnknown(io, operator, mode, scope);
    const done = await operator.switch(scope, mode, reason);
    if (options.json === true) return io.out(JSON.stringify(done));
    const { revision, acknowledged, nodes } = done;
    const known = acknowledged
      ? nodes.length === 0
        ? 'no node is running'
        : `${counted(nodes.length, 'node')} confirmed it, no other acts`
      : 'no node answered; each reads it before it acts again';
    io.out(`${mode} ${scope}: in force as revision ${revision}; ${known}`);
    if (mode !== 'revive') io.err(`Lift it with: ${selfCommand()} revive ${scope} --reason TEXT`);
  });
}

/** Global orders are typed twice; others only need a look where somebody sits at a terminal. */
async function confirm(io: Io, mode: SwitchOrder['mode'], scope: string, yes: boolean): Promise<void> {
  if (yes || mode === 'revive') return;
  if (io.ask === undefined) {
    if (scope !== GLOBAL) return;
    throw new AppError('usage', `${mode} ${scope} is about every run of every user: add --yes to do it`);
  }
  const typed = await io.ask(`This will ${mode} ${scope}. Type the scope to confirm: `);
  if (typed.trim() !== scope) throw new AppError('usage', 'not confirmed: nothing was done');
}

/** A name that was mistyped stops nothing: better said than acknowledged. */
async function refuseUnknown(io: Io, operator: Operator, mode: SwitchOrder['mode'], scope: string): Promise<void> {
  if (mode === 'revive') return;
  const [kind, ...rest] = scope.split(':');
  const name = rest.join(':');
  try {
    if (kind === 'run') await operator.run(name);
    if (kind === 'agent') await operator.agent(name.split('@')[0]?.replaceAll('%40', '@').replaceAll('%25', '%') ?? '');
  } catch (thrown) {
    const { code, message } = toAppError(thrown);
    if (code === 'unknown_run') throw thrown;
    // Whatever else goes wrong must not hold up a kill.
    if (code === 'unknown_agent') io.err(`Note: ${line(message)}. The switch holds for when it comes.`);
  }
}

function addList(kill: Command, io: Io): void {
  addRemoteCommand(kill, 'ls', {
    summary: 'switches in force: scope, mode, by whom, why, since when, and what they hit',
    examples: ['proctor kill ls', 'proctor kill ls --history --json'],
  })
    .option('--history', 'all orders and revivals there ever were, oldest first')
    .action(async (options: CommonOptions & { history?: boolean }) => {
      const history = options.history === true;
      const found = await withOperator(options, (operator) => all(operator.switches({ history })));
      if (options.json === true) return io.out(JSON.stringify(found));
      if (found.length === 0) return io.out(history ? 'There never was a switch.' : 'No switch is in force.');
      const now = Date.now();
      const rows = found.map((one) => [
        line(one.scope),
        one.mode,
        line(one.by),
        preview(one.why, 80),
        history ? moment(one.at) : ago(one.at, now),
        hitText(one),
      ]);
      io.out(table(io, ['scope', 'mode', 'by', 'why', history ? 'at' : 'since', 'hit'], rows));
    });
}

function hitText({ hits: { runs, calls, tasks } }: SwitchInfo): string {
  const parts = [
    runs === 0 ? '' : counted(runs, 'run'),
    calls === 0 ? '' : counted(calls, 'call'),
    tasks === 0 ? '' : counted(tasks, 'task'),
  ];
  return parts.filter((part) => part !== '').join(', ') || '-';
}
