import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { jsonSchemaValidator } from '../../../src/adapters/json-schema/validator.ts';
import { canonicalText } from '../../../src/core/canonical.ts';
import type { Json } from '../../../src/core/json.ts';

type Schema = Record<string, Json>;

const validator = jsonSchemaValidator({ timeLimitMs: 300 });
const ORDER: Schema = {
  type: 'object',
  required: ['items', 'to'],
  additionalProperties: false,
  properties: {
    to: { type: 'string', format: 'email' },
    speed: { enum: ['slow', 'fast'] },
    items: {
      type: 'array',
      items: { type: 'object', required: ['n'], properties: { n: { type: 'integer', minimum: 1 } } },
    },
  },
};
const nest = (levels: number): Json => (levels === 0 ? 1 : [nest(levels - 1)]);

describe('the JSON Schema validator', () => {
  it('says nothing about a valid value', () => {
    expect(validator.faults(ORDER, { to: 'a@example.com', items: [{ n: 1 }], speed: 'fast' })).toBeNull();
  });

  it.each<[string, Json, string, RegExp]>([
    ['a missing field', { to: 'a@example.com' }, 'items', /items: is required/],
    ['a field that is not known', { to: 'a@example.com', items: [], cc: 1 }, 'cc', /cc: is not known/],
    [
      'a fault deep inside',
      { to: 'a@example.com', items: [{ n: 1 }, { n: 0 }] },
      'items.1.n',
      /items.1.n: must be >= 1/,
    ],
    ['a missing field deep inside', { to: 'a@example.com', items: [{}] }, 'items.0.n', /is required/],
    ['a wrong format', { to: 'nobody', items: [] }, 'to', /email/],
    ['a value outside a list', { to: 'a@example.com', items: [], speed: 'warp' }, 'speed', /"slow","fast"/],
  ])('gives the path of %s', (_, value, field, message) => {
    const fault = validator.faults(ORDER, value);
    expect(fault).toMatchObject({ code: 'invalid_arguments', retryable: false, field });
    expect(fault?.message).toMatch(message);
  });

  it('reports all faults at once, up to twenty', () => {
    const many = validator.faults(ORDER, { to: 1, items: [{ n: 'x' }, {}] });
    expect(many?.message).toMatch(/to: must be string.*items.0.n: must be integer.*items.1.n: is required/);
    const flood = validator.faults({ items: { type: 'string' } }, Array(1000).fill(0));
    expect(flood?.message).toContain('and 980 more');
  });

  it('reads the schemas that zod writes, and other drafts', () => {
    const zod: Schema = JSON.parse(
      JSON.stringify(z.toJSONSchema(z.strictObject({ a: z.tuple([z.int(), z.string()]) }))),
    );
    expect(validator.faults(zod, { a: [1, 'x'] })).toBeNull();
    expect(validator.faults(zod, { a: ['x', 1] })).toMatchObject({ field: 'a.0' });
    const draft07: Schema = { $schema: 'http://json-schema.org/draft-07/schema#', items: [{ type: 'string' }] };
    expect(validator.faults(draft07, [1])).toMatchObject({ field: '0' });
    const draft2019: Schema = { $schema: 'https://json-schema.org/draft/2019-09/schema', type: 'string' };
    expect(validator.faults(draft2019, 1)).toMatchObject({ code: 'invalid_arguments' });
  });

  it('follows references inside the schema', () => {
    const tree: Schema = {
      $ref: '#/$defs/t',
      $defs: { t: { type: 'object', properties: { t: { $ref: '#/$defs/t' } } } },
    };
    expect(validator.faults(tree, { t: { t: {} } })).toBeNull();
    expect(validator.faults(tree, { t: { t: 1 } })).toMatchObject({ field: 't.t' });
  });

  it('does not let one schema reach another by its id, nor clash with it', () => {
    const id = 'https://example.com/shared';
    expect(validator.faults({ $id: id, type: 'string' }, 'x')).toBeNull();
    expect(validator.faults({ $id: id, type: 'number' }, 'x')).toMatchObject({ code: 'invalid_arguments' });
    expect(validator.faults({ $ref: id }, 'x')).toMatchObject({ code: 'bad_schema' });
    expect(validator.faults({ $id: 'https://json-schema.org/draft/2020-12/schema', type: 'number' }, 1)).toBeNull();
    expect(validator.faults({ type: 'object' }, 1)).toMatchObject({ code: 'invalid_arguments' });
  });

  it.each<[string, Schema, RegExp]>([
    ['is none', { type: 'elephant' }, /type/],
    ['refers to another place', { $ref: 'https://example.com/x.json' }, /example.com/],
    ['has a dialect that is not supported', { $schema: 'http://json-schema.org/draft-04/schema#' }, /2020-12/],
    ['is asynchronous', { $async: true, type: 'object' }, /asynchronous/],
    ['is huge', { enum: Array(20_000).fill('xxxx') }, /bytes/],
    ['is nested too deep', { const: nest(100) }, /deep/],
    ['has a pattern that is none', { type: 'string', pattern: '(' }, /pattern|regular/i],
    ['has a huge pattern', { type: 'string', pattern: 'a'.repeat(1000) }, /1000 characters/],
  ])('refuses a schema that %s', (_, schema, reason) => {
    const fault = validator.faults(schema, 'x');
    expect(fault).toMatchObject({ code: 'bad_schema', retryable: false });
    expect(fault?.message).toMatch(reason);
    // The second time the answer comes from the cache.
    expect(validator.faults(schema, 'x')).toEqual(fault);
  });

  it('ends a pattern that would never come back', () => {
    const fault = validator.faults({ type: 'string', pattern: '^(a+)+$' }, `${'a'.repeat(60)}b`);
    expect(fault).toMatchObject({ code: 'bad_schema' });
    expect(fault?.message).toContain('timed out');
    // It does not hold up the event loop again: what would pass is refused as well, for a while.
    expect(validator.faults({ type: 'string', pattern: '^(a+)+$' }, 'a')).toEqual(fault);
  });

  it('ends a schema that refers to itself exponentially', () => {
    const $defs: Record<string, Json> = { l40: { type: 'object' } };
    for (let i = 0; i < 40; i++) {
      const next: Json = { $ref: `#/$defs/l${i + 1}` };
      $defs[`l${i}`] = { allOf: [next, next] };
    }
    expect(validator.faults({ $ref: '#/$defs/l0', $defs }, {})?.message).toContain('timed out');
  });

  it('refuses values that are too large or too deep before it looks at them', () => {
    const small = jsonSchemaValidator({ maxValueBytes: 100 });
    expect(small.faults({}, 'x'.repeat(98))).toBeNull();
    expect(small.faults({}, 'x'.repeat(99))).toMatchObject({ code: 'invalid_arguments' });
    expect(small.faults({}, nest(1000))).toMatchObject({ code: 'invalid_arguments' });
  });

  it('goes on working when it has seen more schemas than it keeps', () => {
    const tiny = jsonSchemaValidator({ cacheSize: 2 });
    for (let i = 0; i < 10; i++) {
      expect(tiny.faults({ const: i % 4 }, i % 4)).toBeNull();
      expect(tiny.faults({ const: i % 4 }, -1)).toMatchObject({ code: 'invalid_arguments' });
    }
  });
});

describe('the canonical text of a schema', () => {
  it('is the same whatever the order of the keys, and keeps the order of lists', () => {
    expect(canonicalText({ b: 1, a: { d: [2, 1], c: null } })).toBe('{"a":{"c":null,"d":[2,1]},"b":1}');
    expect(canonicalText({ a: { c: null, d: [2, 1] }, b: 1 })).toBe('{"a":{"c":null,"d":[2,1]},"b":1}');
  });
});
