import fc from 'fast-check';

/**
 * Hostile task messages: subject and body, as bytes. Some are fine, most are wrong somewhere, some are wrong on purpose
 * in ways that hurt parsers.
 */
export interface HostileTask {
  subject: string;
  body: Uint8Array;
}

/** Largest body that the server takes beside the subject and the reply, bytes. */
const MAX_BODY = 1024 * 1024 - 1024;

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const json = (value: unknown): Uint8Array => bytes(JSON.stringify(value));

const nasty = fc.constantFrom(
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  '$ref',
  '',
  ' ',
  '.',
  '*',
  '>',
  'a.b',
  '\u0000',
  '\u202e',
  '\ud800',
  'e\u0301',
  '\ufeff',
  '=2E',
  '👩‍👩‍👧',
  'x'.repeat(65),
);
const text = fc.oneof(fc.string({ maxLength: 40 }), fc.string({ unit: 'binary', maxLength: 20 }), nasty);
const anyJson = fc.oneof(fc.jsonValue({ maxDepth: 4 }), text, fc.constantFrom(null, true, -1, 0.5, 1e308, [], {}));

const stepId = fc.constantFrom('a', 'b', 'c', 'd');
const reference = fc.record({
  $ref: fc.oneof(stepId, text),
  query: fc.constantFrom('@', '*', 'a.b', '[0]', '[', 'to_array(@)'),
});
const step = fc.record(
  {
    id: fc.oneof({ weight: 5, arbitrary: stepId }, { weight: 1, arbitrary: text }),
    tool: fc.oneof({ weight: 5, arbitrary: fc.constantFrom('echo', 'nothing_here') }, { weight: 1, arbitrary: text }),
    args: fc.oneof(fc.constant({ x: 1 }), fc.record({ r: reference }), fc.dictionary(text, anyJson, { maxKeys: 3 })),
    after: fc.array(fc.oneof(stepId, text), { maxLength: 3 }),
  },
  { requiredKeys: ['id', 'tool'] },
);
const chainOf = (length: number) => ({
  steps: Array.from({ length }, (_, i) => ({
    id: `s${i}`,
    tool: 'echo',
    args: { i },
    after: i === 0 ? [] : [`s${i - 1}`],
  })),
});
const flatOf = (length: number) => ({
  steps: Array.from({ length }, (_, i) => ({ id: `s${i}`, tool: 'echo', args: { i } })),
});
const plan = fc.oneof(
  { weight: 6, arbitrary: fc.record({ steps: fc.array(step, { maxLength: 5 }) }) },
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 4 }).map(chainOf) },
  { weight: 1, arbitrary: fc.constantFrom(flatOf(200), flatOf(201), chainOf(60)) },
  {
    weight: 1,
    arbitrary: fc.constant({
      steps: [
        { id: 'a', tool: 'echo', after: ['b'] },
        { id: 'b', tool: 'echo', after: ['a'] },
      ],
    }),
  },
);

const number = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.constantFrom(0, -0, -1, 1, 0.1, 300, 301, 1e9, Number.MAX_SAFE_INTEGER, 2 ** 53, 1e308, 5e-324),
);
const limits = fc.dictionary(
  fc.constantFrom(
    'steps',
    'wall_ms',
    'step_ms',
    'tokens',
    'cost_usd',
    'tool_calls',
    'failing_steps',
    'nonsense',
    '__proto__',
  ),
  number,
  { maxKeys: 3 },
);
const date = fc.constantFrom(
  '9999-12-31T23:59:59Z',
  '+275760-09-13T00:00:00.000Z',
  '0000-01-01T00:00:00Z',
  '1970-01-01T00:00:00+14:00',
  '2026-02-30T12:00:00Z',
  'tomorrow',
  '2100-01-01T00:00:00Z',
  '2020-06-01T00:00:00.123456789Z',
);

