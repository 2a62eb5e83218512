/**
 * The public API. `connectClient` and `connectOperator` talk to a running Proctor (`createClient` and `createOperator`
 * over a bus of yours), `defineTool` and `startWorker` offer tools to it, `startSupervisor` and `startStack` run it
 * inside a process of yours; the rest are the shapes they speak. What tests need is in `proctor/testing`.
 */

export { systemClock } from './adapters/clock/system-clock.ts';
export { cryptoIds } from './adapters/crypto/ids.ts';
export { type LoadedAgent, loadAgents } from './adapters/definition-files/load-agents.ts';
export { type LoadedPolicy, loadPolicy } from './adapters/definition-files/load-policy.ts';
export { nkeySignatures, nkeySigner } from './adapters/nkeys/signing.ts';
export { spanIds } from './adapters/otel/forced-ids.ts';
export { otelTelemetry } from './adapters/otel/telemetry.ts';
export {
  type Approver,
  type ConnectApproverOptions,
  connectApprover,
  type StartApprovalsOptions,
  startApprovals,
  type Verdict as ApprovalVerdict,
} from './app/approvals.ts';
export { type Connected, type ConnectOptions, connectClient, connectOperator } from './app/connect-client.ts';
export { type LogLevel, logTo, SILENT } from './app/local.ts';
export { loadPricing } from './app/pricing.ts';
export { type RunningTelemetry, startTelemetry, type TelemetryOptions } from './app/telemetry.ts';
export { type StartWorkerOptions, startWorker } from './app/worker.ts';
export {
  connectBus,
  type NatsAddress,
  PLAN_AGENT,
  type Stack,
  type StackOptions,
  type SupervisorOptions,
  startStack,
  startSupervisor,
} from './app.ts';
export type { Submitted } from './client/acceptance.ts';
export type {
  Accepted,
  AgentDetails,
  AgentPut,
  AgentSummary,
  Continued,
  DeadLetter,
  DeadLetterBody,
  DeadLetterRetried,
  NodeAnswer,
  NodeOrdered,
  PolicyApplied,
  PolicyDetails,
  RunDetails,
} from './client/answers.ts';
export {
  type Client,
  type ClientOptions,
  type ContinueOptions,
  createClient,
} from './client/client.ts';
export type { EffectReport, ReportedEffect } from './client/effects.ts';
export type { ExplainedCall, ExplainedRule, ExplainedRun } from './client/explain.ts';
export {
  type ApproverInput,
  createOperator,
  type Operator,
  type OperatorOptions,
  type PolicyOrder,
  type RunFilter,
  type SwitchDone,
  type Verdict,
} from './client/operator.ts';
export type { ResultOptions } from './client/wait-result.ts';
export type { RunStatus, RunUpdate, WatchOptions } from './client/watch.ts';
export { AgentDefinition, type AgentInput } from './core/agent.ts';
export { defineAgent } from './core/agent-input.ts';
export { ApprovalReason, ApprovalRules, ApprovalTerms } from './core/approval-rules.ts';
export {
  ApprovalNotice,
  ApprovalRequest,
  ApproverInfo,
  DecisionPayload,
  RefusedDecision,
} from './core/approval-wire.ts';
export type {
  BlockedLoop,
  Health,
  NodeOrder,
  NodeReport,
  QueueInfo,
  StaleRun,
  ToolDetails,
  ToolInfo,
  ToolWorker,
  WaitingForPeople,
} from './core/cluster-wire.ts';
export { CallRequest, Decision, Usage } from './core/decision.ts';
export { DecisionTrace, TraceCall, TraceEvent, TraceStep } from './core/decision-trace.ts';
export { AppError, ErrorInfo } from './core/errors.ts';
export { RunEvent } from './core/events.ts';
export { JournalEntry } from './core/journal-entry.ts';
export type { Json } from './core/json.ts';
export { LimitOverrides, Limits } from './core/limits.ts';
export { Plan, PlanStep } from './core/plan.ts';
export { Policy, PolicyAnswer, type PolicyInput, PolicyLines, PolicyProbe } from './core/policy.ts';
export { FailureCode, Outcome, ReasonCode } from './core/reasons.ts';
export { RunResult, StepSummary } from './core/result.ts';
export { StatusEvent } from './core/status.ts';
export { Subjects } from './core/subjects.ts';
export { SwitchScope } from './core/switch-scope.ts';
export { SwitchEntry, SwitchInfo, SwitchMode, SwitchOrder } from './core/switch-wire.ts';
export { Task } from './core/task.ts';
export { ToolDefinition } from './core/tool.ts';
export { VERSION } from './core/version.ts';
export { Why } from './core/why.ts';
export type { Bus } from './ports/bus.ts';
export type { Clock } from './ports/clock.ts';
export type { Model, ThinkInput, ThinkReply } from './ports/model.ts';
export type { Signatures, Signer } from './ports/signing.ts';
export type { Log, Telemetry } from './ports/telemetry.ts';
export type { ToolCall, ToolSource } from './ports/tools.ts';
export type { SupervisorNode } from './runtime/node.ts';
export type { FirstPolicy, PolicyInForce } from './runtime/policies.ts';
export type { NodeSettings } from './runtime/settings.ts';
export { defineTool, type ToolSpec } from './worker/define-tool.ts';
export {
  type ApprovalService,
  type DecideContext,
  type ServeApprovalsOptions,
  serveApprovals,
} from './worker/serve-approvals.ts';
export { type ServeToolsOptions, serveTools, type Worker } from './worker/serve-tools.ts';
export { type ToolErrorCode, type ToolErrorOptions, toolError } from './worker/tool-error.ts';
export type { WorkerCallContext, WorkerTool } from './worker/worker-tool.ts';
