import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadAgents } from '../../src/adapters/definition-files/load-agents.ts';
import { loadPolicy, policyIn } from '../../src/adapters/definition-files/load-policy.ts';
import { BUILT_IN, BUILT_IN_TEXT, type Policy, type PolicyLines, PolicyProbe } from '../../src/core/policy.ts';
import { compilePolicy } from '../../src/policy/permissions/compile.ts';
import { type Asked, says } from '../policy/permissions/support.ts';

/** The policies that come with Proctor say what their comments promise. */

const folder = fileURLToPath(new URL('../../examples/policies/', import.meta.url));
const files = readdirSync(folder).filter((name) => name.endsWith('.yaml'));

const compiled = ({ policy, lines }: { policy: Policy; lines: PolicyLines }) =>
  compilePolicy({ ...BUILT_IN, version: 1, policy, lines });
const said = async (file: string, asked: Asked) => says(compiled(await loadPolicy(folder + file)), asked);
const write = { effect: 'write' };

describe('the example policies', () => {
  it.each(files)('%s is right, and each of its rules has its line', async (file) => {
    const { policy, lines } = await loadPolicy(folder + file);
    expect(policy.permissions.length).toBeGreaterThan(['quotas.yaml', 'first.yaml'].includes(file) ? 0 : 3);
    const text = readFileSync(folder + file, 'utf8').split('\n');
    for (const [i, rule] of policy.permissions.entries()) {
      expect(text[(lines[`permissions.${i}`] ?? 0) - 1]).toContain(`id: ${rule.id},`);
    }
    for (const [i, rule] of policy.autonomy.entries()) {
      expect(text[(lines[`autonomy.${i}`] ?? 0) - 1]).toContain(`id: ${rule.id},`);
    }
  });

  it('there are some', () => {
    expect(files).toEqual(['cautious.yaml', 'first.yaml', 'matrix.yaml', 'quotas.yaml', 'team.yaml']);
  });

  it.each([
    ['root', 'delete_order', 'bob:1', 'allow'],
    ['alice', 'read_order', 'bob:1', 'allow'],
    ['alice', 'write_order', 'alice:1', 'allow'],
    ['alice', 'write_order', 'bob:1', 'deny'],
    ['alice', 'delete_order', 'alice:1', 'ask'],
    ['alice', 'send_mail', 'alice:1', 'deny'],
  ] as const)('matrix.yaml is the vector of SEC-1: %s %s on %s', async (user, tool, on, expected) => {
    expect(await said('matrix.yaml', { user, tool, on })).toBe(expected);
  });

  it('cautious.yaml keeps secrets, lets nobody write who was not promoted, and asks the auditor', async () => {
    expect(await said('cautious.yaml', { tool: 'read_file', on: 'secrets/key' })).toBe('deny');
    expect(await said('cautious.yaml', { tool: 'read_file', on: './secrets//key' })).toBe('deny');
    expect(await said('cautious.yaml', { tool: 'read_file', on: 'a' })).toBe('allow');
    const writing = { tool: 'write_file', on: 'out/a', definition: write };
    expect(await said('cautious.yaml', { ...writing, agents: ['new'] })).toBe('deny');
    expect(await said('cautious.yaml', { ...writing, agents: ['config-auditor'] })).toBe('ask');
    expect(await said('cautious.yaml', { ...writing, agents: ['plan'] })).toBe('allow');
    expect(await said('cautious.yaml', { ...writing, agents: ['plan'], on: 'src/a' })).toBe('deny');
  });

  it('first.yaml trusts the agents that come with Proctor as far as their work needs, and no other', async () => {
    const { policy } = await loadPolicy(`${folder}first.yaml`);
    const agents = await loadAgents(fileURLToPath(new URL('../../examples/agents/', import.meta.url)));
    const known = ['plan', ...agents.map(({ definition }) => definition.name)];
    for (const { agent } of policy.autonomy) expect(known).toContain(agent);
    for (const { definition } of agents) {
      const writes = definition.tools.includes('write_file') ? 'allow' : 'deny';
      const asked = { tool: 'write_file', definition: write, agents: [definition.name] };
      expect(await said('first.yaml', asked), definition.name).toBe(writes);
    }
    expect(await said('first.yaml', { tool: 'write_file', definition: write, agents: ['plan'] })).toBe('allow');
    expect(await said('first.yaml', { tool: 'write_file', definition: write, agents: ['new'] })).toBe('deny');
    expect(await said('first.yaml', { tool: 'read_file', agents: ['new'], definition: { effect: 'read' } })).toBe(
      'allow',
    );
  });

  it('team.yaml keeps everybody in their folder, and lets leads out', async () => {
    const writing = { tool: 'write_file', definition: write, agents: ['plan'] };
    expect(await said('team.yaml', { ...writing, on: 'users/alice/a' })).toBe('allow');
    expect(await said('team.yaml', { ...writing, on: 'users/bob/a' })).toBe('deny');
    expect(await said('team.yaml', { ...writing, user: 'olga', on: 'users/bob/a' })).toBe('allow');
    expect(await said('team.yaml', { user: 'guest-1', tool: 'read_file', on: 'users/guest-1/a' })).toBe('deny');
    expect(await said('team.yaml', { user: 'olga', tool: 'pay_out', agents: ['billing-1'] })).toBe('ask');
  });
});

describe('docs/policy.md', () => {
  it('shows a policy that is right, and a call that can be asked about', () => {
    const text = readFileSync(new URL('../../docs/policy.md', import.meta.url), 'utf8');
    const blocks = [...text.matchAll(/^```(yaml|json)\n(.*?)^```$/gms)].map(([, kind, block]) => ({ kind, block }));
    const yaml = blocks.filter(({ kind }) => kind === 'yaml');
    expect(yaml).toHaveLength(2);
    for (const { block = '' } of yaml) policyIn(block, 'docs/policy.md');
    for (const { kind, block = '' } of blocks) if (kind === 'json') PolicyProbe.parse(JSON.parse(block));
  });
});

describe('the built-in policy', () => {
  it('is what its text says', () => {
    expect(policyIn(BUILT_IN_TEXT, 'built in')).toEqual({ policy: BUILT_IN.policy, lines: expect.any(Object) });
    expect(policyIn(BUILT_IN_TEXT, 'built in').lines).toEqual(BUILT_IN.lines);
  });
});
