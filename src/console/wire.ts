import type { AgentDetails, AgentSummary, DeadLetter, DeadLetterBody } from '../client/answers.ts';
import type { NodeWithTree } from '../client/trees.ts';
import type { ApprovalNotice, ApprovalRequest } from '../core/approval-wire.ts';
import type { Health, NodeReport, ToolDetails, ToolInfo } from '../core/cluster-wire.ts';
import type { TraceStep } from '../core/decision-trace.ts';
import type { HumanDetails, HumanSummary } from '../core/human-wire.ts';
import type { ActorAddress, ActorEvent, ActorState } from '../core/inspect-wire.ts';
import type { Json } from '../core/json.ts';
import type { BreakerInfo } from '../core/ledger-wire.ts';
import type { Limits } from '../core/limits.ts';
import type { RunContext } from '../core/run-state.ts';
import type { SwitchInfo } from '../core/switch-wire.ts';
import type { TreeChild, TreeMachine, TreeSupervisor } from '../core/tree-wire.ts';
import type { Why } from '../core/why.ts';

/** What the gateway says to its page: types alone, for both sides. Moments are epoch milliseconds of the server. */

export type {
  AgentDetails,
  AgentSummary,
  ApprovalNotice,
  ApprovalRequest,
  BreakerInfo,
  DeadLetter,
  DeadLetterBody,
  HumanDetails,
  HumanSummary,
  Json,
  NodeWithTree,
  ToolDetails,
  ToolInfo,
  TreeChild,
  TreeMachine,
  TreeSupervisor,
  Why,
};

export type Role = 'viewer' | 'approver' | 'operator';

export interface Me {
  name: string;
  role: Role;
  /** Goes with every order, in the header `x-proctor-csrf`. */
  csrf: string;
  /** The run that is shown from a file, with nothing else; null for a cluster. */
  file: string | null;
  version: string;
}

/** Where a run stands, as lists show it. */
export interface RunRow {
  run: string;
  agent: string;
  user: string;
  /** Dotted path of the state. */
  state: string;
  /** When it came to stand there, as far as its statuses tell; and when it was last heard of. */
  since: number;
  at: number;
  /** As far as its statuses tell. */
  accepted_at: number;
  step: number;
  progress: number | null;
  cost_usd: number;
  tokens: number;
  node: string | null;
  deadline_at: number | null;
  requires: { kind: string; text: string } | null;
  code: string | null;
  error: string | null;
}

export const RUN_SORTS = ['newest', 'age', 'cost', 'steps'] as const;
export type RunSort = (typeof RUN_SORTS)[number];

export interface RunQuery {
  /** Part of an id, or words that begin an agent or a user. */
  text: string;
  /** Of the six states; empty for all. */
  states: string[];
  /** Only those that wait for a person. */
  needs: boolean;
  sort: RunSort;
  offset: number;
  limit: number;
}

export interface RunPage {
  total: number;
  /** Of all that match the text, by state. */
  counts: Record<string, number>;
  needs: number;
  rows: RunRow[];
}

/** One moment that something waits for. */
export interface Moment {
  kind: string;
  text: string;
  at: number;
}

export interface FrameEvent {
  type: string;
  text: string;
  tone: 'plain' | 'good' | 'bad' | 'warn' | 'quiet';
  /** Between whom: `run`, `model`, `node`, `operator`, `person`, `tool:NAME`, `run:ID`. */
  from: string;
  to: string;
  /** The call that it is about. */
  c?: string;
}

/** One journal entry, folded: what happened, which transitions it took, and where the run stood then. */
export interface Frame {
  n: number;
  at: number;
  state: string;
  /** Since when it stands there. */
  since: number;
  /** Edges of the chart, in the order in which they were taken. */
  via: string[];
  events: FrameEvent[];
  moments: Moment[];
  cost_usd: number;
  /** Steps finished, and whether the entry says that something failed. */
  step: number;
  failed: boolean;
}

/** Something that the owner of a run does now. Its moments are those of the journal. */
export interface Working {
  id: string;
  /** A tool, an agent that it delegates to, or a model. */
  what: string;
  phase: 'planning' | 'deciding' | 'reviewing' | 'calling' | 'delegating';
  /** The call that it is; null for a model. */
  c: string | null;
  since: number;
  /** When it is given up. */
  until: number;
  /** 1 for the first try. */
  attempt: number;
}

