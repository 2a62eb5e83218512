import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BUILT_IN, type PolicyInput } from '../../../src/core/policy.ts';
import { ToolDefinition } from '../../../src/core/tool.ts';
import { compilePolicy } from '../../../src/policy/permissions/compile.ts';
import { isOffered } from '../../../src/policy/permissions/judge.ts';
import { compiled, judged, says } from './support.ts';

/** All agents may do what the rules allow, so that only the rules are looked at. */
const trusted = { autonomy: [{ agent: '*', level: 'autonomous' as const }] };
const policy = (permissions: PolicyInput['permissions'], more: PolicyInput = {}) =>
  compiled({ ...trusted, permissions, ...more }, { 'permissions.0': 4, 'permissions.1': 5 });

describe('permissions (SEC-1)', () => {
  const matrix = policy(
    [
      { role: 'admin', tool: '*', do: 'allow' },
      { role: 'user', tool: 'read_*', do: 'allow' },
      { role: 'user', tool: 'write_*', resource: 'own:*', do: 'allow' },
      { role: 'user', tool: 'write_*', do: 'deny' },
      { role: 'user', tool: 'delete_*', do: 'ask' },
    ],
    { roles: { admin: ['root', 'ops-*'] } },
  );

  it.each([
    ['admin everything', 'root', 'delete_order', 'bob:1', 'allow'],
    ['admin by the beginning of the name', 'ops-7', 'anything', undefined, 'allow'],
    ['user read_* allowed', 'alice', 'read_order', 'bob:1', 'allow'],
    ['user write_* on own:* allowed', 'alice', 'write_order', 'alice:1', 'allow'],
    ['other write_* denied', 'alice', 'write_order', 'bob:1', 'deny'],
    ['write_* without a resource denied', 'alice', 'write_order', undefined, 'deny'],
    ['delete_* ask', 'alice', 'delete_order', 'alice:1', 'ask'],
    ['default deny', 'alice', 'send_mail', 'alice:1', 'deny'],
    ['a tool that only looks alike', 'alice', 'read', 'alice:1', 'deny'],
    ['nobody becomes an admin by a longer name', 'rooted', 'send_mail', undefined, 'deny'],
  ] as const)('shipped vector: %s', (_name, user, tool, on, expected) => {
    expect(says(matrix, { user, tool, on })).toBe(expected);
  });

  it('denies everything without a rule, and says so', () => {
    const { refused, words } = judged(policy([]), { tool: 'read_file', on: 'x' });
    expect(refused).toEqual({
      code: 'not_permitted',
      message: 'read_file on x is not allowed for user alice: no rule of policy 3 allows it',
      retryable: false,
    });
    expect(words).toEqual({ version: 3, rules: [{ gate: 'permission', says: 'deny', rule: 'default' }] });
  });

  it('goes by the first rule that fits, and names it with its line', () => {
    const both = policy([
      { id: 'no-secrets', tool: '*', resource: 'secrets/*', do: 'deny' },
      { tool: 'read_*', do: 'allow' },
    ]);
    const denied = judged(both, { tool: 'read_file', on: 'secrets/key' });
    expect(denied.refused?.message).toBe(
      'read_file on secrets/key is not allowed for user alice: rule no-secrets in line 4 of policy 3 denies it',
    );
    const allowed = judged(both, { tool: 'read_file', on: 'notes' });
    expect(allowed.words?.rules).toEqual([{ gate: 'permission', says: 'allow', rule: 'permissions.1', line: 5 }]);
  });

  it('asks in the words of the rule', () => {
    const { asked } = judged(policy([{ id: 'careful', tool: '*', do: 'ask' }]), {});
    expect(asked).toEqual([{ rule: 'permission', text: 'rule careful in line 4 of policy 3 asks for it' }]);
  });

  it('gives a run that was delegated the intersection: the strictest of what each agent above it may', () => {
    const chain = policy([
      { agent: 'desk', tool: 'pay', do: 'ask' },
      { agent: 'guest-*', tool: 'pay', do: 'deny' },
      { tool: 'pay', do: 'allow' },
    ]);
    expect(says(chain, { tool: 'pay', agents: ['clerk'] })).toBe('allow');
    expect(says(chain, { tool: 'pay', agents: ['clerk', 'desk'] })).toBe('ask');
    expect(says(chain, { tool: 'pay', agents: ['clerk', 'desk', 'guest-1'] })).toBe('deny');
  });

  it('needs every resource of a call to be allowed', () => {
    const own = policy([{ tool: '*', resource: 'own:*', do: 'allow' }]);
    expect(says(own, { on: ['alice:1', 'alice:2'] })).toBe('allow');
    expect(says(own, { on: ['alice:1', 'bob:2'] })).toBe('deny');
    expect(says(own, { on: [] })).toBe('deny');
  });

  it.each([
    ['a number', 7, '7', 'allow'],
    ['an object', { id: '7' }, '7', 'deny'],
    ['a list in a list', [['7']], '7', 'deny'],
    ['a control character', '7\u0000', '*', 'deny'],
    ['a way up', 'docs/../secrets/key', '*', 'deny'],
    ['a way up after a colon', 'alice:../bob', 'own:*', 'deny'],
    ['another way to write a path', './docs//a/./b', 'docs/a/*', 'allow'],
    ['a folder itself', 'docs', 'docs/*', 'allow'],
    ['a folder that only begins so', 'docs2', 'docs/*', 'deny'],
    ['backslashes', 'docs\\a', 'docs/a', 'allow'],
    ['a URL with a way up', 'https://ok.example/a/../../admin', 'https://ok.example/a/*', 'deny'],
    ['a host in capitals', 'HTTPS://OK.example:443/a', 'https://ok.example/a', 'allow'],
    ['a user in a URL that looks like a host', 'https://ok.example@evil.example/', 'https://ok.example*', 'deny'],
    ['a URL with too few slashes', 'https:/evil.example/', 'https://evil.example/*', 'allow'],
    ['a URL that nobody can read', 'https://[', '*', 'deny'],
  ])('resources have one form: %s', (_name, on, resource, expected) => {
    const secrets = { tool: '*', resource: 'secrets/*', do: 'deny' as const };
    expect(says(policy([secrets, { tool: '*', resource, do: 'allow' }]), { on })).toBe(expected);
  });

  it('looks at the resource only where a rule does', () => {
    expect(says(policy([{ tool: '*', do: 'allow' }]), { on: 'a/../b' })).toBe('allow');
    const sources = [{ tool: 't', resource: 'inbox/*' }];
    expect(says(policy([{ tool: '*', do: 'allow' }], { taint: { sources } }), { on: 'inbox/../inbox/a' })).toBe('deny');
  });

  it('takes a dotted path for the resource, and nothing from the prototype', () => {
    const open = policy([{ tool: '*', resource: '7', do: 'allow' }]);
    expect(says(open, { on: { id: 7 }, definition: { resource_field: 'on.id' } })).toBe('allow');
    expect(says(open, { on: {}, definition: { resource_field: 'on.constructor' } })).toBe('deny');
  });

  it('own: stands for a folder as well, and for nobody whose name could pass for another', () => {
    const own = policy([{ tool: '*', resource: 'own:*', do: 'allow' }], { own: 'users/{user}/' });
    expect(says(own, { on: 'users/alice/a.txt' })).toBe('allow');
    expect(says(own, { on: 'users/alice' })).toBe('allow');
    expect(says(own, { on: 'users/alicea/a.txt' })).toBe('deny');
    expect(says(own, { user: 'alice/x', on: 'users/alice/x/a.txt' })).toBe('deny');
    expect(says(own, { user: '*', on: 'users/*/a.txt' })).toBe('deny');
    const ids = policy([{ tool: '*', resource: 'own:*', do: 'allow' }]);
    expect(says(ids, { user: 'a:b', on: 'a:b:1' })).toBe('deny');
  });

  it('never allows a user what belongs to another', () => {
    const own = policy([{ tool: '*', resource: 'own:*', do: 'allow' }]);
    const name = fc.string({ minLength: 1, maxLength: 8 }).filter((one) => !one.includes(':'));
    fc.assert(
      fc.property(name, name, fc.string(), (user, other, rest) => {
        fc.pre(user !== other);
        expect(says(own, { user, on: `${other}:${rest}` })).toBe('deny');
      }),
    );
  });

  it('answers as the plain reading of its rules does, however often it is asked', () => {
    const word = fc.constantFrom('a', 'ab', 'b', 'abc');
    const pattern = fc.oneof(
      word,
      fc.constant('*'),
      word.map((one) => `${one}*`),
    );
    const rule = fc.record({
      role: fc.constantFrom('*', 'user', 'admin'),
      agent: pattern,
      tool: pattern,
      resource: pattern,
      do: fc.constantFrom('allow' as const, 'ask' as const, 'deny' as const),
    });
    const fits = (by: string, text: string) => (by.endsWith('*') ? text.startsWith(by.slice(0, -1)) : by === text);
    fc.assert(
      fc.property(fc.array(rule), fc.array(fc.tuple(word, word, word, word)), (rules, calls) => {
        const made = policy(rules, { roles: { admin: ['ab'] } });
        for (const [user, agent, tool, on] of [...calls, ...calls]) {
          const role = user === 'ab' ? 'admin' : 'user';
          const first = rules.find(
            (one) =>
              (one.role === '*' || one.role === role) &&
              fits(one.agent, agent) &&
              fits(one.tool, tool) &&
              fits(one.resource, on),
          );
          expect(says(made, { user, agents: [agent], tool, on })).toBe(first?.do ?? 'deny');
        }
      }),
    );
  });
});

