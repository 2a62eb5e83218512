import { Command } from 'commander';
import { approvalDrill } from './approvals/drill.ts';
import { budgetDrill } from './budget/drill.ts';
import { finish, type ReportOptions, reporting } from './support/report.ts';

/** Drills of governance: what an attacker or a crash tries, and whether anything of it succeeds. */

interface ApprovalOptions extends ReportOptions {
  rounds: string;
  sabotage?: boolean;
}

const program = new Command('drill');

reporting(
  program
    .command('approvals')
    .description('decisions that must not count: forged, replayed, late, by the wrong person')
    .option('--rounds <n>', 'how often each attack is tried', '3')
    .option('--sabotage', 'the nodes believe every signature: the drill must fail'),
).action(approvals);

interface BudgetOptions extends ReportOptions {
  processes: string;
  runs: string;
  sabotage?: boolean;
}

reporting(
  program
    .command('budget')
    .description('many runs on several processes spend from one budget; half of the processes are killed over it')
    .option('--processes <n>', 'node processes', '8')
    .option('--runs <n>', 'runs, each with up to six model calls', '10000')
    .option('--sabotage', 'the nodes take every refusal for a grant: the drill must fail'),
).action(budget);

await program.parseAsync();

async function budget(options: BudgetOptions): Promise<void> {
  const figures = await budgetDrill({
    nodes: Number(options.processes),
    runs: Number(options.runs),
    sabotage: options.sabotage === true,
  });
  const violations: string[] = [];
  if (figures.overshoot > 0) violations.push(`the budget was passed by ${figures.overshoot} USD`);
  if (figures.ledgerDifference > 0) violations.push(`the ledger is off by ${figures.ledgerDifference} USD`);
  if (figures.unaccounted > 0) violations.push(`${figures.unaccounted} USD were spent that the ledger does not hold`);
  if (figures.callsWithoutReservation > 0)
    violations.push(`${figures.callsWithoutReservation} calls were not reserved`);
  if (figures.overdrawn > 0) violations.push(`${figures.overdrawn} USD were drawn beyond what was reserved`);
  if (figures.withoutResult > 0) violations.push(`${figures.withoutResult} runs have no result`);
  finish('drill-budget', 'One budget, many processes', figures, violations, options);
}

async function approvals(options: ApprovalOptions): Promise<void> {
  const figures = await approvalDrill(Number(options.rounds), options.sabotage === true);
  const violations: string[] = [];
  if (figures.succeeded > 0) violations.push(`${figures.succeeded} attacks succeeded`);
  if (figures.notAudited > 0) violations.push(`${figures.notAudited} attacks are not in the audit`);
  if (figures.harmed > 0) violations.push(`${figures.harmed} runs did not go on as they should`);
  finish('drill-approvals', 'Attacks on approvals', figures, violations, options);
}
