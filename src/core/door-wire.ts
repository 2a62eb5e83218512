import { z } from 'zod';
import { AgentDefinition } from './agent.ts';
import { ApproverName, DEFAULT_GROUP, Group } from './approval-rules.ts';
import type { BlobRef } from './blob.ts';
import { NodeOrder } from './cluster-wire.ts';
import { CallId, RunId } from './events.ts';
import { PersonQueue } from './fallback.ts';
import { HumanOutcome, HumanWhy, hasContent, NO_CONTENT, PersonNote } from './human-wire.ts';
import { InspectQuery } from './inspect-wire.ts';
import { ResultJson } from './json.ts';
import { LimitOverrides } from './limits.ts';
import { Policy, PolicyLines, PolicyProbe, PolicyText } from './policy.ts';
import { PublicKey } from './signed.ts';
import { Name } from './task.ts';
import { TreeQuery } from './tree-wire.ts';

/**
 * Requests to the nodes. A submitter asks on `ask.<user>.<verb>` about its own runs; operators and the console ask on
 * `api.<verb>`. Bodies are version 1; answers are JSON; errors are NATS service errors with the AppError in the body.
 */

const V = z.literal(1).default(1);
const Why = z.string().max(1024).default('');
const By = z.string().min(1).max(128);
const Page = { limit: z.int().min(1).max(500).default(100), after: z.int().min(0).default(0) };
/** A page of the decision trace: entry that begins it, and steps before that entry; both from `next` of the page before. */
const TraceAt = { from: z.int().min(0).default(0), step: z.int().min(0).default(0) };
/** `limits` for the run that goes on, otherwise those of its agent; `key`: two orders with one key are one run. */
const Continue = {
  v: V,
  run: RunId,
  limits: LimitOverrides.optional(),
  key: z.string().min(1).max(256).optional(),
  /** Calls of which nobody knows whether they took effect may be made anew. */
  repeat_unknown: z.boolean().default(false),
  why: Why,
};
const Blob = { run: RunId, c: CallId, part: z.int().min(0).max(255) };
const DeadId = z.string().min(1).max(300);

export const ASK_VERBS = {
  status: z.strictObject({ v: V, run: RunId }),
  result: z.strictObject({ v: V, run: RunId }),
  cancel: z.strictObject({ v: V, run: RunId, why: Why }),
  /** One part, from 0, of the result of a call, which has several when it is too large for the journal: a BlobPart. */
  blob: z.strictObject({ v: V, ...Blob }),
  trace: z.strictObject({ v: V, run: RunId, ...TraceAt }),
  why: z.strictObject({ v: V, run: RunId }),
  /** What the person answered to whom the run was handed. */
  person_answer: z.strictObject({ v: V, run: RunId }),
  /** Lets a run that ended short of its answer go on, as a new run. */
  continue: z.strictObject(Continue),
} as const;

