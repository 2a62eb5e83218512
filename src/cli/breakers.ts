import type { Command } from 'commander';
import { AppError } from '../core/errors.ts';
import type { BreakerInfo } from '../core/ledger-wire.ts';
import { all } from './arguments.ts';
import { addRemoteCommand, type CommonOptions } from './command.ts';
import { withOperator } from './connect.ts';
import { counted, line, moment, usd } from './format.ts';
import type { Io } from './io.ts';
import { table } from './table.ts';

/** What the ledger of the cluster holds: `breakers ls`, `breakers reset`, `budgets`. */

export function addBreakers(program: Command, io: Io): void {
  const breakers = program
    .command('breakers')
    .description('circuit breakers of tools and models: which are open, and closing them')
    .enablePositionalOptions();
  addRemoteCommand(breakers, 'ls', {
    summary: 'breakers that are open, half open, or have seen failures',
    examples: ['proctor breakers ls'],
  }).action(async (options: CommonOptions) => {
    const found = await withOperator(options, (operator) => operator.breakers());
    if (options.json === true) return io.out(JSON.stringify(found));
    if (found.length === 0) return io.out('No breaker has seen a failure.');
    const rows = found.map((one) => [line(one.target), one.state.replace('_', ' '), saysOf(one)]);
    io.out(table(io, ['target', 'state', 'what'], rows));
  });
  addRemoteCommand(breakers, 'reset <target>', {
    summary: 'close a breaker now, for the whole cluster',
    description:
      'Closes the breaker of a tool or a model (tool:NAME, model:PROVIDER/MODEL) now, for the whole cluster: calls are sent again. It opens again when they fail again.',
    examples: ['proctor breakers reset tool:send_mail --reason "the mail server is back"'],
  })
    .option('--why, --reason <text>', 'why, kept in the ledger; required')
    .option('--by <name>', 'who gives the order (default: your user name)')
    .action(async (target: string, options: CommonOptions & { reason?: string; by?: string }) => {
      const { reason, ...common } = options;
      if (reason === undefined || reason.trim() === '') throw new AppError('usage', 'say why: add --reason TEXT');
      await withOperator(common, (operator) => operator.resetBreaker(target, reason));
      if (options.json === true) return io.out(JSON.stringify({ ok: true, target }));
      io.out(`${line(target)} is closed; what calls it is sent again`);
    });
  addBudgets(program, io);
}

function saysOf({ state, failures, successes, until, probes }: BreakerInfo): string {
  if (state === 'closed') return `${counted(failures, 'failure')} in a row`;
  if (state === 'open') return `nothing is sent until ${moment(until)}, then a probe`;
  return `${counted(probes, 'probe')} under way, ${successes} went well`;
}

function addBudgets(program: Command, io: Io): void {
  addRemoteCommand(program, 'budgets', {
    summary: 'what users, agents and teams have spent of their budgets in this period',
    description:
      'Shows each account of the ledger that a budget or a cap stands behind, for the period that runs: what is spent, and what calls under way hold. Days, months and hours begin in UTC.',
    examples: ['proctor budgets', 'proctor budgets --json'],
  }).action(async (options: CommonOptions) => {
    const found = await withOperator(options, (operator) => all(operator.accounts()));
    if (options.json === true) return io.out(JSON.stringify(found));
    if (found.length === 0) return io.out('Nothing was spent that a budget or a cap stands behind.');
    const rows = found.map(({ scope, period, spent, held }) => [
      line(scope),
      period,
      usd(spent.nanos / 1e9),
      usd(held.nanos / 1e9),
      String(spent.tokens),
      String(spent.count),
    ]);
    io.out(table(io, ['account', 'period', 'spent', 'held', 'tokens', 'calls'], rows));
  });
}
