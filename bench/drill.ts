import { Command } from 'commander';
import { approvalDrill } from './approvals/drill.ts';
import { finish, type ReportOptions } from './support/report.ts';

/** Drills of governance: what an attacker or a crash tries, and whether anything of it succeeds. */

interface ApprovalOptions extends ReportOptions {
  rounds: string;
  sabotage?: boolean;
}

const program = new Command('drill');

program
  .command('approvals')
  .description('decisions that must not count: forged, replayed, late, by the wrong person')
  .option('--rounds <n>', 'how often each attack is tried', '3')
  .option('--sabotage', 'the nodes believe every signature: the drill must fail')
  .option('--json', 'figures as one line')
  .option('--write', 'put the figures into docs/measurements.md')
  .action(approvals);

await program.parseAsync();

async function approvals(options: ApprovalOptions): Promise<void> {
  const figures = await approvalDrill(Number(options.rounds), options.sabotage === true);
  const violations: string[] = [];
  if (figures.succeeded > 0) violations.push(`${figures.succeeded} attacks succeeded`);
  if (figures.notAudited > 0) violations.push(`${figures.notAudited} attacks are not in the audit`);
  if (figures.harmed > 0) violations.push(`${figures.harmed} runs did not go on as they should`);
  finish('drill-approvals', 'Attacks on approvals', figures, violations, options);
}
