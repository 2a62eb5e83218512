import { jsonSchema, type ToolSet, tool } from 'ai';
import { z } from 'zod';
import { Plan } from '../../core/plan.ts';
import type { ToolDefinition } from '../../core/tool.ts';
import type { ThinkInput } from '../../ports/model.ts';

/**
 * What the model may call: the agent's tools, and a few of our own under reserved names that stand for the other
 * decisions. One of ours counts as such only when it is the only call of a reply; delegations may stand together.
 */
export const BUILT_IN = {
  finalAnswer: 'final_answer',
  askHuman: 'ask_human',
  delegate: 'delegate',
  makePlan: 'make_plan',
  review: 'review',
} as const;

const RESERVED: ReadonlySet<string> = new Set(Object.values(BUILT_IN));

type Schema = Parameters<typeof jsonSchema>[0];

/** The tools that can be offered under their own names. */
export function ownTools(definitions: readonly ToolDefinition[]): ToolDefinition[] {
  return definitions.filter(({ name }) => !RESERVED.has(name));
}

/** For a decision: the agent's tools, and ours as far as the agent may use them. */
export function decidingTools(definitions: readonly ToolDefinition[], input: ThinkInput): ToolSet {
  const entries = ownTools(definitions).map(({ name, description, parameters }) => [
    name,
    offer(description, { type: 'object', ...parameters } as Schema),
  ]);
  return Object.fromEntries([...entries, ...builtIns(input)]) as ToolSet;
}

function builtIns({ delegates }: ThinkInput): [string, ToolSet[string]][] {
  const alone = 'Call it alone.';
  const list: [string, ToolSet[string]][] = [
    [
      BUILT_IN.finalAnswer,
      offer(
        `Ends the task with its answer. ${alone}`,
        object({ answer: { description: 'The answer: text or any JSON value.' } }),
      ),
    ],
    [
      BUILT_IN.askHuman,
      offer(
        `Asks a person and waits for the reply, for what no tool can tell or decide. ${alone}`,
        object({ question: { type: 'string', maxLength: 4096 } }),
      ),
    ],
  ];
  if (delegates.length > 0) {
    const agents = delegates.map(({ name, description }) => `${name}: ${description || 'no description'}`).join('; ');
    const properties = {
      agent: { type: 'string' as const, enum: delegates.map(({ name }) => name) },
      input: { description: "The other agent's task: text or any JSON value. It sees nothing else." },
    };
    list.push([
      BUILT_IN.delegate,
      offer(
        `Gives a part of the task to another agent and waits for its answer. Call it alone, or several times in one reply for parts that can be done at the same time. Agents: ${agents}`,
        object(properties),
      ),
    ]);
  }
  return list;
}

/** For the planning phase. */
export function planningTools(): ToolSet {
  const { $schema: _, ...schema } = z.toJSONSchema(Plan, { io: 'input', unrepresentable: 'any' });
  return {
    [BUILT_IN.makePlan]: offer('Takes the plan: its steps with their tools and dependencies.', schema as Schema),
  };
}

/** For the reviewing phase. */
export function reviewingTools(): ToolSet {
  const properties = {
    verdict: { type: 'string' as const, enum: ['accept', 'revise'] },
    comment: {
      type: 'string' as const,
      maxLength: 4096,
      description: 'What is wrong or missing, when it has to be revised.',
    },
  };
  const schema: Schema = { type: 'object', properties, required: ['verdict'], additionalProperties: false };
  return { [BUILT_IN.review]: offer('Takes the verdict on the draft.', schema) };
}

/** All properties required. */
function object(properties: Record<string, object>): Schema {
  return { type: 'object', properties, required: Object.keys(properties), additionalProperties: false } as Schema;
}

/** Arguments are not checked here: the runtime does that, and tells the model what was wrong. */
function offer(description: string, schema: Schema): ToolSet[string] {
  return tool({ description, inputSchema: jsonSchema(schema) });
}
