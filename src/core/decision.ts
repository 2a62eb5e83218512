import { z } from 'zod';
import { Json, JsonObject } from './json.ts';
import { LimitOverrides } from './limits.ts';
import { Plan } from './plan.ts';
import { Name } from './task.ts';
import { Risk } from './tool.ts';

/** Most calls that one decision may ask for in parallel. */
export const MAX_PARALLEL_CALLS = 64;

const Reasoning = z.string().max(16_384).optional();

export const CallRequest = z.strictObject({
  tool: z.string().min(1).max(64),
  args: JsonObject.default({}),
  /** Raises the risk of the call above what the tool declares; never lowers it. */
  risk: Risk.optional(),
  /** The plan step that this call carries out. */
  plan_step: z.string().max(64).optional(),
});
export type CallRequest = z.infer<typeof CallRequest>;

/** One run that a decision starts, of another agent. */
export const Member = z.strictObject({
  agent: Name,
  input: Json,
  plan: Plan.optional(),
  limits: LimitOverrides.optional(),
});
export type Member = z.infer<typeof Member>;

const ALIASES: Record<string, string> = { tool_use: 'tool_call', complete: 'final_answer' };

/** What a model decides (RUN-3). `tool_use` and `complete` are taken as `tool_call` and `final_answer`. */
export const Decision = z.preprocess(
  (value) => {
    if (typeof value !== 'object' || value === null || !('action' in value)) return value;
    const alias = ALIASES[String(value.action)];
    return alias === undefined ? value : { ...value, action: alias };
  },
  z.discriminatedUnion('action', [
    z.strictObject({ action: z.literal('think'), reasoning: Reasoning }),
    z.strictObject({ action: z.literal('plan'), reasoning: Reasoning, plan: Plan }),
    z.strictObject({
      action: z.literal('tool_call'),
      reasoning: Reasoning,
      calls: z.array(CallRequest).min(1).max(MAX_PARALLEL_CALLS),
    }),
    z
      .strictObject({
        action: z.literal('delegate'),
        reasoning: Reasoning,
        /** One member, written in short. */
        ...Member.partial().shape,
        /** A team: they work at the same time, under the strategy of the agent that asks for them. */
        members: z.array(Member).min(1).max(MAX_PARALLEL_CALLS).optional(),
      })
      .check((ctx) => {
        const fault = teamFault(ctx.value);
        if (fault !== null) ctx.issues.push({ code: 'custom', input: ctx.value, ...fault });
      }),
    z.strictObject({ action: z.literal('ask_human'), reasoning: Reasoning, question: z.string().min(1).max(4096) }),
    z.strictObject({ action: z.literal('final_answer'), reasoning: Reasoning, answer: Json }),
    z.strictObject({
      action: z.literal('review'),
      reasoning: Reasoning,
      verdict: z.enum(['accept', 'revise']),
      comment: z.string().max(4096).optional(),
    }),
  ]),
);
export type Decision = z.infer<typeof Decision>;

/** A delegation names its one member in short, or all of them. */
function teamFault(value: { [K in keyof Member]?: unknown } & { members?: unknown }) {
  const short = (['agent', 'input', 'plan', 'limits'] as const).filter((field) => value[field] !== undefined);
  if (value.members === undefined) {
    const missing = (['agent', 'input'] as const).find((field) => value[field] === undefined);
    return missing === undefined ? null : { path: [missing], message: 'expected, as there are no members' };
  }
  return short.length === 0
    ? null
    : { path: [short[0] as string], message: 'not beside members: it belongs into one of them' };
}

/** Who is delegated to, in order: call i of the decision is the run of member i. */
export function membersOf(decision: Extract<Decision, { action: 'delegate' }>): Member[] {
  const { members, agent = '', input = null, plan, limits } = decision;
  if (members !== undefined) return members;
  return [{ agent, input, ...(plan === undefined ? {} : { plan }), ...(limits === undefined ? {} : { limits }) }];
}

/** What one model call used; `cost_usd` 0 means that it is known to be free. */
export const Usage = z.strictObject({
  input_tokens: z.int().min(0).default(0),
  output_tokens: z.int().min(0).default(0),
  /** Part of `input_tokens` that the provider had in its cache. */
  cached_input_tokens: z.int().min(0).optional(),
  cost_usd: z.number().min(0).default(0),
});
export type Usage = z.infer<typeof Usage>;

export const NO_USAGE: Usage = { input_tokens: 0, output_tokens: 0, cost_usd: 0 };