const fields = {
  v: fc.constantFrom(1, 1, 1, 2, '1', null),
  input: anyJson,
  context: fc.dictionary(text, anyJson, { maxKeys: 4 }),
  session_id: text,
  created_at: date,
  plan,
  priority: fc.constantFrom('high', 'normal', 'low', 'urgent', 1),
  not_before: date,
  limits,
  key: fc.oneof({ weight: 4, arbitrary: fc.constantFrom('k1', 'k2', 'k3') }, { weight: 1, arbitrary: text }),
  user: fc.constantFrom('u1', 'u1', 'someone else', ''),
};
/** Fields that are right by themselves, in any combination. */
const composed = fc.record(fields, { requiredKeys: [] });
/** A good task. */
const good = fc.record({ input: anyJson, plan: fc.integer({ min: 1, max: 3 }).map(chainOf) });
/** A good task with one field of the wrong kind. */
const spoiled = fc
  .tuple(good, fc.constantFrom(...Object.keys(fields), 'extra', '__proto__'), anyJson)
  .map(
    ([task, name, value]) => `${JSON.stringify(task).slice(0, -1)},${JSON.stringify(name)}:${JSON.stringify(value)}}`,
  );

const deep = fc
  .tuple(fc.constantFrom(60, 64, 65, 70, 1_000, 50_000, 150_000), fc.boolean())
  .map(([depth, objects]) =>
    objects
      ? `{"input":${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}}`
      : `{"input":${'['.repeat(depth)}${']'.repeat(depth)}}`,
  );
const odd = fc.constantFrom(
  '',
  ' ',
  'null',
  '[]',
  '1',
  '"task"',
  '{',
  '{"input":1}{"input":2}',
  '{"input":1e999}',
  '{"input":{"n":-1e999},"plan":{"steps":[{"id":"a","tool":"echo","args":{"n":1e999}}]}}',
  '{"input":123456789012345678901234567890}',
  '{"input":1,"input":2}',
  '{"__proto__":{"input":1}}',
  '{"input":{"__proto__":{"polluted":true}},"plan":{"steps":[{"id":"a","tool":"echo","args":{"__proto__":{"polluted":true},"constructor":1}}]}}',
  '{"input":"\\ud800","key":"\\udfff","session_id":"\\ud800"}',
  '\ufeff{"input":1}',
  '{"input":1,"plan":{"steps":[{"id":"__proto__","tool":"echo"}]}}',
  '{"input":1,"plan":{"steps":[{"id":"constructor","tool":"echo"},{"id":"b","tool":"echo","args":{"x":{"$ref":"constructor"}}}]}}',
  '{"input":1,"plan":{"steps":[{"id":"a","tool":"echo","args":{"x":[1,2,3]}},{"id":"b","tool":"echo","args":{"x":{"$ref":"a","query":"[x,x,x,x][].[@,@,@,@][].[@,@,@,@][].[@,@,@,@][].[@,@,@,@][].[@,@,@,@][]"}}}]}}',
);
const broken = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.tuple(good, fc.nat({ max: 400 })).map(([task, at]) => {
    const body = json(task);
    body[at % body.length] = 0xff;
    return body;
  }),
  fc.tuple(good, fc.nat({ max: 400 })).map(([task, at]) => json(task).slice(0, at)),
);
const big = fc.constantFrom(100_000, 250_000, 262_100, 262_200, 500_000, 720_000, 1_000_000, MAX_BODY).map((size) => {
  const body = new Uint8Array(size).fill(0x78);
  body.set(bytes('{"input":"'));
  body.set(bytes('"}'), size - 2);
  return body;
});

const body = fc.oneof(
  { weight: 20, arbitrary: good.map(json) },
  { weight: 25, arbitrary: composed.map(json) },
  { weight: 25, arbitrary: spoiled.map(bytes) },
  { weight: 10, arbitrary: odd.map(bytes) },
  { weight: 10, arbitrary: broken },
  { weight: 4, arbitrary: deep.map(bytes) },
  { weight: 2, arbitrary: big },
);

const token = fc.constantFrom(
  'plan',
  'parrot',
  'u1',
  'u2',
  '=41',
  'a=2Eb',
  '=',
  '=ff',
  'é',
  '👾',
  '%00',
  '__proto__',
  'constructor',
  'x'.repeat(300),
);
const subject = fc.oneof(
  { weight: 14, arbitrary: fc.constantFrom('plan.u1', 'plan.u2', 'parrot.u1', 'plan', 'parrot.a=40b') },
  { weight: 1, arbitrary: fc.array(token, { minLength: 1, maxLength: 6 }).map((tokens) => tokens.join('.')) },
);

/** @param seed the same seed makes the same tasks */
export function hostileTasks(count: number, seed: number): HostileTask[] {
  const task = fc.record({ subject: subject.map((rest) => `drill.tasks.${rest}`), body });
  return fc.sample(task, { numRuns: count, seed });
}
