import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { readCases } from '../../bench/otp/case-file.ts';
import { runInCore, runInTree } from '../../bench/otp/run-case.ts';

const folder = fileURLToPath(new URL('cases', import.meta.url));
const cases = readdirSync(folder)
  .toSorted((a, b) => (a < b ? -1 : 1))
  .flatMap((file) => readCases(readFileSync(join(folder, file), 'utf8')));

it('there are as many cases as there are known to be, each with an id of its own', () => {
  expect(cases.length).toBe(143);
  expect(new Set(cases.map(({ id }) => id)).size).toBe(cases.length);
});

describe.each([
  ['the decision core', runInCore],
  ['the tree of actors', runInTree],
])('%s', (_level, run) => {
  it.each(cases.map((one) => [one.id, one] as const))('behaves as OTP in case %s', async (_id, one) => {
    if ('fault' in one) throw new Error(one.fault);
    const { faults, checks } = await run(one.case);
    expect(faults).toEqual([]);
    expect(checks).toBeGreaterThan(0);
  });
});

describe('a case', () => {
  const run = async (one: object): Promise<string[]> => {
    const [read] = readCases(JSON.stringify([{ id: 'X', ...one }]));
    if (read === undefined || 'fault' in read) return [read?.fault ?? 'nothing was read'];
    return [...(await runInCore(read.case)).faults, ...(await runInTree(read.case)).faults];
  };

  it('that expects nothing fails at both levels', async () => {
    const faults = await run({ setup: '1f1 a', steps: [{ do: 'look' }] });
    expect(faults.filter((fault) => fault.includes('the case expects nothing')).length).toBe(5);
  });

  it('fails when its log leaves something out, says something else or has another order', async () => {
    const setup = '1fA a b';
    for (const log of [['+a', '+b'], ['-b(shutdown)', '+b', '+a'], ['-b(normal)', '+a', '+b'], []]) {
      const faults = await run({ setup, steps: [{ do: 'die', child: 'a', reason: 'x', log }] });
      expect(faults.length, log.join()).toBe(5);
    }
    const unseen = await run({ setup, steps: [{ do: 'die', child: 'a', reason: 'x', refs: { a: 'new' } }] });
    expect(unseen.join()).toContain('after the last step: log: expected [], got ["-b(shutdown)","+a","+b"]');
  });

  it('with a misspelt field is no case', async () => {
    const faults = await run({ setup: '1f1 a', steps: [{ do: 'die', child: 'a', reason: 'x', logs: [] }] });
    expect(faults.join()).toContain('"logs"');
  });

  it('with a setup that cannot be read fails, naming the place', async () => {
    const faults = await run({ setup: '1f1 a(1f2 b)', steps: [{ do: 'look', list: [] }] });
    expect(faults[0]).toContain('shorthand "1f1 a(1f2 b)", character 10: expected one of 1f1, 1fA, r41, dyn');
  });
});