describe('levels of autonomy (SEC-4)', () => {
  const at = (level: 'observe' | 'read_only' | 'supervised' | 'autonomous') =>
    compiled(
      { permissions: [{ tool: '*', do: 'allow' }], autonomy: [{ id: 'one', agent: 'a', level }] },
      { 'autonomy.0': 9 },
    );
  const write = { effect: 'write' };

  it.each([
    ['observe', 'deny', 'deny', 'deny'],
    ['read_only', 'allow', 'deny', 'deny'],
    ['supervised', 'allow', 'ask', 'ask'],
    ['autonomous', 'allow', 'allow', 'allow'],
  ] as const)('%s: reads %s, writes %s, destroys %s', (level, reads, writes, destroys) => {
    expect(says(at(level), {})).toBe(reads);
    expect(says(at(level), { definition: write })).toBe(writes);
    expect(says(at(level), { definition: { effect: 'destructive' } })).toBe(destroys);
  });

  it('a new agent begins read_only', () => {
    const { refused } = judged(at('autonomous'), { agents: ['new'], tool: 'write_file', on: 'x', definition: write });
    expect(refused).toMatchObject({
      code: 'autonomy_level',
      message: expect.stringMatching(
        /^write_file on x is not allowed: agent new only reads \(rule default of policy 3\)\. .* promote new supervised /,
      ),
    });
    expect(says(at('autonomous'), { agents: ['new'] })).toBe('allow');
  });

  it('a run that was delegated is trusted no more than those above it', () => {
    const { refused } = judged(at('observe'), { agents: ['b', 'a'] });
    expect(refused?.message).toBe(
      't is not allowed: agent a above it only observes, and calls no tools (rule one in line 9 of policy 3). An operator promotes it with: proctor policy promote a read_only --why TEXT, and --running for runs at work (in the policy: autonomy: [{ agent: a, level: read_only }])',
    );
  });

  it('supervision is an approval with its reason', () => {
    expect(judged(at('supervised'), { definition: write }).asked).toEqual([
      {
        rule: 'autonomy',
        text: 'agent a is supervised: what it changes needs an approval (rule one in line 9 of policy 3)',
      },
    ]);
  });
});

