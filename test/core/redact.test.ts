import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { REDACTED, redact, redactText } from '../../src/core/redact.ts';

/** Strings put together here, so that no scanner of repositories takes them for real keys. */
const joined = (...parts: string[]) => parts.join('');
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const text = (alphabet: string, length: number) =>
  fc.array(fc.constantFrom(...alphabet), { minLength: length, maxLength: length }).map((all) => all.join(''));

const KEYS: Record<string, fc.Arbitrary<string>> = {
  'provider key': text(LETTERS, 40).map((rest) => joined('sk', '-proj-', rest)),
  'AWS key id': text('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', 16).map((rest) => joined('AK', 'IA', rest)),
  'GitHub token': text(LETTERS, 36).map((rest) => joined('gh', 'p_', rest)),
  'nkey seed': text('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', 56).map((rest) => joined('S', 'U', rest)),
  JWT: fc
    .tuple(text(LETTERS, 20), text(`${LETTERS}-_`, 60), text(`${LETTERS}-_`, 43))
    .map(([head, body, signature]) => joined('ey', 'J', `${head}.${body}.${signature}`)),
};

describe('redaction of texts', () => {
  it.each(Object.entries(KEYS))('leaves nothing of a %s, wherever it stands', (_, keys) => {
    const around = fc.string({ maxLength: 30 }).map((some) => some.replace(/[A-Za-z0-9_.~+-]/g, ' '));
    fc.assert(
      fc.property(keys, around, around, (key, before, after) => {
        const out = redactText(`${before}${key}${after}`);
        expect(out).toContain(REDACTED);
        expect(out).not.toContain(key.slice(-12));
      }),
    );
  });

  it.each([
    ['nats://alice:s3cr3t@10.0.0.1:4222', `nats://${REDACTED}@10.0.0.1:4222`],
    ['https://t0k3n@example.com/a?b=c', `https://${REDACTED}@example.com/a?b=c`],
    ['Authorization: Bearer abcdef.123456', `Authorization: ${REDACTED}`],
    ['curl -H "authorization: Basic dXNlcjpwYXNz" x', `curl -H "authorization: ${REDACTED}" x`],
    ['sent as Bearer abcdef.123456 today', `sent as Bearer ${REDACTED} today`],
    ['GET /v1?api_key=abc&limit=5', `GET /v1?api_key=${REDACTED}&limit=5`],
    ['{"password":"hun\\"ter2","a":1}', `{"password":"${REDACTED}","a":1}`],
    ['"{\\"secret\\":\\"hunter2\\",\\"a\\":1}"', `"{\\"secret\\":\\"${REDACTED}\\",\\"a\\":1}"`],
    ['a preview that was cut: {"token":"abcdef', `a preview that was cut: {"token":"${REDACTED}`],
    ['password: hunter2 and more', `password: ${REDACTED} and more`],
    [`a ${joined('-----BEGIN ', 'RSA PRIVATE KEY-----')}\nMIIE\n-----END RSA PRIVATE KEY-----\nb`, `a ${REDACTED}\nb`],
  ])('turns %s into what may be shown', (given, shown) => {
    expect(redactText(given)).toBe(shown);
  });

  it.each([
    'tokens_in=512 tokens_out: 7',
    'the risk-management-department-of-the-company',
    'https://example.com/a@b',
    '20260101-abc123-1f',
    'a task-oriented-multi-step-approach to it',
    'version 1.2.3-beta.4+build.5678',
    'basic arithmetic',
  ])('leaves "%s" as it is', (given) => {
    expect(redactText(given)).toBe(given);
  });

  it('looks at a text that says it again as it did the first time', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('token', '=', '"', ' ', 'x1', '://', '@', '\\', 'sk-', '.') }),
        (some) => {
          const once = redactText(some);
          expect(redactText(once)).toBe(once);
        },
      ),
    );
  });

  it.each([
    ['scheme letters', 'a.'],
    ['schemes', 'a://'],
    ['logins', 'a://b:c'],
    ['key beginnings', 'sk-'],
    ['token beginnings', 'eyJ-'],
    ['seeds', 'SU'],
    ['bearers', 'Bearer  '],
    ['names', 'token="'],
    ['escaped quotes', '\\"'],
    ['open quotes after names', 'token="\\"'],
    ['private keys', joined('-----BEGIN ', 'PRIVATE KEY-----')],
    ['certificates', '-----BEGIN X-----'],
    ['spaces', ' '],
  ])('gets through megabytes of hostile %s', (_, piece) => {
    // A pattern that is quadratic in them would not end within the time that a test has.
    const hostile = piece.repeat(Math.ceil(3_000_000 / piece.length));
    expect(redactText(hostile).length).toBeGreaterThan(0);
  });
});

describe('redaction of values', () => {
  it('hides what stands under a secret name at any depth, and nothing under a longer one', () => {
    const value = {
      tokens_in: 5,
      max_tokens: 9,
      list: [{ Password: 'a', deeper: { apiKey: { any: 'thing' }, 'api-key': 1, secret: null } }],
      Authorization: 'x',
      note: 'plain',
    };
    expect(redact(value)).toEqual({
      tokens_in: 5,
      max_tokens: 9,
      list: [{ Password: REDACTED, deeper: { apiKey: REDACTED, 'api-key': REDACTED, secret: REDACTED } }],
      Authorization: REDACTED,
      note: 'plain',
    });
  });

  it('lets no seeded secret through, whatever it is wrapped in', () => {
    const key = fc.oneof(...Object.values(KEYS));
    const names = fc.constantFrom('password', 'token', 'secret', 'api_key', 'authorization');
    const { value } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        key.map((one) => ({ note: `the key is ${one}, keep it` })),
        fc.tuple(names, key).map(([name, one]) => ({ [name]: { inner: [one] } })),
        key.map((one) => ({ [one]: 1 })),
        key.map((one) => ({ preview: JSON.stringify({ nested: JSON.stringify({ password: one }) }) })),
        key.map((one) => new Error(`refused: ${one}`)),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(fc.string(), tie('value'), { maxKeys: 3 }),
      ),
    }));
    fc.assert(
      fc.property(value, (some) => {
        const shown = JSON.stringify(redact(some)) ?? '';
        expect(shown).not.toMatch(/sk-proj-|AKIA|ghp_|eyJ|S[UACNOX][A-Z2-7]{20}/);
      }),
    );
  });

  it('shows nothing below 32 levels, so that a value that holds itself ends', () => {
    const loop: Record<string, unknown> = {};
    loop.self = loop;
    expect(JSON.stringify(redact(loop))).toContain(REDACTED);
  });
});
