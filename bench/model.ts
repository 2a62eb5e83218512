import { explore } from './model/explore.ts';
import { LONG, MUTANTS, modelOf, QUICK } from './model/scenarios.ts';

/**
 * Explores every scenario of the ownership model and prints a table; the long ones need minutes and some gigabytes.
 * `-v` prints the shortest trace of each finding; any other argument keeps the scenarios whose name it matches.
 * Ends with 1 when the design is not clean, or when a scenario without one of its rules is.
 */

const args = process.argv.slice(2);
const verbose = args.includes('-v');
const pattern = new RegExp(args.find((arg) => arg !== '-v') ?? '.');
const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const rows = [
  ...Object.entries({ ...QUICK, ...LONG }).map(([name, scenario]) => ({ name, scenario, expected: [] as string[] })),
  ...Object.entries(MUTANTS).map(([name, { scenario, finds }]) => ({ name, scenario, expected: finds })),
];

print('| scenario | states | transitions | s | found |');
print('|---|---:|---:|---:|---|');
for (const { name, scenario, expected } of rows) {
  if (!pattern.test(name)) continue;
  const start = performance.now();
  const { states, transitions, findings, truncated } = explore(modelOf(scenario));
  const seconds = ((performance.now() - start) / 1_000).toFixed(1);
  const found = findings.map((finding) => finding.what);
  const missed = truncated || found.toSorted((a, b) => a.localeCompare(b)).join() !== expected.join();
  if (missed) process.exitCode = 1;
  const verdict = `${found.join(', ') || 'clean'}${truncated ? ' (not finished)' : ''}${missed ? ' **unexpected**' : ''}`;
  print(`| ${name} | ${states} | ${transitions} | ${seconds} | ${verdict} |`);
  for (const { what, trace } of verbose ? findings : []) {
    print(`\n${what}:\n${trace.map((label, n) => `${n + 1}. ${label}`).join('\n')}\n`);
  }
}