describe('content from outside (SEC-5)', () => {
  const open = { ...trusted, permissions: [{ tool: '*', do: 'allow' as const }] };
  const taint = { tool: 'http_fetch', c: '3-0' };
  const write = { effect: 'write' };
  const sends = { egress: true };

  it('after it was read, writes and egress ask; reading does not', () => {
    const policy = compiled(open, { 'taint.writes': 12 });
    expect(says(policy, { taint, definition: write })).toBe('ask');
    expect(says(policy, { taint, definition: sends })).toBe('ask');
    expect(says(policy, { taint })).toBe('allow');
    expect(says(policy, { definition: write })).toBe('allow');
    expect(judged(policy, { taint, definition: write }).asked).toEqual([
      {
        rule: 'taint',
        text: 'a result of http_fetch (call 3-0), which comes from outside, was read before (rule taint.writes in line 12 of policy 3)',
      },
    ]);
  });

  it('and under the built-in policy as well', () => {
    expect(says(compilePolicy(BUILT_IN), { taint, definition: { ...sends, effect: 'read' } })).toBe('ask');
  });

  it('the policy can say otherwise', () => {
    const policy = compiled({ ...open, taint: { writes: 'allow', egress: 'deny', egress_tools: ['mail_*'] } });
    expect(says(policy, { taint, definition: write })).toBe('allow');
    expect(says(policy, { taint, definition: sends })).toBe('deny');
    expect(judged(policy, { taint, tool: 'mail_all' }).refused?.code).toBe('tainted');
    expect(says(policy, { tool: 'mail_all' })).toBe('allow');
  });

  it('what comes from outside the tool says, or the policy', () => {
    const untrusted = (policy: ReturnType<typeof compiled>, tool: string, on?: string, definition = {}) =>
      judged(policy, { tool, on, definition }).untrusted;
    expect(untrusted(compiled(open), 'fetch', 'x', { untrusted: true })).toBe(true);
    expect(untrusted(compiled(open), 'read')).toBe(false);
    const sources = [
      { tool: 'read_file', resource: 'inbox/*' },
      { tool: 'fetch', resource: 'https://intra.example/*', trusted: true },
    ];
    const policy = compiled({ ...open, taint: { sources } });
    expect(untrusted(policy, 'read_file', 'inbox/mail.txt')).toBe(true);
    expect(untrusted(policy, 'read_file', 'docs/a.txt')).toBe(false);
    expect(untrusted(policy, 'fetch', 'https://intra.example/x', { untrusted: true })).toBe(false);
    expect(untrusted(policy, 'fetch', 'https://other.example/x', { untrusted: true })).toBe(true);
  });
});

