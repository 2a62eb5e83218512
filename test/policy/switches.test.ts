import { describe, expect, it } from 'vitest';
import { agentScope, scopeOfTokens, scopesOfRun, tokensOfScope } from '../../src/core/switch-scope.ts';
import { readSwitchOrder, type SwitchEntry } from '../../src/core/switch-wire.ts';
import { type Standing, SwitchTable, switchEvent } from '../../src/policy/switches.ts';

const RUN = { run: '20260101-a-1', agent: 'mail', version: '2', user: 'a@b.c', above: ['20260101-top-1'] };
const SCOPES = scopesOfRun(RUN);

function table(...orders: [scope: string, mode: SwitchEntry['mode']][]): SwitchTable {
  const made = new SwitchTable();
  for (const [i, [scope, mode]] of orders.entries()) {
    made.apply({ scope, mode, by: 'olga', why: 'w', at: 1_000 * (i + 1), revision: i + 1 });
  }
  return made;
}

describe('a scope', () => {
  it.each([
    'global',
    'agent:mail',
    'agent:mail@2',
    'user:a@b.c',
    'run:20260101-a-1',
    'tool:send',
    'model:openai/gpt-5',
  ])('%s has one subject, and back', (scope) => expect(scopeOfTokens(tokensOfScope(scope) ?? [])).toBe(scope));

  it('of an agent whose name holds an @ is not one of a version', () => {
    expect(tokensOfScope(agentScope('a@1'))).toEqual(['agent', 'a=401']);
    expect(scopeOfTokens(['agent', 'a=401'])).toBe('agent:a%401');
    expect(tokensOfScope('agent:a@1')).toEqual(['agent', 'a', '1']);
  });

  it.each([
    '',
    'globl',
    'agent:',
    'agent',
    'agent:a@b@c',
    'agent:a@',
    'run:nonsense',
    'tool:a b',
    'queue:x',
    'user:\n',
  ])('%j is none', (text) => expect(tokensOfScope(text)).toBeNull());

  it.each([
    ['global', 'x'],
    ['agent'],
    ['agent', 'a', 'b', 'c'],
    ['agent', '=zz'],
    ['run', 'x'],
    ['user', 'a', 'b'],
    [],
  ])('is not read from %j', (...tokens) => expect(scopeOfTokens(tokens)).toBeNull());
});

describe('an order', () => {
  it.each([
    ['kill', 'kill'],
    [' drain\n', 'drain'],
    ['{"mode":"pause","by":7}', 'pause'],
    ['{"mode":"revive","by":"olga","why":"fixed"}', 'revive'],
    ['{"mode":"KILL"}', 'kill'],
    ['revive', 'kill'],
    ['', 'kill'],
    ['\u0000{', 'kill'],
  ])('%j means %s', (text, mode) => expect(readSwitchOrder(text).mode).toBe(mode));
});

describe('the switches over a run', () => {
  it.each(['global', 'agent:mail', 'agent:mail@2', 'user:a@b.c', 'run:20260101-a-1', 'run:20260101-top-1'])(
    'hold it in the scope %s',
    (scope) => expect(table([scope, 'pause']).over(SCOPES, 0)).toMatchObject({ scope, mode: 'pause' }),
  );

  it.each(['agent:other', 'agent:mail@1', 'user:b', 'run:20260101-a-2', 'tool:mail', 'model:mail'])(
    'leave it alone in the scope %s',
    (scope) => expect(table([scope, 'kill']).over(SCOPES, 0)).toBeNull(),
  );

  it('are the strongest of all', () => {
    const some = table(['global', 'drain'], ['user:a@b.c', 'pause'], ['agent:mail', 'drain']);
    expect(some.over(SCOPES, 0)).toMatchObject({ scope: 'user:a@b.c' });
    some.apply({ scope: 'run:20260101-top-1', mode: 'kill', by: 'o', why: '', at: 9_000, revision: 9 });
    expect(some.over(SCOPES, 0)).toMatchObject({ scope: 'run:20260101-top-1', mode: 'kill' });
  });

  it('once revived hold nothing but what was there when it was killed', () => {
    const revived = table(
      ['agent:mail', 'kill'],
      ['agent:mail', 'revive'],
      ['agent:mail', 'pause'],
      ['agent:mail', 'revive'],
    );
    expect(revived.over(SCOPES, 1_000)).toMatchObject({ mode: 'kill', at: 1_000, revision: 1 });
    expect(revived.over(SCOPES, 1_001)).toBeNull();
    expect(revived.inForce()).toEqual([]);
    expect(table(['tool:x', 'kill'], ['tool:x', 'revive']).over(['tool:x'])).toBeNull();
  });
});

describe('what a run does about the switch over it', () => {
  const S = 'agent:mail';
  const cases: [SwitchEntry['mode'] | null, Standing, string | null][] = [
    [null, { hold: 'none', pausedBy: null }, null],
    [null, { hold: 'paused', pausedBy: S }, 'resume'],
    [null, { hold: 'draining', pausedBy: S }, 'resume'],
    [null, { hold: 'paused', pausedBy: null }, null],
    ['pause', { hold: 'none', pausedBy: null }, 'pause'],
    ['pause', { hold: 'draining', pausedBy: S }, 'pause'],
    ['pause', { hold: 'pausing', pausedBy: S }, null],
    ['pause', { hold: 'paused', pausedBy: null }, null],
    ['drain', { hold: 'none', pausedBy: null }, 'drain'],
    ['drain', { hold: 'draining', pausedBy: null }, null],
    ['drain', { hold: 'paused', pausedBy: S }, null],
    ['kill', { hold: 'paused', pausedBy: S }, 'kill'],
    ['kill', { hold: 'none', pausedBy: null }, 'kill'],
  ];
  it.each(cases)('%s over one that is %j: %s', (mode, standing, expected) => {
    const orders = mode === null ? table([S, 'pause'], [S, 'revive']) : table([S, mode]);
    const event = switchEvent(orders.over(SCOPES, 5_000), standing, (scope) => orders.get(scope));
    expect(event?.type ?? null).toBe(expected);
    if (event !== null) expect(event).toMatchObject({ by: 'olga', why: 'w', scope: S });
  });
});
