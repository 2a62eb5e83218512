import type { Operator } from '../../src/client/operator.ts';
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

/** The same for a cluster whose nodes are processes of the command line: what an operator does there. */
export async function trustAll(operator: Operator): Promise<void> {
  await operator.applyPolicy({ policy: TRUSTING.policy, text: JSON.stringify(TRUSTING.policy) }, TRUSTING.why);
}
