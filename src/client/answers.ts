import { z } from 'zod';
import { AgentDefinition } from '../core/agent.ts';
import { ApproverInfo, RefusedDecision } from '../core/approval-wire.ts';
import { BlobRef } from '../core/blob.ts';
import { Health, NodeReport, ToolDetails, ToolInfo } from '../core/cluster-wire.ts';
import { TracePage } from '../core/decision-trace.ts';
import type { ApiVerb } from '../core/door-wire.ts';
import { AppError, describeFaults } from '../core/errors.ts';
import { Continues, RunId } from '../core/events.ts';
import { HumanDetails, HumanStanding, HumanSummary, PersonAnswer } from '../core/human-wire.ts';
import { Inspected } from '../core/inspect-wire.ts';
import { JournalEntry } from '../core/journal-entry.ts';
import { Json } from '../core/json.ts';
import { AccountInfo, BreakerInfo } from '../core/ledger-wire.ts';
import { Limits } from '../core/limits.ts';
import { PolicyAnswer, PolicyRecord } from '../core/policy.ts';
import { RunResult } from '../core/result.ts';
import { Protocol, RunContext } from '../core/run-state.ts';
import { StatusEvent } from '../core/status.ts';
import { SwitchAck, SwitchInfo } from '../core/switch-wire.ts';
import { Task } from '../core/task.ts';
import { NodeTree } from '../core/tree-wire.ts';
import { Why } from '../core/why.ts';

/** What nodes answer to requests. Fields that a newer node adds are passed over; a missing one is `bad_answer`. */

/** The order was stored for the run; `state` is where the run stood then. */
export const Accepted = z.object({ ok: z.literal(true), run: RunId, state: z.string() });
export type Accepted = z.infer<typeof Accepted>;

const ApproverStored = z.object({ ok: z.literal(true), name: z.string() });

/** A new run goes on where `continues` ended. */
export const Continued = Accepted.extend({ continues: RunId });
export type Continued = z.infer<typeof Continued>;

/** Everything about one run but its journal. */
export const RunDetails = z.object({
  status: StatusEvent,
  task: Task,
  limits: Limits,
  ancestors: z.array(z.string()),
  /** Where the runs of its members stand; nodes of older versions do not say. */
  member_states: z.record(z.string(), z.string()).optional(),
  continues: Continues.optional(),
  context: RunContext,
  protocol: Protocol,
});
export type RunDetails = z.infer<typeof RunDetails>;

/** A message that could not be worked on; `at` in epoch milliseconds, `bytes` of its body. */
export const DeadLetter = z.object({
  id: z.string(),
  source: z.string(),
  subject: z.string(),
  at: z.int(),
  code: z.string(),
  message: z.string(),
  field: z.string().optional(),
  bytes: z.int(),
});
export type DeadLetter = z.infer<typeof DeadLetter>;

/** With the first 64 K characters of the body: `encoding` is utf8 or base64. */
export const DeadLetterBody = DeadLetter.extend({
  encoding: z.string().optional(),
  parts: z.int().optional(),
  body: z.string(),
});
export type DeadLetterBody = z.infer<typeof DeadLetterBody>;

export const DeadLetterRetried = z.object({ ok: z.literal(true), id: z.string(), subject: z.string(), seq: z.int() });
export type DeadLetterRetried = z.infer<typeof DeadLetterRetried>;

/** One node about itself; `now` is its clock, epoch milliseconds. */
export const NodeAnswer = z.object({
  node: z.string(),
  version: z.string(),
  active_runs: z.int(),
  agents: z.array(z.string()),
  slots: z.int(),
  lease_ms: z.int(),
  now: z.number(),
});
export type NodeAnswer = z.infer<typeof NodeAnswer>;

/** The task of a run was stored once more, as message `seq` of the task stream. */
export const RetryStored = z.object({
  ok: z.literal(true),
  retry_of: RunId,
  agent: z.string(),
  user: z.string(),
  seq: z.int(),
});

/** The node as it is after the order; `lonely` are agents of it that no other node takes runs of now. */
export const NodeOrdered = z.object({ ok: z.literal(true), node: NodeReport, lonely: z.array(z.string()) });
export type NodeOrdered = z.infer<typeof NodeOrdered>;

const CompensationStored = z.object({
  ok: z.literal(true),
  compensates: z.object({ run: RunId, c: z.string() }),
  tool: z.string(),
  user: z.string(),
  seq: z.int(),
});

const Next = z.int().nullable();

/** One agent as it is now, and the nodes that answered in time: `unusable` says why one takes no runs of it. */
export const AgentSummary = z.object({
  name: z.string(),
  version: z.string(),
  model: z.string(),
  description: z.string(),
  tools: z.array(z.string()),
  delegates_to: z.array(z.string()),
  at: z.int(),
  by: z.string(),
  source: z.string(),
  nodes: z.array(z.object({ node: z.string(), unusable: z.string().optional(), slots: z.int(), active: z.int() })),
});
export type AgentSummary = z.infer<typeof AgentSummary>;

