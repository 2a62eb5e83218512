import { Ajv, type ErrorObject, type Options, type ValidateFunction } from 'ajv';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormatsModule from 'ajv-formats';
import { LRUCache } from 'lru-cache';
import { canonicalText } from '../../core/canonical.ts';
import { clip, type ErrorInfo } from '../../core/errors.ts';
import { byteLength, depthOf, type Json, MAX_DEPTH } from '../../core/json.ts';
import type { Validator } from '../../ports/validator.ts';
import { withTimeLimit } from './time-limit.ts';

/**
 * JSON Schema with ajv. Schemas come from tool workers, values from models and plans, so neither is trusted: both are
 * bounded in size and depth, a schema can refer only to itself, and schemas whose work is not linear in the value
 * (patterns, references, unique items) run under a time limit. Each schema gets an ajv of its own, so that ids in one
 * schema cannot reach another, and dropping a schema from the cache drops everything that belongs to it.
 */

export interface ValidatorOptions {
  /** Compiled schemas kept; default 500. */
  cacheSize?: number;
  /** Largest schema, bytes of JSON; default 64 KiB. */
  maxSchemaBytes?: number;
  /** Largest value, bytes of JSON; default 1 MiB. */
  maxValueBytes?: number;
  /** Longest compilation or check, milliseconds; default 500. */
  timeLimitMs?: number;
}

interface Compiled {
  check: ValidateFunction;
  /** The schema, as the cache knows it. */
  text: string;
  /** Size of the schema. */
  bytes: number;
  /** The check may take more than linear time. */
  guarded: boolean;
}

/** Longest `pattern` of a schema. */
const MAX_PATTERN_LENGTH = 512;
const MAX_FAULTS = 20;
/** A schema that failed is tried again after this long: a stopped process looks like a slow schema. */
const FAULT_TTL_MS = 60_000;
/** How long nothing is checked against a schema that took too long: it holds up the event loop each time. */
const REST_MS = 10_000;
/** Bytes of the schema times bytes of the value from which on any check runs under the time limit. */
const UNGUARDED_WORK = 10_000_000;
const GUARDED = /"(?:pattern|patternProperties|\$ref|\$dynamicRef|\$recursiveRef|uniqueItems|format)":/;

// The package is CommonJS and exports the plugin as `default` as well as itself.
const addFormats = addFormatsModule.default;

