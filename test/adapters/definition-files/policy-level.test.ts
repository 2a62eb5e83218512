import { describe, expect, it } from 'vitest';
import { policyIn } from '../../../src/adapters/definition-files/load-policy.ts';
import { withLevel } from '../../../src/adapters/definition-files/policy-level.ts';

/** A promotion changes one line of a policy, and leaves what people wrote around it. */

const levels = (text: string) => policyIn(text, 'p').policy.autonomy.map(({ agent, level }) => `${agent} ${level}`);

const TEXT = `# Ours.
permissions:
  - { id: all, tool: "*", do: allow } # what is listed
autonomy:
  - { id: desk, agent: desk, level: read_only } # since May
  - { agent: "*", level: observe }
  - { agent: late, level: autonomous }
`;

describe('a level in the text of a policy', () => {
  it('is changed where the first rule is of that agent: id and comments stay', () => {
    const text = withLevel(TEXT, 'desk', 'supervised');
    expect(text).toBe(TEXT.replace('level: read_only', 'level: supervised'));
  });

  it('comes before all others, and in the place of what was said of that agent further down', () => {
    const text = withLevel(TEXT, 'late', 'supervised');
    expect(levels(text)).toEqual(['late supervised', 'desk read_only', '* observe']);
    expect(text).toContain('# since May');
    expect(policyIn(text, 'p').lines['autonomy.0']).toBe(5);
  });

  it('is put into a policy that says nothing of autonomy, also one in JSON', () => {
    expect(levels(withLevel('permissions: []\n', 'desk', 'supervised'))).toEqual(['desk supervised']);
    expect(levels(withLevel('{"autonomy":[],"permissions":[]}', 'desk', 'observe'))).toEqual(['desk observe']);
  });

  it('is the same text when the agent has it already', () => {
    const text = withLevel(TEXT, 'late', 'supervised');
    expect(withLevel(text, 'late', 'supervised')).toBe(text);
  });

  it('is refused for what is no policy', () => {
    for (const text of ['- a\n', '', '{']) expect(() => withLevel(text, 'a', 'observe')).toThrow(/apply a file/);
  });
});
