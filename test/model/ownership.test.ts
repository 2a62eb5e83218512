import { describe, expect, it } from 'vitest';
import { explore } from '../../bench/model/explore.ts';
import type { FaultKind } from '../../bench/model/ownership.ts';
import { MUTANTS, modelOf, QUICK, scenario } from '../../bench/model/scenarios.ts';

/** The long ones are left to `npm run model`. */
const TIMEOUT_MS = 60_000;
const quick = ([name]: [string, unknown]): boolean => !name.startsWith('long:');

describe('the ownership protocol', () => {
  describe('keeps every rule and always comes to its end when', () => {
    it.each(Object.entries(QUICK))(
      '%s',
      (_, scenario) => {
        expect(explore(modelOf(scenario))).toMatchObject({ findings: [], truncated: false });
      },
      TIMEOUT_MS,
    );
  });

  describe('fails in a way that the model finds when', () => {
    const unsafe = Object.entries(MUTANTS).filter(([, mutant]) => mutant.finds.length > 0);
    it.each(unsafe.filter(quick))(
      '%s',
      (_, mutant) => {
        const [first] = explore(modelOf(mutant.scenario), { firstOnly: true }).findings;
        expect(mutant.finds).toContain(first?.what);
      },
      TIMEOUT_MS,
    );
  });

  describe('is explored under faults that happen:', () => {
    const KINDS: FaultKind[] = ['crash', 'pause', 'lost ack', 'delay', 'spurious', 'lost offer', 'handover'];
    it.each(KINDS)('%s', (kind) => {
      const calm = explore(modelOf(scenario({})));
      const rough = explore(modelOf(scenario({ faults: 1, kinds: [kind] })));
      expect(rough.states).toBeGreaterThan(calm.states);
      expect(rough.findings).toEqual([]);
    });
  });
});
