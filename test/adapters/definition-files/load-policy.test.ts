import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadPolicy } from '../../../src/adapters/definition-files/load-policy.ts';
import type { AppError } from '../../../src/core/errors.ts';
import { MAX_POLICY_BYTES } from '../../../src/core/policy.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'proctor-policy-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function faults(text: string | Uint8Array): Promise<string[]> {
  const file = join(dir, 'p.yaml');
  await writeFile(file, text);
  const thrown = await loadPolicy(file).then(
    () => null,
    (error: unknown) => error as AppError,
  );
  if (thrown === null) return [];
  expect(thrown.code).toBe('invalid_policy');
  return thrown.message.replaceAll(`${dir}/`, '').split('\n');
}

describe('a policy file', () => {
  it('tells all that is wrong at once, each with its line', async () => {
    const text = [
      'roles: { admin: [root] }',
      'permision: []',
      'permissions:',
      '  - { id: a, role: admn, tool: "read_*", do: allow }',
      '  - { id: a, tool: "w*x", do: alow }',
      '  - do: ask',
      'autonomy:',
      '  - agent: plan',
      '    level: free',
      'taint: { writes: maybe }',
      'own: nobody',
    ].join('\n');
    expect(await faults(text)).toEqual([
      expect.stringMatching(/^p\.yaml:11: own: expected \{user\} once/),
      'p.yaml:5: permissions.1.tool: expected a name, or the beginning of one with a * at its end',
      expect.stringMatching(/^p\.yaml:5: permissions\.1\.do: /),
      'p.yaml:6: permissions.2.tool: expected string, but it is missing',
      expect.stringMatching(/^p\.yaml:9: autonomy\.0\.level: /),
      expect.stringMatching(/^p\.yaml:10: taint\.writes: /),
      'p.yaml:2: permision: unknown field; did you mean "permissions"?',
      'p.yaml:4: permissions.0.role: no role has this name; there are: *, user, admin',
      'p.yaml:5: permissions.1.id: another rule has this id',
    ]);
  });

  it('tells what is wrong with its quotas, each fault with its line', async () => {
    const text = [
      'quotas:',
      '  teem: { usd: 5 }',
      '  users: { alice: { day: { euro: 5 } } }',
      '  rates:',
      '    - { for: "tool:mail", unit: tokens, capacity: 10, every_ms: 60000 }',
      '    - { for: "model:m", units: tokens, capacity: 10, every_ms: 60000 }',
      '  caps:',
      '    - { for: "tool:pay" }',
      '    - { for: "tool:pay", usd: 5, amount: order.total }',
      '    - { for: "tool:pay", usd: 5, amount_field: "" }',
      '  breakers:',
      '    - { for: "tool:x", rule: { failures: 1, open_ms: 1, successes: 1, opens: 1 } }',
    ].join('\n');
    expect(await faults(text)).toEqual([
      'p.yaml:3: quotas.users.alice.day.euro: unknown field; known here: usd, tokens',
      'p.yaml:5: quotas.rates.0.unit: expected calls, as only models use tokens: for model:NAME it may be tokens',
      'p.yaml:6: quotas.rates.1.units: unknown field; did you mean "unit"?',
      'p.yaml:8: quotas.caps.0: expected calls, usd or both: it caps nothing',
      'p.yaml:9: quotas.caps.1.amount: unknown field; known here: for, calls, usd, amount_field',
      'p.yaml:10: quotas.caps.2.amount_field: expected the path of an argument, such as order.total',
      'p.yaml:12: quotas.breakers.0.rule.opens: unknown field; did you mean "open_ms"?',
      'p.yaml:2: quotas.teem: unknown field; did you mean "team"?',
    ]);
  });

  it.each([
    ['nothing', '', ['p.yaml: holds no policy']],
    ['a list', '- v: 1\n- v: 1', ['p.yaml: expected one policy, and no list or second document']],
    ['two documents', 'v: 1\n---\nv: 1', ['p.yaml: expected one policy, and no list or second document']],
    ['another version', 'v: 2', [expect.stringMatching(/^p\.yaml:1: v: /)]],
    ['a text', 'hello', ['p.yaml:1: policy: expected object, received string']],
    ['no UTF-8', new Uint8Array([0xff, 0xfe]), ['p.yaml: is not UTF-8']],
    ['too much', `# ${'x'.repeat(MAX_POLICY_BYTES)}`, [expect.stringMatching(/^p\.yaml: has \d+ bytes; at most/)]],
    [
      'a role that YAML takes for an alias',
      'permissions: [{ role: *, tool: x, do: deny }]',
      [expect.stringMatching(/^p\.yaml: expected YAML: /)],
    ],
  ])('is refused: %s', async (_name, text, expected) => {
    expect(await faults(text)).toEqual(expected);
  });

  it('tells every fault of its YAML', async () => {
    const found = await faults('v: 1\nv: 1\nown: "a\nroles: ]\n');
    expect(found.length).toBeGreaterThan(1);
    for (const fault of found) expect(fault).toMatch(/^p\.yaml: expected YAML: .* at line \d+, column \d+$/);
  });

  it('that is not there is named', async () => {
    await expect(loadPolicy(join(dir, 'nowhere.yaml'))).rejects.toMatchObject({ code: 'no_policy' });
  });
});
