import { z } from 'zod';
import { Json, JsonObject } from './json.ts';

const StepId = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'expected 1 to 64 letters, digits, _ or -');

/**
 * One step of a plan. `args` may refer to the result of an earlier step: the object `{"$ref": "<step>"}` stands for its
 * whole result, `{"$ref": "<step>", "query": "<JMESPath>"}` for a part of it. A reference makes a dependency.
 */
export const PlanStep = z.strictObject({
  id: StepId,
  tool: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'expected a tool name'),
  args: JsonObject.default({}),
  after: z.array(StepId).max(64).default([]),
  reasoning: z.string().max(2048).optional(),
});
export type PlanStep = z.infer<typeof PlanStep>;

export const MAX_PLAN_STEPS = 200;

/** A plan (RUN-4): steps without a dependency between them run in parallel. `answer` may hold references too. */
export const Plan = z
  .strictObject({
    steps: z.array(PlanStep).min(1).max(MAX_PLAN_STEPS),
    /** The answer of the run; without it, the result of the last step, or where that lies when it is too large. */
    answer: Json.optional(),
  })
  .check((ctx) => {
    for (const fault of planFaults(ctx.value)) {
      ctx.issues.push({ code: 'custom', input: ctx.value, path: fault.path, message: fault.message });
    }
  });
export type Plan = z.infer<typeof Plan>;

export interface Reference {
  step: string;
  query: string | undefined;
}

/** The reference that an object is, or null. */
export function asReference(value: unknown): Reference | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const { $ref, query, ...rest } = value as Record<string, unknown>;
  if (typeof $ref !== 'string' || Object.keys(rest).length > 0) return null;
  if (query !== undefined && typeof query !== 'string') return null;
  return { step: $ref, query };
}

/** The ids of all steps that a value refers to. */
export function referencedSteps(value: unknown): string[] {
  const reference = asReference(value);
  if (reference !== null) return [reference.step];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(referencedSteps);
}

/** What a step waits for: its `after`, and every step that its arguments refer to. */
export function dependenciesOf(step: PlanStep): string[] {
  return [...new Set([...step.after, ...referencedSteps(step.args)])];
}

interface PlanFault {
  path: (string | number)[];
  message: string;
}

function planFaults(plan: { steps: PlanStep[]; answer?: unknown }): PlanFault[] {
  const faults: PlanFault[] = [];
  const known = new Map<string, PlanStep>();
  plan.steps.forEach((step, i) => {
    if (known.has(step.id)) faults.push({ path: ['steps', i, 'id'], message: `step id "${step.id}" is used twice` });
    known.set(step.id, step);
  });
  plan.steps.forEach((step, i) => {
    for (const id of dependenciesOf(step)) {
      if (!known.has(id))
        faults.push({ path: ['steps', i], message: `depends on "${id}", which is no step of the plan` });
    }
  });
  for (const id of referencedSteps(plan.answer)) {
    if (!known.has(id)) faults.push({ path: ['answer'], message: `refers to "${id}", which is no step of the plan` });
  }
  if (faults.length === 0) faults.push(...cycleFaults(plan.steps));
  return faults;
}

/** Steps that can never start because they wait for one another. */
function cycleFaults(steps: PlanStep[]): PlanFault[] {
  const done = new Set<string>();
  let left = steps;
  for (;;) {
    const ready = left.filter((step) => dependenciesOf(step).every((id) => done.has(id)));
    if (ready.length === 0) break;
    for (const step of ready) done.add(step.id);
    left = left.filter((step) => !done.has(step.id));
  }
  return left.length === 0
    ? []
    : [{ path: ['steps'], message: `these steps wait for one another: ${left.map((step) => step.id).join(', ')}` }];
}
