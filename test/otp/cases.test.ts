import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { readCases } from '../../bench/otp/case-file.ts';
import { CoreWorld } from '../../bench/otp/core-world.ts';
import { runCase } from '../../bench/otp/run-case.ts';

const folder = fileURLToPath(new URL('cases', import.meta.url));
const cases = readdirSync(folder)
  .toSorted()
  .flatMap((file) => readCases(readFileSync(join(folder, file), 'utf8')));

describe('the decision core', () => {
  it.each(cases.map((one) => [one.id, one] as const))('behaves as OTP in case %s', async (_id, one) => {
    if ('fault' in one) throw new Error(one.fault);
    const { faults } = await runCase(one.case, (fixture, seed) => new CoreWorld(fixture, seed));
    expect(faults).toEqual([]);
  });
});
