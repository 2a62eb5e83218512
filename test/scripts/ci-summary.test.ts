import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'proctor-summary-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

interface Case {
  files: { status: string; tests: string[] }[] | null;
  testStatus?: number;
  failedChecks?: number;
}

/** The last line and the exit code for a report of the given test files. */
async function summaryOf({ files, testStatus = 0, failedChecks = 0 }: Case): Promise<[string, number | null]> {
  const report = join(dir, 'report.json');
  const testResults = files?.map(({ status, tests }) => ({
    status,
    assertionResults: tests.map((test) => ({ status: test })),
  }));
  await writeFile(report, files === null ? '' : JSON.stringify({ testResults }));
  const script = fileURLToPath(new URL('../../scripts/ci-summary.mjs', import.meta.url));
  const args = [script, report, String(testStatus), String(failedChecks)];
  const { stdout, status } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  return [stdout, status];
}

const fine = { status: 'passed', tests: ['passed', 'passed'] };

it('counts tests that passed', async () => {
  expect(await summaryOf({ files: [fine, fine] })).toEqual(['4 passed, 0 failed\n', 0]);
});

it('counts failures and skipped tests', async () => {
  const files = [fine, { status: 'failed', tests: ['passed', 'failed', 'pending', 'todo', 'skipped'] }];
  expect(await summaryOf({ files, testStatus: 1 })).toEqual(['3 passed, 1 failed, 3 skipped\n', 1]);
});

it('counts each failed check as a failure', async () => {
  expect(await summaryOf({ files: [fine], failedChecks: 2 })).toEqual(['2 passed, 2 failed\n', 1]);
});

it('counts a file that could not be loaded as a failure', async () => {
  const files = [fine, { status: 'failed', tests: [] }];
  expect(await summaryOf({ files, testStatus: 1 })).toEqual(['2 passed, 1 failed\n', 1]);
});

it('counts an error outside of the tests as a failure', async () => {
  expect(await summaryOf({ files: [fine], testStatus: 1 })).toEqual(['2 passed, 1 failed\n', 1]);
});

it.each([[null], [[]], [[{ status: 'passed', tests: ['skipped'] }]]])('fails when no test ran: %j', async (files) => {
  const [line, status] = await summaryOf({ files });
  expect(line).toMatch(/^0 passed, 1 failed/);
  expect(status).toBe(1);
});