export interface RunHead {
  run: string;
  agent: string;
  agent_version: string;
  user: string;
  session_id: string | null;
  parent: string | null;
  children: { run: string; c: string; agent: string }[];
  continues: string | null;
  /** The input, and the plan that it may bring, redacted. */
  task: Json;
  limits: Limits;
  accepted_at: number;
  started_at: number | null;
  ended_at: number | null;
  /** Last entry that is folded, and whether there may be more. */
  n: number;
  reading: boolean;
  state: string;
  since: number;
  node: string | null;
  progress: number | null;
  totals: {
    steps: number;
    tool_calls: number;
    input_tokens: number;
    output_tokens: number;
    cost_usd: number;
    think_ms: number;
    tool_ms: number;
  };
  end: { code: string; detail: string; error: string | null } | null;
  answer: Json | null;
  moments: Moment[];
  working: Working[];
  /** Calls that wait for a person's word. */
  asks: { c: string; tool: string; unknown: boolean; question: string }[];
  quarantine: string | null;
  pause: { by: string; why: string; at: number; scope: string | null } | null;
  chart: string;
}

export interface RunView {
  head: RunHead;
  frames: Frame[];
  steps: TraceStep[];
  now: number;
}

export interface ContextAt {
  n: number;
  state: string;
  context: RunContext;
  /** After the entry before; null for the first. */
  before: RunContext | null;
}

export interface SeriesPoint {
  at: number;
  started: number;
  ended: number;
  failed: number;
  cost_usd: number;
  steps: number;
}

export interface Overview {
  counts: Record<string, number>;
  total: number;
  needs: number;
  /** As many as are shown, of those that wait for a person; longest in its state first. */
  attention: RunRow[];
  recent: RunRow[];
  /** As many as are shown, of `agents`; most live runs first. */
  byAgent: { agent: string; live: number; ended: number; failed: number; cost_usd: number }[];
  agents: number;
  /** Of all runs. */
  cost_usd: number;
  /** Every ten seconds, of the last ten minutes; since the gateway started. */
  series: SeriesPoint[];
}

export interface Cluster {
  /** Null while no node answers; `error` says why. */
  health: Health | null;
  nodes: NodeReport[];
  switches: SwitchInfo[];
  error: string | null;
  at: number;
}

/** What waits for an approval, and who may decide. */
export interface Approvals {
  requests: ApprovalRequest[];
  approvers: { name: string; public_key: string; groups: string[] }[];
  /** Arguments are shown as they are; else without secrets, and nobody decides by them. */
  exact: boolean;
  /** Why nothing newer is known. */
  error: string | null;
  at: number;
}

/** An actor of a node that is watched as a chart. */
export interface ActorAt extends ActorAddress {
  node: string;
}

export interface LoggedEvent extends ActorEvent {
  /** Counts up, as the gateway heard them, from the time at which it began to listen: later ones are greater whoever counts. */
  k: number;
}

/** Where it stands, and what it was sent lately, as far as the gateway heard. */
export interface ActorView extends ActorAt {
  /** Of its chart; null before the node has answered. */
  chart: string | null;
  state: Omit<ActorState, 'v' | 'events'> | null;
  /** Newest last; on the stream those that the tab does not have. */
  events: LoggedEvent[];
  /** Why nothing newer is known. */
  error: Fault | null;
}

/** What one tab wants to hear. */
export interface Watch {
  /** Counts up in each tab: of two that arrive in the other order the older counts for nothing. */
  n: number;
  overview: boolean;
  cluster: boolean;
  approvals: boolean;
  /** Whether it shows the list of runs, and which rows of it. */
  list: boolean;
  runs: string[];
  /** The run that it shows, and the first entry that it does not have. */
  run: { id: string; from: number } | null;
  actor: ActorAt | null;
}

/** Events of the stream `/api/stream`. */
export interface StreamEvents {
  hello: { tab: string; known: boolean; now: number; connected: boolean };
  overview: Overview;
  cluster: Cluster;
  approvals: Approvals;
  /** Rows that the tab shows and that changed; none when others came or went. */
  runs: { rows: RunRow[] };
  run: { id: string; head: RunHead; frames: Frame[]; steps: TraceStep[] };
  /** The run cannot be shown. */
  gone: { id: string; code: string; message: string };
  actor: ActorView;
  beat: { now: number; connected: boolean };
}

export interface Fault {
  code: string;
  message: string;
}
