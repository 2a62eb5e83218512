import { z } from 'zod';
import { evaluate, FUNCTION_NAMES, MAX_EXPRESSION } from './arithmetic.ts';
import { defineLocalTool, type LocalTool } from './local-tool.ts';

export function calculateTool(): LocalTool {
  return defineLocalTool({
    name: 'calculate',
    description: `Calculates with double-precision numbers: + - * / ^ % ! comparisons, and, or, not, c ? a : b, percentages (100 + 5%), pi, e, and ${FUNCTION_NAMES.join(', ')}. Angles are radians.`,
    parameters: z.strictObject({
      expression: z.string().min(1).max(MAX_EXPRESSION),
      variables: z
        .record(z.string().regex(/^[A-Za-z][A-Za-z0-9_]{0,31}$/), z.number())
        .default({})
        .describe('Numbers by the names that the expression uses.'),
    }),
    result: z.object({ result: z.union([z.number(), z.boolean()]) }),
    effect: 'read',
    idempotent: true,
    run: async ({ expression, variables }) => ({ result: evaluate(expression, new Map(Object.entries(variables))) }),
  });
}
