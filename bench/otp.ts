import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { type Case, type ReadCase, readCases } from './otp/case-file.ts';
import { type CaseResult, runInCore, runInTree } from './otp/run-case.ts';
import { progress } from './support/report.ts';

/**
 * Runs supervision cases, ours or other people's, against the decision core and against the assembled tree of actors.
 * test/otp/README.md says how a case is written.
 */

interface Tally {
  passed: number;
  failed: number;
}

const options = new Command('otp')
  .option('--cases <file...>', 'files of cases; default all in test/otp/cases')
  .option('--only <id...>', 'only the cases with these ids')
  .option('--json', 'the figures as one line')
  .parse()
  .opts<{ cases?: string[]; only?: string[]; json?: boolean }>();

const files = options.cases ?? shippedFiles();
const cases = files.flatMap(readOrExit).filter(({ id }) => options.only?.includes(id) ?? true);
const core = await runAll('core', runInCore);
const tree = await runAll('tree', runInTree);
if (core.passed + core.failed === 0) progress(`no cases in ${files.join(', ')}`);
if (core.passed === 0 || core.failed + tree.failed > 0) process.exitCode = 1;
process.stdout.write(`${JSON.stringify({ core, tree }, null, options.json === true ? 0 : 2)}\n`);

async function runAll(level: string, run: (one: Case) => Promise<CaseResult>): Promise<Tally> {
  const tally: Tally = { passed: 0, failed: 0 };
  for (const one of cases) {
    const faults = 'fault' in one ? [`not a case: ${one.fault}`] : (await run(one.case)).faults;
    if (faults.length === 0) tally.passed += 1;
    else tally.failed += 1;
    for (const fault of faults) progress(`FAILED ${one.id} (${level}): ${fault}`);
  }
  return tally;
}

function shippedFiles(): string[] {
  const folder = fileURLToPath(new URL('../../test/otp/cases', import.meta.url));
  return readdirSync(folder)
    .toSorted((a, b) => (a < b ? -1 : 1))
    .map((file) => join(folder, file));
}

function readOrExit(file: string): ReadCase[] {
  try {
    return readCases(readFileSync(file, 'utf8'));
  } catch (error) {
    progress(`${file}: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(1);
  }
}
