import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  callId,
  isRunId,
  parseCallId,
  periodOf,
  periodOfRun,
  runIdOfChild,
  runIdOfKey,
  runIdOfMessage,
} from '../../src/core/ids.ts';
import { decodeEntry, encodeEntry, type JournalEntry } from '../../src/core/journal-entry.ts';
import { depthOf, exceedsBytes, Json, MAX_DEPTH } from '../../src/core/json.ts';
import { REDACTED, redact } from '../../src/core/redact.ts';
import { LANES, laneOf, Subjects } from '../../src/core/subjects.ts';
import { decodeToken, encodeToken } from '../../src/core/tokens.ts';

const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).filter((text) => text.isWellFormed());

describe('a subject token', () => {
  it('comes back as the name that it was made of, and has no character that shapes a subject', () => {
    fc.assert(
      fc.property(name, (text) => {
        const token = encodeToken(text);
        expect(token).toMatch(/^(?:[A-Za-z0-9_-]|=[0-9A-F]{2})+$/);
        expect(decodeToken(token)).toBe(text);
      }),
    );
  });

  it('is never shared by two names', () => {
    fc.assert(fc.property(name, name, (a, b) => (a === b) === (encodeToken(a) === encodeToken(b))));
  });

  it.each(['', '=', '=4', '=zz', '=41', 'a b', 'a.b', '*', '>', '=C3', 'é', '=ff', '=FF'])('%j is none', (token) => {
    expect(decodeToken(token)).toBe(null);
  });

  it('is refused for an empty name', () => {
    expect(() => encodeToken('')).toThrow(RangeError);
  });
});

describe('a subject', () => {
  const subjects = new Subjects('p');

  it('of a task comes back as its agent and user', () => {
    fc.assert(
      fc.property(name, name, (agent, user) => {
        expect(subjects.parseTask(subjects.task(agent, user))).toEqual({ agent, user });
        expect(subjects.parseTask(subjects.task(agent))).toEqual({ agent, user: 'default' });
        expect(subjects.parseAsk(subjects.ask(user, 'result'))).toEqual({ user, verb: 'result' });
      }),
    );
  });

  it('of the inbox comes back as its address', () => {
    fc.assert(
      fc.property(name, (id) => {
        const address = { run: '20260101-a-1', kind: 'timer', id };
        expect(subjects.parseInbox(subjects.inbox(address))).toEqual(address);
      }),
    );
  });

  it.each(['p.tasks', 'p.tasks.a.b.c', 'q.tasks.a', 'p.task.a', 'p.tasks.a%20b'])('%j is no task', (subject) => {
    expect(subjects.parseTask(subject)).toBe(null);
  });

  it.each(['', 'a.b', 'a b', '*', 'x'.repeat(33)])('cannot begin with the prefix %j', (prefix) => {
    expect(() => new Subjects(prefix)).toThrow(RangeError);
  });

  it('spreads users over all lanes, each always the same', () => {
    const lanes = Array.from({ length: 1_000 }, (_, i) => laneOf(`user${i}`));
    expect(new Set(lanes).size).toBe(LANES);
    expect(laneOf('user7')).toBe(lanes[7]);
  });
});

describe('an id', () => {
  it('of a run holds its period, however the run began', () => {
    const at = Date.UTC(2026, 1, 28, 23, 59, 59, 999);
    for (const run of [
      runIdOfMessage(at, 'abc', 35),
      runIdOfKey(at, 'f'.repeat(32)),
      runIdOfChild(at, '0'.repeat(32)),
    ]) {
      expect(isRunId(run)).toBe(true);
      expect(periodOfRun(run)).toBe('20260228');
    }
    expect(periodOf(at + 1)).toBe('20260301');
  });

  it.each(['', '20260101', '2026-01-01-a', '20260101-a.b', '20260101-*', `20260101-${'x'.repeat(200)}`])(
    '%j is no run',
    (text) => {
      expect(isRunId(text)).toBe(false);
      expect(() => periodOfRun(text)).toThrow(RangeError);
    },
  );

  it('of a call comes back as entry and index', () => {
    fc.assert(
      fc.property(fc.nat(9_999_999), fc.nat(999), (entry, index) => {
        expect(parseCallId(callId(entry, index))).toEqual({ entry, index });
      }),
    );
    expect(() => parseCallId('1')).toThrow(RangeError);
  });
});

describe('a journal entry', () => {
  const entry: JournalEntry = {
    v: 1,
    n: 3,
    epoch: 1,
    writer: 'w',
    at: 5,
    events: [{ type: 'call_done', c: '2-0', result: null, ms: 1 }],
  };

  it('comes back as it was written, whatever its result', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.nat(), fc.nat(), (value, n, at) => {
        const result = JSON.parse(JSON.stringify(value)) as Json;
        const written: JournalEntry = { ...entry, n, at, events: [{ type: 'call_done', c: '2-0', result, ms: 1 }] };
        expect(decodeEntry(encodeEntry(written), 'r')).toEqual(written);
      }),
    );
  });

  it('of a newer version is refused by name, before anything else is looked at', () => {
    expect(() => decodeEntry('{"v":99,"new":true}', 'r')).toThrow(expect.objectContaining({ code: 'journal_newer' }));
  });

  it.each([
    '',
    'null',
    '{}',
    '{"v":1}',
    JSON.stringify({ ...entry, events: [] }),
    JSON.stringify({ ...entry, extra: 1 }),
  ])('that is not one (%s) is corrupt', (text) => {
    expect(() => decodeEntry(text, 'r')).toThrow(expect.objectContaining({ code: 'journal_corrupt' }));
  });
});

describe('JSON from outside', () => {
  it('is taken to a depth, and deeper nesting costs no stack', () => {
    const nested = (depth: number) => JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`) as unknown;
    expect(Json.safeParse(nested(MAX_DEPTH)).success).toBe(true);
    expect(Json.safeParse(nested(MAX_DEPTH + 1)).success).toBe(false);
    let deep: unknown = [];
    for (let i = 0; i < 200_000; i++) deep = [deep];
    expect(depthOf(deep)).toBeGreaterThan(MAX_DEPTH);
    expect(depthOf({ wide: Array.from({ length: 200_000 }, () => []) })).toBe(3);
  });

  it('has no number that would be another one when it is written down', () => {
    expect(Json.safeParse(JSON.parse('{"a":[1e999]}')).success).toBe(false);
    expect(Json.safeParse(JSON.parse('-1e999')).success).toBe(false);
    expect(Json.safeParse(JSON.parse('{"a":[1e308,-0,5e-324]}')).success).toBe(true);
  });

  it('is measured in bytes, not in characters', () => {
    expect(exceedsBytes('€€€', 9)).toBe(false);
    expect(exceedsBytes('€€€', 8)).toBe(true);
    expect(exceedsBytes('abc', 2)).toBe(true);
  });
});

describe('redaction', () => {
  it('hides secret names at any depth and key-shaped strings, and keeps tokens_in', () => {
    const shown = JSON.stringify(
      redact({
        tokens_in: 5,
        list: [{ Authorization: 'x', deep: { api_key: 'y', password: 'z' } }],
        text: 'use sk-abcdefghijklmnop1234 or nats://me:hunter22@host, Bearer abcdefgh.ijkl',
      }),
    );
    for (const secret of ['"x"', '"y"', '"z"', 'sk-abc', 'hunter22', 'ijkl']) expect(shown).not.toContain(secret);
    expect(shown).toContain('"tokens_in":5');
    expect(shown).toContain(REDACTED);
  });
});