export const API_VERBS = {
  /** Runs by their last status, newest last; `after` is the `next` of the page before. */
  runs: z.strictObject({
    v: V,
    agent: z.string().optional(),
    user: z.string().optional(),
    state: z.string().optional(),
    ...Page,
  }),
  run: z.strictObject({ v: V, run: RunId }),
  /** What it waits for, since when, until when, and who can unblock it. */
  why: z.strictObject({ v: V, run: RunId }),
  /** Journal entries from number `from` on. */
  journal: z.strictObject({ v: V, run: RunId, from: z.int().min(0).default(0) }),
  trace: z.strictObject({ v: V, run: RunId, ...TraceAt }),
  result: z.strictObject({ v: V, run: RunId }),
  blob: z.strictObject({ v: V, ...Blob }),
  cancel: z.strictObject({ v: V, run: RunId, by: By, why: Why }),
  pause: z.strictObject({ v: V, run: RunId, by: By, why: Why }),
  resume: z.strictObject({ v: V, run: RunId, by: By, why: Why }),
  /** Folds the journal of a held run again. */
  release: z.strictObject({ v: V, run: RunId, by: By, why: Why }),
  /** Ends a held run. */
  fail: z.strictObject({ v: V, run: RunId, by: By, why: Why }),
  resolve: z.strictObject({
    v: V,
    run: RunId,
    c: CallId,
    verdict: z.enum(['done', 'repeat', 'fail']),
    result: ResultJson.optional(),
    by: By,
    why: Why,
  }),
  /** Like a submitter's; the limits may pass what the agent allows. */
  continue: z.strictObject({ ...Continue, by: By }),
  dead_letters: z.strictObject({ v: V, ...Page }),
  dead_letter: z.strictObject({ v: V, id: DeadId }),
  /** Publishes the original once more on its own subject and removes the dead letter. */
  dead_letter_retry: z.strictObject({ v: V, id: DeadId }),
  person_answer: z.strictObject({ v: V, run: RunId }),
  /** What is queued for people, oldest first, done or not with `all`; `limit` counts what is looked at. */
  human_items: z.strictObject({ v: V, queue: PersonQueue.optional(), all: z.boolean().default(false), ...Page }),
  /** All that is known of one, and what was said about it. */
  human_item: z.strictObject({ v: V, run: RunId }),
  human_claim: z.strictObject({ v: V, run: RunId, by: By }),
  human_release: z.strictObject({ v: V, run: RunId, by: By, why: HumanWhy }),
  /** The last word: an answer, a note, or both. */
  human_done: z
    .strictObject({
      v: V,
      run: RunId,
      by: By,
      outcome: HumanOutcome.default('solved'),
      answer: ResultJson.optional(),
      note: PersonNote.optional(),
    })
    .refine(hasContent, NO_CONTENT),
  /** Whether every node knows of the order with this revision; waits for a moment when not. */
  switch_ack: z.strictObject({ v: V, revision: z.int().min(1) }),
  /** Switches in force, or with `history` all orders there were; `after` is the `next` of the page before. */
  switches: z.strictObject({ v: V, history: z.boolean().default(false), ...Page }),
  /** Circuit breakers that are not closed, or have seen failures. */
  breakers: z.strictObject({ v: V }),
  /** Closes one, for the whole cluster. */
  breaker_reset: z.strictObject({ v: V, target: z.string().min(1).max(256), by: By, why: Why }),
  /** What was spent of budgets and caps in the periods that run; `after` is the `next` of the page before. */
  accounts: z.strictObject({
    v: V,
    limit: z.int().min(1).max(500).default(100),
    after: z.string().max(300).default(''),
  }),
  /** Whichever node answers first, about itself. */
  node: z.strictObject({ v: V }),
  /** Every node that is there. */
  nodes: z.strictObject({ v: V }),
  /** The supervision tree of one node. */
  tree: z.strictObject({ node: z.string().min(1).max(128), ...TreeQuery.shape }),
  /** Where an actor of one node stands; for some seconds from then on the node tells what it does. */
  inspect: z.strictObject({ node: z.string().min(1).max(128), ...InspectQuery.shape }),
  /** Cordons, drains or uncordons one node. */
  node_order: z.strictObject({ v: V, node: z.string().min(1).max(128), order: NodeOrder, by: By, why: Why }),
  /** Nodes, what waits, dead letters, runs without an owner. */
  health: z.strictObject({ v: V }),
  /** Tools that can be called now. */
  tools: z.strictObject({ v: V }),
  tool: z.strictObject({ v: V, name: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'expected a tool name') }),
  /** Hands in the task of a run that has ended once more; twice is one run. */
  retry: z.strictObject({ v: V, run: RunId, by: By, why: Why }),
  /** Hands in the call that makes up for one that took effect, as a task of its own; twice is one run. */
  compensate: z.strictObject({ v: V, run: RunId, c: CallId, by: By, why: Why }),
  /** Who may decide about approvals, by name; with `history` every record there ever was. */
  approvers: z.strictObject({ v: V, history: z.boolean().default(false) }),
  /** Lets somebody decide: with this key, for these groups. A name has one key at a time. */
  approver_put: z.strictObject({
    v: V,
    name: ApproverName,
    public_key: PublicKey,
    groups: z.array(Group).min(1).max(16).default([DEFAULT_GROUP]),
    users: z.array(Name).max(16).default([]),
    by: By,
    why: Why,
  }),
  /** From now on no decision counts that is signed with the key of this name. */
  approver_revoke: z.strictObject({ v: V, name: ApproverName, by: By, why: Why }),
  /** Decisions that counted for nothing, oldest first. */
  refused_decisions: z.strictObject({ v: V, ...Page }),
  /** Agents by name, without their instructions; `after` is the last name of the page before. */
  agents: z.strictObject({ v: V, limit: z.int().min(1).max(500).default(100), after: z.string().max(64).default('') }),
  /** The whole definition: the current version, or the one that is named. */
  agent: z.strictObject({ v: V, name: Name, version: AgentDefinition.shape.version.unwrap().optional() }),
  /** One version of the policy; the one in force when none is named. */
  policy: z.strictObject({ v: V, version: z.int().min(0).optional() }),
  /** Stores the next version of the policy; `expect`: refused when another version than this is in force. */
  policy_put: z.strictObject({
    v: V,
    policy: Policy,
    lines: PolicyLines.default({}),
    text: PolicyText,
    /** Also for runs that began under a version before it. */
    running: z.boolean().default(false),
    expect: z.int().min(0).optional(),
    by: By,
    why: Why,
    source: z.string().max(512).default(''),
  }),
  /** What the gate would say to a call, under the policy in force or under another one; nothing is called. */
  policy_test: z.strictObject({
    v: V,
    call: PolicyProbe,
    candidate: z.strictObject({ policy: Policy, lines: PolicyLines.default({}) }).optional(),
  }),
  /** Stores a version and makes it the current one. */
  agent_put: z.strictObject({ v: V, definition: AgentDefinition, by: By, source: z.string().max(512).default('') }),
} as const;

export type AskVerb = keyof typeof ASK_VERBS;
export type ApiVerb = keyof typeof API_VERBS;
export type AskBody<K extends AskVerb> = z.output<(typeof ASK_VERBS)[K]>;
export type ApiBody<K extends ApiVerb> = z.output<(typeof API_VERBS)[K]>;
export type ApiInput<K extends ApiVerb> = z.input<(typeof API_VERBS)[K]>;

/** One part of the result of a call; all parts in order, put together, are its JSON text. */
export interface BlobPart extends BlobRef {
  part: number;
  /** Base64. */
  data: string;
}

export interface DeadLetterInfo {
  id: string;
  source: string;
  subject: string;
  at: number;
  code: string;
  message: string;
  field?: string;
  bytes: number;
}

/** How one node stands to an agent. */
export interface AgentOnNode {
  node: string;
  /** Why the node takes no runs of it and what to do; absent when it does. */
  unusable?: string;
  slots: number;
  active: number;
}

/** The current version of an agent. */
export interface AgentInfo {
  name: string;
  version: string;
  model: string;
  description: string;
  tools: string[];
  delegates_to: string[];
  /** When, by whom and from where the version was stored; epoch milliseconds. */
  at: number;
  by: string;
  source: string;
  /** The nodes that answered in time. */
  nodes: AgentOnNode[];
}

export interface NodeInfo {
  node: string;
  version: string;
  active_runs: number;
  agents: string[];
  slots: number;
  lease_ms: number;
  now: number;
}