describe('the tools that a model is shown', () => {
  const offered = (policy: ReturnType<typeof compiled>, name: string, effect = 'read', user = 'alice') =>
    isOffered({
      policy,
      user,
      agents: ['a'],
      definition: ToolDefinition.parse({ name, description: '', parameters: {}, effect }),
    });

  it('are those of which some call may pass', () => {
    const some = policy(
      [
        { tool: 'gone', do: 'deny' },
        { tool: 'part', resource: 'x/*', do: 'deny' },
        { role: 'admin', tool: 'rare', do: 'ask' },
        { tool: 'rare', do: 'deny' },
        { tool: '*', do: 'allow' },
      ],
      { roles: { admin: ['root'] } },
    );
    expect(['gone', 'part', 'rare', 'other'].map((name) => offered(some, name))).toEqual([false, true, false, true]);
    expect(offered(some, 'rare', 'read', 'root')).toBe(true);
    expect(offered(policy([]), 'any')).toBe(false);
  });

  it('are none for an agent that observes, and those that read for one that reads (SEC-4)', () => {
    const at = (level: 'observe' | 'read_only') =>
      compiled({ permissions: [{ tool: '*', do: 'allow' }], autonomy: [{ agent: '*', level }] });
    expect([offered(at('observe'), 't'), offered(at('observe'), 't', 'write')]).toEqual([false, false]);
    expect([offered(at('read_only'), 't'), offered(at('read_only'), 't', 'write')]).toEqual([true, false]);
  });
});

describe('the policy that is built in', () => {
  it('lets agents read what they list, and leaves nothing in the journal for it', () => {
    const { refused, asked, words } = judged(compilePolicy(BUILT_IN), { definition: { effect: 'read' } });
    expect({ refused, asked, words }).toEqual({ refused: null, asked: [], words: null });
  });

  it.each([
    ['writes', { effect: 'write' }],
    ['destroys', { effect: 'destructive' }],
    ['does not say what it does', { effect: undefined }],
  ])('refuses a tool that %s, and says what promotes the agent', (_what, definition) => {
    const { refused } = judged(compilePolicy(BUILT_IN), { tool: 'pay', agents: ['desk'], definition });
    expect(refused).toEqual({
      code: 'autonomy_level',
      message:
        'pay is not allowed: agent desk only reads (rule built-in-level in line 6 of the built-in policy). An operator promotes it with: proctor policy promote desk supervised --why TEXT, and --running for runs at work (in the policy: autonomy: [{ agent: desk, level: supervised }]; autonomous instead of supervised needs no approvals)',
      retryable: false,
    });
  });
});
