import { AgentDefinition, type AgentInput, ModelOptions } from './agent.ts';
import { AnomalySettings } from './anomalies.ts';
import { ApprovalRules } from './approval-rules.ts';
import { AppError, clip } from './errors.ts';
import { Limits } from './limits.ts';
import { LOOP_RUNGS, LoopSettings } from './loops.ts';
import { type WrittenFault, writtenFaults } from './written-faults.ts';

/** Agent definitions as people write them: all faults at once, each with its path. */

export type CheckedAgent = { definition: AgentDefinition } | { faults: WrittenFault[] };

export function checkAgent(value: unknown): CheckedAgent {
  const parsed = AgentDefinition.safeParse(value);
  if (parsed.success) return { definition: parsed.data };
  return { faults: writtenFaults(parsed.error.issues, 'agent', knownKeys) };
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

function knownKeys([first, ...rest]: PropertyKey[]): string[] {
  if (first === undefined) return Object.keys(AgentDefinition.shape);
  if (first === 'limits' && rest.length === 0) return Object.keys(Limits.shape);
  if (first === 'approvals' && rest.length === 0) return Object.keys(ApprovalRules.shape);
  if (first === 'loops') return rest.length === 0 ? Object.keys(LoopSettings.shape) : [...LOOP_RUNGS];
  if (first === 'anomalies' && rest.length === 0) return Object.keys(AnomalySettings.shape);
  return first === 'model_options' && rest.length === 0 ? Object.keys(ModelOptions.shape) : [];
}
