import { z } from 'zod';
import { ApprovalReason, ApprovalRules } from './approval-rules.ts';
import { isCallId, isRunId, MAX_RUN_ID } from './ids.ts';
import { JsonObject } from './json.ts';
import { Quotas } from './quotas.ts';
import { Name } from './task.ts';
import { Risk } from './tool.ts';

/**
 * The policy of a cluster: one document that says what calls agents may make (SEC-1), how far each agent is trusted
 * (SEC-4) and what follows from content that comes from outside (SEC-5). Versions are numbered by the order in which
 * they were applied; version 0 is the one that comes with Proctor.
 */

/** Largest policy file, bytes. */
export const MAX_POLICY_BYTES = 128 * 1024;
/** Most rules of one section. */
const MAX_RULES = 1_000;

/** What a rule says about a call. */
export const Says = z.enum(['allow', 'ask', 'deny']);
export type Says = z.infer<typeof Says>;

/** A text, or the beginning of one with a `*` at its end. */
const Pattern = z
  .string()
  .min(1)
  .max(256)
  .regex(/^[^*]*\*?$/, 'expected a name, or the beginning of one with a * at its end');
/** What decides where no rule does: nothing fits, or what the call is about cannot be told. */
const NO_RULES = ['default', 'resource'];
const RuleId = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/, 'expected a letter, then at most 63 letters, digits, _ or -')
  .refine((id) => !NO_RULES.includes(id), `expected another id: ${NO_RULES.join(' and ')} stand for no rule`);
const Role = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'expected 1 to 64 letters, digits, _ or -');

/** The role of everybody whom no role names. */
export const DEFAULT_ROLE = 'user';

export const PermissionRule = z.strictObject({
  /** Names the rule in refusals and in `policy explain`; its place in the file when absent. */
  id: RuleId.optional(),
  /** Who handed in the task. */
  role: z.union([z.literal('*'), Role]).default('*'),
  agent: Pattern.default('*'),
  tool: Pattern,
  /** What the call is about, as the tool's `resource_field` names it; `own:` stands for what belongs to the user. */
  resource: Pattern.default('*'),
  do: Says,
});
export type PermissionRule = z.infer<typeof PermissionRule>;

/** How far an agent is trusted, from not at all on: no tools, only reading, writing when somebody approves it, all. */
export const AUTONOMY_LEVELS = ['observe', 'read_only', 'supervised', 'autonomous'] as const;
export const AutonomyLevel = z.enum(AUTONOMY_LEVELS);
export type AutonomyLevel = z.infer<typeof AutonomyLevel>;

/** The level of an agent that the policy does not name. */
export const FIRST_LEVEL: AutonomyLevel = 'read_only';

export const AutonomyRule = z.strictObject({ id: RuleId.optional(), agent: Pattern, level: AutonomyLevel });
export type AutonomyRule = z.infer<typeof AutonomyRule>;

export const TaintRules = z.strictObject({
  /** Once content from outside was read: what about calls that change something, and calls that send something out. */
  writes: Says.default('ask'),
  egress: Says.default('ask'),
  /** Whose results come from outside, beside tools that say `untrusted` themselves; the first that fits decides. */
  sources: z
    .array(z.strictObject({ tool: Pattern, resource: Pattern.default('*'), trusted: z.boolean().default(false) }))
    .max(MAX_RULES)
    .default([]),
  /** Tools that send something out, beside those that say `egress` themselves. */
  egress_tools: z.array(Pattern).max(MAX_RULES).default([]),
});
export type TaintRules = z.infer<typeof TaintRules>;

export const Policy = z
  .strictObject({
    v: z.literal(1).default(1),
    description: z.string().max(1024).default(''),
    /** Users by role; a name may end in `*`. */
    roles: z.record(Role, z.array(Pattern).max(10_000)).default({}),
    /** How the name of what belongs to a user begins: `own:` in a rule stands for it. */
    own: z
      .string()
      .max(128)
      .regex(
        /^[^*{}]*\{user\}[^*{}]+$/,
        'expected {user} once and something after it, such as "{user}:" or "users/{user}/"',
      )
      .default('{user}:'),
    /** The first rule that fits decides; a call that none fits is denied. */
    permissions: z.array(PermissionRule).max(MAX_RULES).default([]),
    /** The first rule that fits decides. */
    autonomy: z.array(AutonomyRule).max(MAX_RULES).default([]),
    taint: TaintRules.prefault({}),
    /** Asked beside what an agent's own definition asks, and who decides; agents' own rules alone when absent. */
    approvals: ApprovalRules.optional(),
    /** What all runs of the cluster share; those that the nodes were started with when absent. Of the newest version, for all runs. */
    quotas: Quotas.optional(),
  })
  .check((ctx) => {
    for (const { path, message } of rulesAmiss(ctx.value)) {
      ctx.issues.push({ code: 'custom', input: ctx.value, path, message });
    }
  });
export type Policy = z.infer<typeof Policy>;
export type PolicyInput = z.input<typeof Policy>;

