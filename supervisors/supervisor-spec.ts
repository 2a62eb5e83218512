import { AppError } from '../src/core/errors.ts';
import type { RestartBudget } from '../src/core/restart-budget.ts';
import { type ChildSpec, readChildSpec, readChildSpecs } from './child-spec.ts';
import { Fields, shown } from './fields.ts';
import type { AutoShutdown, Strategy } from './spec-types.ts';

/** Supervisor specifications: OTP's flags and the children. Everything is checked before any child starts. */

/** Most partitions of one supervisor. */
const MAX_PARTITIONS = 1_024;

export interface SupervisorFlags extends Readonly<RestartBudget> {
  readonly strategy: Strategy;
  readonly autoShutdown: AutoShutdown;
  /** Null without a limit. */
  readonly maxChildren: number | null;
  readonly extraInput: Readonly<Record<string, unknown>> | null;
  /** How many partitions there are; null for a supervisor that is not partitioned. */
  readonly partitions: number | null;
  readonly reviveStopped: boolean;
  readonly otpExact: boolean;
  /** Whether an XState actor asks the decision core, which can be watched. */
  readonly actor: boolean;
}

export interface SupervisorSpec {
  readonly flags: SupervisorFlags;
  readonly children: readonly ChildSpec[];
}

/** @throws AppError `bad_supervisor_spec` or `bad_child_spec`, naming every fault */
export function readSupervisorSpec(input: unknown): SupervisorSpec {
  const fields = new Fields(input, 'supervisor');
  const flags = readFlags(fields);
  const listed = fields.any('children') ?? [];
  if (!Array.isArray(listed)) fields.fault('children', `expected a list of child specs; got ${shown(listed)}`);
  fields.check('bad_supervisor_spec');
  const children = readChildSpecs(listed as unknown[]);
  if (flags.strategy === 'dynamic' && children.length > 0) {
    throw fault('children', 'a dynamic supervisor starts without children; start them with start_child');
  }
  for (const [index, spec] of children.entries()) checkChild(flags, spec, `children.${index}`);
  checkIds(children);
  return { flags, children: flags.partitions === null ? children : partitioned(children, flags.partitions) };
}

/** One child as `start_child` takes it. */
export function readAddedChild(flags: SupervisorFlags, input: unknown): ChildSpec {
  const spec = readChildSpec(input);
  checkChild(flags, spec, 'child');
  return spec;
}

function readFlags(fields: Fields): SupervisorFlags {
  const strategies = ['one_for_one', 'one_for_all', 'rest_for_one', 'dynamic'] as const;
  const shutdowns = ['never', 'any_significant', 'all_significant'] as const;
  const partitions = fields.any('partitions') === undefined ? null : fields.whole('partitions', 1, 1);
  const maxChildren = fields.count('maxChildren', { least: 0, or: ['infinity'] }, 'infinity');
  const flags: SupervisorFlags = {
    strategy: fields.oneOf('strategy', strategies, 'one_for_one'),
    intensity: fields.whole('intensity', 0, partitions === null ? 1 : 3),
    periodMs: fields.whole('periodMs', 1, 5_000),
    autoShutdown: fields.oneOf('autoShutdown', shutdowns, 'never'),
    maxChildren: maxChildren === 'infinity' ? null : maxChildren,
    extraInput: readExtraInput(fields),
    partitions,
    reviveStopped: fields.flag('reviveStopped', true),
    otpExact: fields.flag('otpExact', false),
    actor: fields.flag('actor', true),
  };
  const dynamic = flags.strategy === 'dynamic';
  if (dynamic && flags.autoShutdown !== 'never') {
    fields.fault('autoShutdown', 'a dynamic supervisor knows only "never"');
  }
  if (!dynamic && maxChildren !== 'infinity') fields.fault('maxChildren', 'only a dynamic supervisor has a limit');
  if (!dynamic && flags.extraInput !== null) fields.fault('extraInput', 'only a dynamic supervisor has it');
  if (partitions !== null) checkPartitions(fields, flags, partitions);
  return flags;
}

function checkPartitions(fields: Fields, flags: SupervisorFlags, partitions: number): void {
  if (partitions > MAX_PARTITIONS) fields.fault('partitions', `expected at most ${MAX_PARTITIONS}; got ${partitions}`);
  if (flags.strategy === 'dynamic') fields.fault('strategy', 'a partition supervisor has a static strategy');
  if (flags.autoShutdown !== 'never') fields.fault('autoShutdown', 'a partition supervisor knows only "never"');
  const children = fields.any('children');
  if (!Array.isArray(children) || children.length !== 1) {
    fields.fault('children', 'a partition supervisor has exactly one child spec, the one all partitions follow');
  }
}

function readExtraInput(fields: Fields): Readonly<Record<string, unknown>> | null {
  const value = fields.any('extraInput');
  if (value === undefined) return null;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  fields.fault('extraInput', `expected an object; got ${shown(value)}`);
  return null;
}

function checkChild(flags: SupervisorFlags, spec: ChildSpec, where: string): void {
  if (spec.significant && flags.autoShutdown === 'never') {
    throw fault(
      `${where}.significant`,
      'a child is significant only under autoShutdown any_significant or all_significant',
    );
  }
}

function checkIds(children: readonly ChildSpec[]): void {
  const seen = new Set<string>();
  for (const { id } of children) {
    if (seen.has(id))
      throw new AppError('duplicate_child_id', `children: the id ${shown(id)} is used twice`, { field: 'children' });
    seen.add(id);
  }
}

function partitioned(children: readonly ChildSpec[], count: number): ChildSpec[] {
  const [pattern] = children;
  if (pattern === undefined) return [];
  return Array.from({ length: count }, (_, index) => ({
    ...pattern,
    id: String(index),
    input: withFields({ partition: index }, pattern.input),
  }));
}

/** `input` with the fields of `under` below its own; an input that is no object stays as it is, as `input`. */
export function withFields(under: Readonly<Record<string, unknown>>, input: unknown): unknown {
  if (input === undefined) return under;
  const isObject = typeof input === 'object' && input !== null && !Array.isArray(input);
  return isObject ? { ...under, ...input } : { ...under, input };
}

function fault(field: string, text: string): AppError {
  return new AppError('bad_supervisor_spec', `${field}: ${text}`, { field });
}
