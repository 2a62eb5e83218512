import type { AgentDefinition } from '../core/agent.ts';
import type { Decision, Usage } from '../core/decision.ts';
import type { ErrorInfo } from '../core/errors.ts';
import type { Json } from '../core/json.ts';
import type { Limits } from '../core/limits.ts';
import type { Plan } from '../core/plan.ts';
import type { Task } from '../core/task.ts';
import type { ToolDefinition } from '../core/tool.ts';

/** What a step that is still in the window asked for and saw. */
export interface WindowStep {
  entry: number;
  /** It was made by a run that this one continues; what failed then may be tried anew. */
  earlier?: true;
  decision: Decision;
  observations: Observation[];
  /** The step failed before it decided anything. */
  error?: ErrorInfo;
}

export interface Observation {
  c: string;
  tool: string;
  plan_step?: string;
  /** `unavailable`: the tool stayed down over all tries; the error suggests what to do instead (DEG-3). */
  status: 'ok' | 'error' | 'refused' | 'unknown' | 'unavailable';
  result: Json;
  /** When the result was fetched, epoch milliseconds. */
  at?: number;
  /** The tool was not called: the result is that of an equal call (TOOL-10). */
  cached?: true;
  /** How long after that it may be acted on (TOOL-9), milliseconds; absent: for good. */
  valid_ms?: number;
  /** That is over: a call which acts on it is refused until it was fetched again. */
  stale?: true;
  /** The result is too large for a window: `result` is the beginning of its JSON text. */
  large?: { bytes: number };
  error?: ErrorInfo;
}

export interface ThinkInput {
  run: string;
  agent: AgentDefinition;
  user: string;
  task: Task;
  phase: 'planning' | 'deciding' | 'reviewing';
  /** The plan in force and, for each of its steps that is done, how to read its result. */
  plan: { plan: Plan; done: ReadonlySet<string>; result(step: string): Promise<Json> } | null;
  /** The last steps, oldest first, read from the journal when asked for. */
  window(): Promise<WindowStep[]>;
  /** The tools that the agent may call and that are there now. */
  tools(): Promise<ToolDefinition[]>;
  /** The agents that it may delegate to. */
  delegates: { name: string; description: string }[];
  /** The answer to judge; only in the phase `reviewing`. */
  draft?: Json;
  /** What Proctor has to say about its last steps: that it goes round in circles. */
  notice?: string;
  limits: Limits;
  /** Most output tokens of this reply. */
  maxOutputTokens: number;
  /** What the run's limits leave it, this step included. */
  remaining: { steps: number; ms: number; tokens: number; cost_usd: number; tool_calls: number };
  step: number;
  signal: AbortSignal;
}

export interface ThinkReply {
  decision: Decision;
  usage: Usage;
  /** The model that answered, as its provider names it. */
  model: string;
}

/**
 * Decides what a run does next. Failures are AppErrors; `retryable` says whether asking again can help, `retryAfterMs`
 * when, and `usage` what the failed call used.
 */
export interface Model {
  think(input: ThinkInput): Promise<ThinkReply>;
}

/** Finds the adapter that an agent definition names. */
export interface Models {
  /** Throws AppError `no_model`. */
  get(name: string): Model;
  /** Asked when agents are loaded. Throws AppError `no_model` or `unknown_price` when the agent's model cannot be used. */
  check(agent: AgentDefinition): void;
}