/** One version of an agent; `versions` are all that are stored, in the order in which they were, `current` is in force. */
export const AgentDetails = z.object({
  definition: AgentDefinition,
  at: z.int(),
  by: z.string(),
  source: z.string(),
  current: z.string(),
  versions: z.array(z.string()),
});
export type AgentDetails = z.infer<typeof AgentDetails>;

/** `stored` is false when this very version was there before; `unusable` says why the node that answered takes no runs. */
export const AgentPut = z.object({
  ok: z.literal(true),
  name: z.string(),
  version: z.string(),
  stored: z.boolean(),
  unusable: z.string().optional(),
});
export type AgentPut = z.infer<typeof AgentPut>;

/** One version of the policy; `at` is null for the one that is built in, `current` is the one that runs begin with. */
export const PolicyDetails = z.object({ ...PolicyRecord.shape, at: z.int().nullable(), current: z.int() });
export type PolicyDetails = z.infer<typeof PolicyDetails>;

/** `stored` is false when the same policy was in force already. */
export const PolicyApplied = z.object({ ok: z.literal(true), version: z.int(), stored: z.boolean() });
export type PolicyApplied = z.infer<typeof PolicyApplied>;

/** One part of the result of a call. All parts in order, put together, are its JSON text: `sha256` and `bytes` are of that. */
export const StoredPart = z.object({ ...BlobRef.shape, part: z.int(), data: z.base64() });
export type StoredPart = z.infer<typeof StoredPart>;

/** A person's word about a run was stored; `standing` is where it stands since. */
export const PersonSaid = z.object({ ok: z.literal(true), run: RunId, queue: z.string(), standing: HumanStanding });
export type PersonSaid = z.infer<typeof PersonSaid>;

/** Null while no person has answered. */
export const PersonAnswered = z.object({ answer: PersonAnswer.nullable() });

/** The answer to each operator's verb. */
export const API_ANSWERS = {
  runs: z.object({ runs: z.array(StatusEvent), next: Next }),
  run: RunDetails,
  why: Why,
  journal: z.object({ entries: z.array(JournalEntry), next: Next }),
  trace: TracePage,
  result: RunResult,
  blob: StoredPart,
  cancel: Accepted,
  pause: Accepted,
  resume: Accepted,
  release: Accepted,
  fail: Accepted,
  resolve: Accepted,
  continue: Continued,
  approvers: z.object({ approvers: z.array(ApproverInfo) }),
  approver_put: ApproverStored,
  approver_revoke: ApproverStored,
  refused_decisions: z.object({ refused: z.array(RefusedDecision), next: Next }),
  dead_letters: z.object({ letters: z.array(DeadLetter), next: Next }),
  dead_letter: DeadLetterBody,
  dead_letter_retry: DeadLetterRetried,
  person_answer: PersonAnswered,
  human_items: z.object({ items: z.array(HumanSummary), next: Next }),
  human_item: HumanDetails,
  human_claim: PersonSaid,
  human_release: PersonSaid,
  human_done: PersonSaid,
  node: NodeAnswer,
  nodes: z.object({ nodes: z.array(NodeReport) }),
  tree: NodeTree,
  inspect: Inspected,
  node_order: NodeOrdered,
  health: Health,
  tools: z.object({ tools: z.array(ToolInfo) }),
  tool: ToolDetails,
  retry: RetryStored,
  compensate: CompensationStored,
  switch_ack: SwitchAck,
  breakers: z.object({ breakers: z.array(BreakerInfo) }),
  breaker_reset: z.object({ ok: z.literal(true), target: z.string() }),
  accounts: z.object({ accounts: z.array(AccountInfo), next: z.string().nullable() }),
  switches: z.object({ switches: z.array(SwitchInfo), next: Next }),
  agents: z.object({ agents: z.array(AgentSummary), next: z.string().nullable() }),
  agent: AgentDetails,
  agent_put: AgentPut,
  policy: PolicyDetails,
  policy_put: PolicyApplied,
  policy_test: PolicyAnswer,
} as const satisfies { [K in ApiVerb]: z.ZodType };
export type ApiAnswer<K extends ApiVerb> = z.output<(typeof API_ANSWERS)[K]>;

/** Throws AppError `bad_answer`: another version of Proctor, or somebody else, answered. */
export function parseAnswer<S extends z.ZodType>(schema: S, data: string, subject: string): z.output<S> {
  let value: unknown;
  try {
    value = Json.parse(JSON.parse(data));
  } catch (cause) {
    throw new AppError('bad_answer', `${subject}: the answer is not JSON: is it a Proctor node that answers?`, {
      cause,
    });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { message } = describeFaults(parsed.error, 'answer');
  throw new AppError('bad_answer', `${subject}: the node answered what this version does not understand: ${message}`);
}
