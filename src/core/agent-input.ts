import type { z } from 'zod';
import { AgentDefinition, type AgentInput, ModelOptions } from './agent.ts';
import { AnomalySettings } from './anomalies.ts';
import { ApprovalRules } from './approval-rules.ts';
import { likely } from './closest.ts';
import { AppError, clip } from './errors.ts';
import { Limits } from './limits.ts';
import { LOOP_RUNGS, LoopSettings } from './loops.ts';

/** Agent definitions as people write them: all faults at once, each with its path. */

export interface AgentFault {
  path: PropertyKey[];
  /** `limits.steps: expected ...`; what the path is and what was expected there. */
  text: string;
}

export type CheckedAgent = { definition: AgentDefinition } | { faults: AgentFault[] };

/** Most faults that are told at once. */
const TOLD = 50;

export function checkAgent(value: unknown): CheckedAgent {
  const parsed = AgentDefinition.safeParse(value);
  if (parsed.success) return { definition: parsed.data };
  return { faults: parsed.error.issues.flatMap(faultsOf).slice(0, TOLD) };
}

/**
 * A definition of an agent: what is left out gets its default, what is wrong is told at once. Throws AppError
 * `invalid_agent` that names the agent and the path of each faulty field.
 */
export function defineAgent(input: AgentInput): AgentDefinition {
  const checked = checkAgent(input);
  if ('definition' in checked) return checked.definition;
  const { faults } = checked;
  const text = `agent ${nameIn(input)}: ${faults.map((fault) => fault.text).join('; ')}`;
  throw new AppError('invalid_agent', text, { field: clip(faults[0]?.path.map(String).join('.') ?? '', 256) });
}

function nameIn(input: unknown): string {
  const name = typeof input === 'object' && input !== null ? (input as { name?: unknown }).name : undefined;
  return typeof name === 'string' && name !== '' ? `"${clip(name, 64)}"` : 'without a name';
}

function faultsOf(issue: z.core.$ZodIssue): AgentFault[] {
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(issue.path);
    return issue.keys.map((key) => {
      const meant = likely(key, known);
      const hint = meant === undefined ? `known here: ${known.join(', ')}` : `did you mean "${meant}"?`;
      const path = [...issue.path, key];
      return { path, text: `${shown(path)}: unknown field; ${hint}` };
    });
  }
  const missing = issue.code === 'invalid_type' && /received undefined$/.test(issue.message);
  const message = issue.message.replace(/^Invalid input: /, '').replace(/^Too (?:big|small): /, '');
  return [
    {
      path: issue.path,
      text: `${shown(issue.path)}: ${missing ? `${message.replace(/, received undefined$/, '')}, but it is missing` : message}`,
    },
  ];
}

function shown(path: PropertyKey[]): string {
  return path.length === 0 ? 'agent' : clip(path.map(String).join('.'), 256);
}

function knownKeys([first, ...rest]: PropertyKey[]): string[] {
  if (first === undefined) return Object.keys(AgentDefinition.shape);
  if (first === 'limits' && rest.length === 0) return Object.keys(Limits.shape);
  if (first === 'approvals' && rest.length === 0) return Object.keys(ApprovalRules.shape);
  if (first === 'loops') return rest.length === 0 ? Object.keys(LoopSettings.shape) : [...LOOP_RUNGS];
  if (first === 'anomalies' && rest.length === 0) return Object.keys(AnomalySettings.shape);
  return first === 'model_options' && rest.length === 0 ? Object.keys(ModelOptions.shape) : [];
}
