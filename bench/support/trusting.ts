import type { FirstPolicy } from '../../src/runtime/policies.ts';

/** The first policy of clusters under test and of drills: what they ask is not how far agents are trusted. */
export const TRUSTING: FirstPolicy = {
  policy: {
    description: 'Every agent may do what its definition lists.',
    permissions: [{ id: 'all', tool: '*', do: 'allow' }],
    autonomy: [{ id: 'all-levels', agent: '*', level: 'autonomous' }],
  },
  by: 'test',
  why: 'what is tested is not how far agents are trusted',
};
