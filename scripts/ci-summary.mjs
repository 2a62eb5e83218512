/**
 * The last line of a check run: `node scripts/ci-summary.mjs <vitest json report> <exit code of the tests> <failed checks>`.
 * Exits with 1 unless tests ran and nothing failed.
 */
import { readFileSync } from 'node:fs';

const [reportPath, testStatus, failedChecks] = process.argv.slice(2);
const { passed, failed, skipped } = count(readReport(reportPath), Number(testStatus));
const allFailed = failed + Number(failedChecks);
process.stdout.write(`${passed} passed, ${allFailed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
process.exitCode = allFailed === 0 ? 0 : 1;

function readReport(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return { testResults: [] };
  }
}

function count({ testResults }, status) {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const file of testResults) {
    const statuses = file.assertionResults.map((test) => test.status);
    total.passed += statuses.filter((one) => one === 'passed').length;
    total.failed += statuses.filter((one) => one === 'failed').length;
    total.skipped += statuses.filter((one) => one !== 'passed' && one !== 'failed').length;
    // A file that could not be loaded, or whose hooks failed, has no failed test of its own.
    if (file.status === 'failed' && !statuses.includes('failed')) total.failed += 1;
  }
  const nothingRan = total.passed + total.failed === 0;
  // A report that is fine beside an exit code that is not: an error outside of any test.
  if (nothingRan || (status !== 0 && total.failed === 0)) total.failed += 1;
  return total;
}
