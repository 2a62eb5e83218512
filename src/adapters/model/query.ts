import vm from 'node:vm';
import { search } from '@jmespath-community/jmespath';
import { AppError, toAppError } from '../../core/errors.ts';
import { type Json, MAX_DEPTH } from '../../core/json.ts';

/**
 * JMESPath over a step's result. The query comes from whoever submitted the task, so it must not be able to hold up
 * the node: anything beyond a plain path is evaluated elsewhere, within a time (an expression can double its output with
 * every few characters), and what comes out is copied with a bound on its size before anyone walks or prints it.
 */

export const MAX_QUERY_LENGTH = 1024;
/** Longest evaluation of all queries of one decision, milliseconds. */
export const TIME_LIMIT_MS = 500;
/** Field names, indexes and wildcards: work is at most linear in the data. */
const PLAIN_PATH = /^[\w."[\]*@-]+$/;

/** Evaluates the queries of one decision, one at a time. */
export interface Queries {
  /** Rejects when there is no answer within `ms`. */
  ask(query: string, data: Json, ms: number): Promise<Json>;
  /** Always to be called. */
  close(): Promise<void>;
}

export type OpenQueries = (signal: AbortSignal) => Queries;

const context = vm.createContext(Object.create(null));
const script = new vm.Script('evaluate()');

/** In this thread, which stands meanwhile, under V8's own time limit: where time is simulated and no thread can be waited for. */
export const queriesHere: OpenQueries = () => ({
  ask: async (query, data, ms) => withTimeLimit(ms, () => search(data, query)),
  close: async () => undefined,
});

/** The value that `query` finds in `data`. Throws AppError `bad_query` with the reason. */
export async function runQuery(query: string, data: Json, allowance: Allowance): Promise<Json> {
  if (query.length > MAX_QUERY_LENGTH) {
    throw new AppError(
      'bad_query',
      `the query has ${query.length} characters, at most ${MAX_QUERY_LENGTH} are allowed`,
    );
  }
  const { time, queries, now } = allowance;
  if (time.ms <= 0) {
    throw new AppError('bad_query', `the queries of one decision may take ${TIME_LIMIT_MS} ms, which the others took`);
  }
  const began = now();
  try {
    return PLAIN_PATH.test(query) ? search(data, query) : await queries.ask(query, data, time.ms);
  } catch (thrown) {
    throw new AppError('bad_query', toAppError(thrown).message, { cause: thrown });
  } finally {
    time.ms -= now() - began;
  }
}

function withTimeLimit(ms: number, evaluate: () => Json): Json {
  context.evaluate = evaluate;
  try {
    return script.runInContext(context, { timeout: Math.ceil(ms) }) as Json;
  } finally {
    context.evaluate = undefined;
  }
}

/** What a decision's arguments or an answer may still use. */
export interface Allowance {
  /** Characters of JSON. */
  left: number;
  /** For queries; shared by all that is decided at once. */
  time: { ms: number };
  queries: Queries;
  /** What time it is, milliseconds. */
  now: () => number;
}

/**
 * A copy of `value` that is a tree of JSON and nothing else. Throws AppError `bad_query` when it is too deep, larger
 * than the allowance, or holds something that JSON cannot say (JMESPath reads inherited properties too).
 */
export function copyJson(value: unknown, allowance: Allowance, depth = 0): Json {
  if (depth > MAX_DEPTH) throw new AppError('bad_query', `the value is nested more than ${MAX_DEPTH} deep`);
  allowance.left -= typeof value === 'string' ? value.length + 2 : 4;
  if (allowance.left < 0) throw new AppError('bad_query', 'the value is too large');
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (Array.isArray(value)) return value.map((item) => copyJson(item, allowance, depth + 1));
  if (typeof value !== 'object')
    throw new AppError('bad_query', `the value holds a ${typeof value}, which is not JSON`);
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      allowance.left -= key.length + 3;
      return [key, copyJson(item, allowance, depth + 1)];
    }),
  );
}
