import { createRequire } from 'node:module';
import { z } from 'zod';
import { AppError, toAppError } from '../../core/errors.ts';
import { Json } from '../../core/json.ts';
import type { Clock } from '../../ports/clock.ts';
import { Isolate } from './isolate.ts';
import { defineLocalTool, type LocalTool } from './local-tool.ts';

/** Time for one query; nested projections can multiply without end. */
export const QUERY_MS = 5_000;
/** Largest answer of a query as JSON text, characters. */
const MAX_ANSWER = 512 * 1024;

const require = createRequire(import.meta.url);
const QUERY_DATA = { jmespath: require.resolve('@jmespath-community/jmespath'), max: MAX_ANSWER };

export function jsonQueryTool(clock: Clock, queryMs = QUERY_MS): LocalTool {
  return defineLocalTool({
    name: 'json_query',
    description: 'Picks and reshapes parts of JSON data with a JMESPath expression. Give either data or text.',
    parameters: z.strictObject({
      expression: z.string().min(1).max(2_000).describe('JMESPath, for example items[?price > `10`].name'),
      data: Json.optional().describe('The JSON value to query.'),
      text: z
        .string()
        .max(1024 * 1024)
        .optional()
        .describe('The JSON value to query, as JSON text.'),
    }),
    result: z.object({ result: Json }),
    effect: 'read',
    idempotent: true,
    run: async ({ expression, data, text }, { signal }) => {
      if ((data === undefined) === (text === undefined)) {
        throw new AppError('invalid_arguments', 'Give either data or text, and not both.', { field: 'data' });
      }
      const isolate = new Isolate(QUERY_CODE, {
        data: QUERY_DATA,
        budgetMs: queryMs,
        clock,
        signal,
        field: 'expression',
      });
      try {
        const answer = await isolate.ask({ expression, data: data === undefined ? parseText(text ?? '') : data });
        return { result: JSON.parse(z.string().parse(answer)) as Json };
      } catch (thrown) {
        const error = toAppError(thrown, 'tool_error');
        throw error.code === 'rejected'
          ? new AppError('invalid_expression', error.message, { field: 'expression', cause: error })
          : error;
      } finally {
        await isolate.close();
      }
    },
  });
}

function parseText(text: string): Json {
  try {
    return Json.parse(JSON.parse(text));
  } catch (cause) {
    throw new AppError('invalid_arguments', 'text: expected JSON text.', { field: 'text', cause });
  }
}

// The library finds inherited members (`constructor`) too; as JSON text the answer holds nothing but data.
const QUERY_CODE = `
const { search } = require(workerData.jmespath);
function answer({ expression, data }) {
  const text = JSON.stringify(search(data, expression)) ?? 'null';
  if (text.length > workerData.max) throw new Error('The answer is too large; ask for less.');
  return text;
}
`;

/**
 * Evaluates the queries of one decision of a plan in a thread, which is started for the first of them: whatever a task
 * asks for, the node's own thread goes on. @param budgetMs for all of them, the start of the thread included
 */
export function queriesInThread(clock: Clock, budgetMs: number) {
  return (signal: AbortSignal) => {
    let isolate: Isolate | null = null;
    return {
      async ask(expression: string, data: Json): Promise<Json> {
        isolate ??= new Isolate(QUERY_CODE, { data: QUERY_DATA, budgetMs, clock, signal, field: 'query' });
        return JSON.parse(z.string().parse(await isolate.ask({ expression, data }))) as Json;
      },
      close: async () => isolate?.close(),
    };
  };
}