/** What no rule alone shows: roles that nobody has, ids that two have. Also of a value that is amiss in other ways. */
export function rulesAmiss(value: { [K in 'roles' | 'permissions' | 'autonomy']?: unknown }) {
  const faults: { path: PropertyKey[]; message: string }[] = [];
  const known = new Set([
    '*',
    DEFAULT_ROLE,
    ...Object.keys(typeof value.roles === 'object' ? (value.roles ?? {}) : {}),
  ]);
  const ids = new Set<unknown>([undefined]);
  for (const section of ['permissions', 'autonomy'] as const) {
    const rules = value[section];
    for (const [i, rule] of (Array.isArray(rules) ? rules : []).entries()) {
      const { id, role } = (rule ?? {}) as { id?: unknown; role?: unknown };
      if (typeof role === 'string' && !known.has(role)) {
        const message = `no role has this name; there are: ${[...known].join(', ')}`;
        faults.push({ path: [section, i, 'role'], message });
      }
      if (id !== undefined && ids.has(id)) {
        faults.push({ path: [section, i, 'id'], message: 'another rule has this id' });
      }
      ids.add(id);
    }
  }
  return faults;
}

/** The lines of a policy's file in which its rules stand, by path such as `permissions.0`. */
export const PolicyLines = z.record(z.string().max(64), z.int().min(1));
export type PolicyLines = z.infer<typeof PolicyLines>;

/** The file as it was applied. */
export const PolicyText = z.string().max(MAX_POLICY_BYTES);

/** One version as it is stored. */
export const PolicyRecord = z.strictObject({
  v: z.literal(1),
  version: z.int().min(0),
  /** Runs that began under an older version are judged by this one all the same. */
  at_least: z.int().min(0),
  policy: Policy,
  lines: PolicyLines,
  text: PolicyText,
  by: z.string().min(1).max(128),
  why: z.string().max(1024),
  source: z.string().max(512),
});
export type PolicyRecord = z.infer<typeof PolicyRecord>;

/** What a rule said about a call; without a line it stands in no file. */
export const RuleWord = z.strictObject({
  gate: z.enum(['permission', 'autonomy', 'taint']),
  says: Says,
  rule: z.string().max(128),
  line: z.int().min(1).optional(),
});
export type RuleWord = z.infer<typeof RuleWord>;

/** Which rules of which version of the policy let a call pass, or not. */
export const PolicyWords = z.strictObject({ version: z.int().min(0), rules: z.array(RuleWord).max(8) });
export type PolicyWords = z.infer<typeof PolicyWords>;

/** The result from outside that a run has read; `run` when another one read it. */
export const Taint = z.strictObject({
  tool: z.string().max(64),
  c: z.string().max(16).refine(isCallId, 'expected a call id'),
  run: z.string().max(MAX_RUN_ID).refine(isRunId, 'expected a run id').optional(),
});
export type Taint = z.infer<typeof Taint>;

/** A call to try on a policy: nothing of it is made. */
export const PolicyProbe = z.strictObject({
  agent: Name,
  user: Name.default('default'),
  tool: z.string().min(1).max(64),
  args: JsonObject.default({}),
  /** Raises the risk of the call, as a model may. */
  risk: Risk.optional(),
  /** Agents above it, the nearest first. */
  above: z.array(Name).max(64).default([]),
  /** As if content from outside had been read. */
  tainted: z.boolean().default(false),
});
export type PolicyProbe = z.infer<typeof PolicyProbe>;

/** What the gate says to a call; `code` is that of the gate that refused it. */
export const PolicyAnswer = z.object({
  verdict: Says,
  code: z.string().optional(),
  message: z.string().optional(),
  /** The rules that said so, in the order in which they were asked; none when an earlier gate refused. */
  policy: PolicyWords,
  /** Why it needs an approval, whose, of how many, and for how long it is waited for. */
  reasons: z.array(ApprovalReason),
  groups: z.array(z.string()),
  needed: z.int(),
  timeout_ms: z.int(),
  /** What it brings comes from outside. */
  untrusted: z.boolean(),
});
export type PolicyAnswer = z.infer<typeof PolicyAnswer>;

/** The policy until one is applied, as a file would have it. */
export const BUILT_IN_TEXT = `# The policy that comes with Proctor. Each agent that may do more than read is a line of autonomy.
description: Agents read with the tools that their definitions list, and change nothing.
permissions:
  - { id: built-in, tool: "*", do: allow }
autonomy:
  - { id: built-in-level, agent: "*", level: read_only }
`;

export const BUILT_IN: PolicyRecord = {
  v: 1,
  version: 0,
  at_least: 0,
  policy: Policy.parse({
    description: 'Agents read with the tools that their definitions list, and change nothing.',
    permissions: [{ id: 'built-in', tool: '*', do: 'allow' }],
    autonomy: [{ id: 'built-in-level', agent: '*', level: 'read_only' }],
  }),
  lines: { 'permissions.0': 4, 'autonomy.0': 6 },
  text: BUILT_IN_TEXT,
  by: 'proctor',
  why: '',
  source: 'built in',
};
