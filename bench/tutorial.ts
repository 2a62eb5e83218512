import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { round } from './support/numbers.ts';
import { finish, progress, type ReportOptions } from './support/report.ts';
import { follow } from './tutorial/follow.ts';
import { readTutorial } from './tutorial/read.ts';

/** Follows docs/tutorial.md on a fresh clone, every block of it, and says how long that takes a reader. */

/** Words a minute that somebody reads of prose, and of code. */
const PROSE_PER_MINUTE = 200;
const CODE_PER_MINUTE = 60;
const MOST_MINUTES = 15;

const options = new Command('tutorial')
  .description(
    'follows docs/tutorial.md on a fresh clone: machine time, and reading time at 200 words a minute (code: 60)',
  )
  .option('--from <repository>', 'what to clone', '.')
  .option('--json', 'figures as one line')
  .option('--write', 'put the figures into docs/measurements.md')
  .parse()
  .opts<ReportOptions & { from: string }>();

const folder = mkdtempSync(join(tmpdir(), 'proctor-tutorial-'));
const began = performance.now();
const violations: string[] = [];
let tutorial = readTutorial('');
try {
  const clone = join(folder, 'proctor');
  execFileSync('git', ['clone', '--quiet', options.from, clone], { stdio: 'inherit' });
  tutorial = readTutorial(readFileSync(join(clone, 'docs', 'tutorial.md'), 'utf8'));
  await follow(tutorial, clone, progress);
} catch (thrown) {
  violations.push(thrown instanceof Error ? thrown.message : String(thrown));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const machineSeconds = (performance.now() - began) / 1_000;
const readingMinutes = tutorial.words.prose / PROSE_PER_MINUTE + tutorial.words.typed / CODE_PER_MINUTE;
const totalMinutes = machineSeconds / 60 + readingMinutes;
if (totalMinutes > MOST_MINUTES) violations.push(`${round(totalMinutes)} minutes; ${MOST_MINUTES} are promised`);
finish(
  'tutorial',
  'The tutorial, followed on a fresh clone',
  {
    blocks: tutorial.blocks.length,
    machineSeconds: round(machineSeconds),
    readingMinutes: round(readingMinutes),
    totalMinutes: round(totalMinutes),
  },
  violations,
  options,
);
