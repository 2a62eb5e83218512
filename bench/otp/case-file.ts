import { z } from 'zod';

/** The form of a conformance case; test/otp/README.md explains it. Unknown keys are refused: a typo would check nothing. */

const Name = z.string().regex(/^\w+$/);
const Script = z.union([z.string(), z.array(z.string()).min(1)]);

const ChildOptions = z.strictObject({
  /** One outcome a start; the last one repeats. */
  starts: Script.optional(),
  /** One behaviour an incarnation; the last one repeats. */
  stops: Script.optional(),
  id: z.string().optional(),
  restart: z.enum(['permanent', 'transient', 'temporary']).optional(),
  significant: z.boolean().optional(),
  shutdown: z.union([z.int(), z.enum(['infinity', 'brutal_kill'])]).optional(),
  startMs: z.union([z.int(), z.literal('infinity')]).optional(),
  backoff: z.record(z.string(), z.number()).optional(),
  input: z.json().optional(),
});
export type ChildOptions = z.infer<typeof ChildOptions>;

const SupervisorOptions = z.strictObject({
  init: z.string().optional(),
  autoShutdown: z.enum(['never', 'any_significant', 'all_significant']).optional(),
  maxChildren: z.union([z.int(), z.literal('infinity')]).optional(),
  extraInput: z.record(z.string(), z.json()).optional(),
  partitions: z.int().optional(),
  reviveStopped: z.boolean().optional(),
  otpExact: z.boolean().optional(),
  intensity: z.int().optional(),
  periodMs: z.int().optional(),
});
export type SupervisorOptions = z.infer<typeof SupervisorOptions>;

/** A list, or one text with the entries separated by spaces. */
const Entries = z.union([
  z.array(z.union([z.string(), z.array(z.string())])),
  z.string().transform((text) => text.match(/@\d+ \S+|(?:[^\s(]|\((?:[^()]|\([^()]*\))*\))+/g) ?? []),
]);
const Partial = z.record(z.string(), z.json());

const expectations = {
  log: Entries.optional(),
  reports: Entries.optional(),
  full: Entries.optional(),
  zombies: Entries.optional(),
  reply: z.union([z.string(), Partial]).optional(),
  refs: z.record(z.string(), z.enum(['kept', 'new', 'gone'])).optional(),
  list: Entries.optional(),
  count: Partial.optional(),
  inputs: z.record(z.string(), z.json()).optional(),
  lastReport: Partial.optional(),
  alive: z.boolean().optional(),
  /** At most so many retries without a delay before the step rests. */
  retries: z.int().min(0).optional(),
};

const at = { at: Name.optional() };
const child = { child: Name };

const simple = [
  z.strictObject({ do: z.literal('start'), ...expectations }),
  z.strictObject({ do: z.literal('stop'), reason: z.string().optional(), from: Name.optional(), ...expectations }),
  z.strictObject({ do: z.literal('kill'), ...expectations }),
  z.strictObject({ do: z.literal('die'), ...child, reason: z.string(), ...expectations }),
  z.strictObject({
    do: z.literal('exit'),
    ...child,
    incarnation: z.int().min(1),
    reason: z.string(),
    ...expectations,
  }),
  z.strictObject({ do: z.literal('speak'), ...child, incarnation: z.int().min(1), ...expectations }),
  z.strictObject({ do: z.literal('detach'), ...child, ...expectations }),
  z.strictObject({ do: z.literal('send'), ...child, ...expectations }),
  z.strictObject({ do: z.literal('start_child'), child: z.string(), ...at, ...expectations }),
  z.strictObject({ do: z.literal('start_many'), child: z.string(), times: z.int().min(1), ...at, ...expectations }),
  z.strictObject({ do: z.literal('terminate_many'), child: z.string(), times: z.int().min(1), ...at, ...expectations }),
  z.strictObject({ do: z.literal('start_spec'), spec: z.json(), ...at, ...expectations }),
  z.strictObject({ do: z.literal('start_supervisor'), spec: z.json(), ...expectations }),
  z.strictObject({ do: z.literal('terminate_child'), ...child, ...at, ...expectations }),
  z.strictObject({ do: z.literal('terminate_ref'), ...child, ...at, ...expectations }),
  z.strictObject({ do: z.literal('restart_child'), ...child, ...at, ...expectations }),
  z.strictObject({ do: z.literal('delete_child'), ...child, ...at, ...expectations }),
  z.strictObject({ do: z.literal('lookup'), ...child, ...at, ...expectations }),
  z.strictObject({ do: z.literal('spec'), ...child, ...at, ...expectations }),
  z.strictObject({
    do: z.literal('reload'),
    setup: z.string().optional(),
    children: z.record(Name, ChildOptions).optional(),
    spec: z.json().optional(),
    ...at,
    ...expectations,
  }),
  z.strictObject({ do: z.literal('resize'), size: z.number(), ...at, ...expectations }),
  z.strictObject({ do: z.literal('partition'), key: z.union([z.string(), z.number()]), ...at, ...expectations }),
  z.strictObject({ do: z.literal('stored'), ...child, ...at, ...expectations }),
  z.strictObject({ do: z.literal('advance'), ms: z.int().min(0), ...expectations }),
  z.strictObject({ do: z.literal('look'), ...at, ...expectations }),
] as const;

const Simple = z.discriminatedUnion('do', simple);
export type SimpleStep = z.infer<typeof Simple>;

const Queue = z.strictObject({ do: z.literal('queue'), steps: z.array(Simple).min(1), ...at, ...expectations });

const Step = z.discriminatedUnion('do', [...simple, Queue]);
export type Step = z.infer<typeof Step>;

const Case = z.strictObject({
  id: z.string().min(1),
  title: z.string().optional(),
  setup: z.string(),
  children: z.record(Name, ChildOptions).default({}),
  supervisors: z.record(Name, SupervisorOptions).default({}),
  otpExact: z.boolean().default(false),
  seed: z.int().optional(),
  /** What the children of the assembled tree are; both in turn unless said otherwise. */
  as: z.enum(['actor', 'resource']).optional(),
  steps: z.array(Step).min(1),
});
export type Case = z.infer<typeof Case>;

/** A case, or why it is none: a faulty case fails, the others are still run. */
export type ReadCase = { id: string; case: Case } | { id: string; fault: string };

/** @throws Error when the text is not a list of cases at all */
export function readCases(text: string): ReadCase[] {
  const json: unknown = JSON.parse(text);
  const list = Array.isArray(json) ? json : (json as { cases?: unknown } | null)?.cases;
  if (!Array.isArray(list)) throw new Error('expected a list of cases, or an object with "cases"');
  return list.map((one: unknown, index) => {
    const parsed = Case.safeParse(one);
    if (parsed.success) return { id: parsed.data.id, case: parsed.data };
    const id = (one as { id?: unknown } | null)?.id;
    return { id: typeof id === 'string' ? id : `case ${index + 1}`, fault: z.prettifyError(parsed.error) };
  });
}