/** Faults carry code `invalid_arguments`, or `bad_schema` when it is the schema that is at fault. */
export function jsonSchemaValidator(options: ValidatorOptions = {}): Validator {
  const { cacheSize = 500, maxSchemaBytes = 64 * 1024, maxValueBytes = 1024 * 1024, timeLimitMs = 500 } = options;
  const cache = new LRUCache<string, Compiled | ErrorInfo>({ max: cacheSize });

  // A definition is asked about with the same object again and again; its text is only worked out once.
  const seen = new WeakMap<Record<string, Json>, Compiled>();

  const compiled = (schema: Record<string, Json>): Compiled | ErrorInfo => {
    const known = seen.get(schema);
    if (known !== undefined) return known;
    const found = compiledByText(schema);
    if ('check' in found) seen.set(schema, found);
    return found;
  };

  const compiledByText = (schema: Record<string, Json>): Compiled | ErrorInfo => {
    if (depthOf(schema) > MAX_DEPTH) return badSchema(`it is nested more than ${MAX_DEPTH} deep`);
    const text = canonicalText(schema);
    const known = cache.get(text);
    if (known !== undefined) return known;
    const bytes = byteLength(text);
    if (bytes > maxSchemaBytes) return badSchema(`it has ${bytes} bytes, at most ${maxSchemaBytes} are allowed`);
    try {
      const dialect = dialectOf(schema);
      const check = withTimeLimit(timeLimitMs * 4, () => compile(schema, dialect));
      const result = { check, text, bytes, guarded: GUARDED.test(text) };
      cache.set(text, result);
      return result;
    } catch (thrown) {
      const fault = badSchema(thrown instanceof Error ? thrown.message : String(thrown));
      cache.set(text, fault, { ttl: FAULT_TTL_MS });
      return fault;
    }
  };

  return {
    faults(schema, value) {
      const found = compiled(schema);
      if (!('check' in found)) return found;
      if (depthOf(value) > MAX_DEPTH) return invalid('', `nested more than ${MAX_DEPTH} deep`);
      const bytes = byteLength(JSON.stringify(value));
      if (bytes > maxValueBytes) return invalid('', `${bytes} bytes, at most ${maxValueBytes} are allowed`);
      const guarded = found.guarded || bytes * found.bytes > UNGUARDED_WORK;
      try {
        const valid = guarded ? withTimeLimit(timeLimitMs, () => found.check(value)) : found.check(value);
        return valid ? null : describe(found.check.errors ?? []);
      } catch (thrown) {
        const fault = badSchema(
          `checking a value failed: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
        );
        // The next value would hold up the event loop as long: the schema rests for a while.
        seen.delete(schema);
        cache.set(found.text, fault, { ttl: REST_MS });
        return fault;
      }
    },
  };
}

function compile(schema: Record<string, Json>, dialect: Dialect): ValidateFunction {
  if (dialect.meta.validateSchema(schema) !== true)
    throw new Error(dialect.meta.errorsText(dialect.meta.errors, { dataVar: 'schema' }));
  // The meta-schema was used just now: compiling it for every schema anew would cost 50 ms each.
  const ajv = dialect.create({ ...AJV_OPTIONS, meta: false, validateSchema: false });
  addFormats(ajv, { mode: 'fast' });
  const check = ajv.compile(schema);
  if ('$async' in check) throw new Error('asynchronous schemas are not supported');
  return check;
}

interface Dialect {
  create(options: Options): Ajv;
  /** Holds the compiled meta-schema. */
  meta: Ajv;
}

const DIALECTS: { schema: RegExp; create(options: Options): Ajv; meta?: Ajv }[] = [
  { schema: /\/draft\/2020-12\/schema#?$/, create: (options) => new Ajv2020(options) },
  { schema: /\/draft\/2019-09\/schema#?$/, create: (options) => new Ajv2019(options) },
  { schema: /\/draft-0[67]\/schema#?$/, create: (options) => new Ajv(options) },
];

function dialectOf(schema: Record<string, Json>): Dialect {
  const declared = schema.$schema ?? 'https://json-schema.org/draft/2020-12/schema';
  const dialect = typeof declared === 'string' ? DIALECTS.find((known) => known.schema.test(declared)) : undefined;
  if (dialect === undefined) {
    throw new Error('its $schema is not supported: use JSON Schema 2020-12, 2019-09 or draft-07, or leave it out');
  }
  if (dialect.meta === undefined) {
    dialect.meta = dialect.create({ logger: false });
    dialect.meta.validateSchema({});
  }
  return { create: dialect.create, meta: dialect.meta };
}

const boundedRegExp = Object.assign(
  (pattern: string, flags: string): RegExp => {
    if (pattern.length > MAX_PATTERN_LENGTH) {
      throw new Error(`a pattern has ${pattern.length} characters, at most ${MAX_PATTERN_LENGTH} are allowed`);
    }
    return new RegExp(pattern, flags);
  },
  { code: 'new RegExp' },
);

const AJV_OPTIONS: Options = {
  strict: false,
  allErrors: true,
  logger: false,
  code: { regExp: boundedRegExp },
};

function badSchema(reason: string): ErrorInfo {
  return { code: 'bad_schema', message: clip(`the JSON Schema cannot be used: ${reason}`, 2048), retryable: false };
}

function invalid(path: string, reason: string): ErrorInfo {
  return {
    code: 'invalid_arguments',
    message: clip(path === '' ? reason : `${path}: ${reason}`, 2048),
    retryable: false,
    ...(path === '' ? {} : { field: clip(path, 256) }),
  };
}

function describe(errors: ErrorObject[]): ErrorInfo {
  const first = errors[0];
  if (first === undefined) return invalid('', 'does not match the schema');
  const texts = errors.slice(0, MAX_FAULTS).map((error) => {
    const path = pathOf(error);
    return `${path === '' ? 'value' : path}: ${reasonOf(error)}`;
  });
  if (errors.length > MAX_FAULTS) texts.push(`and ${errors.length - MAX_FAULTS} more`);
  return { ...invalid(pathOf(first), ''), message: clip(texts.join('; '), 2048) };
}

/** The dotted path of the field at fault: a missing or an unknown property is named itself. */
function pathOf(error: ErrorObject): string {
  const steps = error.instancePath
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
  const params: Record<string, unknown> = error.params;
  for (const name of ['missingProperty', 'additionalProperty', 'unevaluatedProperty', 'propertyName']) {
    const property = params[name];
    if (typeof property === 'string') return [...steps, property].join('.');
  }
  return steps.join('.');
}

function reasonOf(error: ErrorObject): string {
  if (error.keyword === 'required') return 'is required';
  if (error.keyword === 'additionalProperties' || error.keyword === 'unevaluatedProperties') return 'is not known';
  const allowed: unknown = error.params.allowedValues;
  if (error.keyword === 'enum' && Array.isArray(allowed)) return clip(`must be one of ${JSON.stringify(allowed)}`, 200);
  return error.message ?? `fails "${error.keyword}"`;
}
