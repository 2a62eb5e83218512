import type { AgentInput } from '../core/agent.ts';
import type { ApproverInfo, RefusedDecision } from '../core/approval-wire.ts';
import type { Health, NodeOrder, NodeReport, ToolDetails, ToolInfo } from '../core/cluster-wire.ts';
import type { DecisionTrace } from '../core/decision-trace.ts';
import type { ApiInput, ApiVerb } from '../core/door-wire.ts';
import { toAppError } from '../core/errors.ts';
import type { HumanDetails, HumanSummary, PersonAnswer } from '../core/human-wire.ts';
import type { JournalEntry } from '../core/journal-entry.ts';
import type { Json } from '../core/json.ts';
import type { AccountInfo, BreakerInfo } from '../core/ledger-wire.ts';
import type { PolicyAnswer } from '../core/policy.ts';
import type { RunResult } from '../core/result.ts';
import type { StatusEvent } from '../core/status.ts';
import type { Subjects } from '../core/subjects.ts';
import type { SwitchInfo, SwitchOrder } from '../core/switch-wire.ts';
import type { Why } from '../core/why.ts';
import type { Clock } from '../ports/clock.ts';
import { ACCEPT_MS, accepted, type Submitted } from './acceptance.ts';
import {
  type Accepted,
  type AgentDetails,
  type AgentPut,
  type AgentSummary,
  API_ANSWERS,
  type ApiAnswer,
  type Continued,
  type DeadLetter,
  type DeadLetterBody,
  type DeadLetterRetried,
  type NodeAnswer,
  type NodeOrdered,
  type PersonSaid,
  type PolicyApplied,
  type PolicyDetails,
  type RunDetails,
} from './answers.ts';
import { ask, type ClientBus } from './ask.ts';
import { readCallResult } from './call-result.ts';
import type { ContinueOptions } from './client.ts';
import { type EffectReport, effectReport } from './effects.ts';
import { type ExplainedRun, explainRun } from './explain.ts';
import { pages, wholeTrace } from './pages.ts';
import { checkedOrder, mustBeInForce, SILENCES, storeOrder } from './switch-order.ts';
import { nodeTimers } from './timers.ts';
import { clusterTrees, type NodeWithTree, type TreeOptions } from './trees.ts';
import { type ResultOptions, readResult } from './wait-result.ts';
import { type RunUpdate, type WatchOptions, type WatchSource, watchRun } from './watch.ts';

/** The operator's client: all runs of all users. It needs the rights to `api.*` and to hear `evt.>`. */

export interface OperatorOptions {
  bus: ClientBus;
  subjects: Subjects;
  /** Who gives the orders, as journals and logs will say: 1 to 128 characters. */
  by: string;
  /** Timers; real ones by default. */
  clock?: Pick<Clock, 'after'>;
}

export interface RunFilter {
  agent?: string;
  user?: string;
  /** A state or its beginning: `waiting` finds `waiting.person`. */
  state?: string;
}

/** What a person says at the end; an answer, a note, or both. */
export type PersonWord = Pick<ApiInput<'human_done'>, 'answer' | 'note' | 'outcome'>;

/** Who is to decide about approvals. */
export type ApproverInput = Pick<ApiInput<'approver_put'>, 'name' | 'public_key' | 'groups' | 'users'>;

/** A policy, the text it was written as, and in which lines of that its rules stand. */
export type PolicyOrder = Pick<ApiInput<'policy_put'>, 'policy' | 'lines' | 'text' | 'source' | 'running' | 'expect'>;

/** What a person says about a call whose outcome nobody knows, or that was asked of a person. */
export type Verdict = { verdict: 'done'; result?: Json } | { verdict: 'repeat' } | { verdict: 'fail'; why: string };

/**
 * An order about a scope, in force. `acknowledged`: all who act know of it, and `nodes` are those that said so. It is
 * false when no node answered: those that start read the switches first.
 */
export interface SwitchDone {
  acknowledged: boolean;
  scope: string;
  mode: SwitchOrder['mode'];
  revision: number;
  nodes: string[];
}

/** All methods throw AppError: what the node said (`unknown_run`, `already_ended`, ...), `no_node`, `bad_answer`. */
export interface Operator {
  /** Where runs stand by their last status, the one that changed last at the end; pages are followed. */
  runs(filter?: RunFilter): AsyncIterable<StatusEvent>;
  run(run: string): Promise<RunDetails>;
  /** What the run waits for, since when, until when, and who can unblock it. */
  why(run: string): Promise<Why>;
  /** Journal entries from a number on, in order; pages are followed. */
  journal(run: string, from?: number): AsyncIterable<JournalEntry>;
  /** Like a submitter's, of any run. */
  watch(run: string, options?: WatchOptions): AsyncIterable<RunUpdate>;
  /** Throws AppError `not_ended` (unless told to wait), `aborted`. */
  result(run: string, options?: ResultOptions): Promise<RunResult>;
  /** Like a submitter's, of any run. */
  callResult(run: string, call: string): Promise<Json>;
  /** Why the run did what it did, step by step, without secrets. */
  trace(run: string): Promise<DecisionTrace>;
  cancel(run: string, why?: string): Promise<Accepted>;
  pause(run: string, why?: string): Promise<Accepted>;
  resume(run: string, why?: string): Promise<Accepted>;
  /** Reads the journal of a held run again. */
  release(run: string, why?: string): Promise<Accepted>;
  /** Ends a held run. */
  fail(run: string, why?: string): Promise<Accepted>;
  resolve(run: string, call: string, verdict: Verdict, why?: string): Promise<Accepted>;
  /** Like a submitter's, of any run that has ended; its limits may pass what the agent allows. */
  continue(run: string, how?: ContinueOptions): Promise<Continued>;
  /** Oldest first; pages are followed. */
  deadLetters(): AsyncIterable<DeadLetter>;
  deadLetter(id: string): Promise<DeadLetterBody>;
  /** Publishes the message once more and removes the dead letter. */
  deadLetterRetry(id: string): Promise<DeadLetterRetried>;
  /** What is queued for people, oldest first, and who has it; with `all` also what is done. Pages are followed. */
  queue(filter?: { queue?: string; all?: boolean }): AsyncIterable<HumanSummary>;
  /** All that is known of one of them. Throws AppError `not_queued`, as the methods below. */
  queueItem(run: string): Promise<HumanDetails>;
  /** Takes it over. Throws AppError `already_claimed`, `already_done`: both say by whom. */
  queueClaim(run: string): Promise<PersonSaid>;
  /** Gives it back, whoever has it. Throws AppError `not_claimed`, `already_done`. */
  queueRelease(run: string, why?: string): Promise<PersonSaid>;
  /** The last word, which the submitter is told. Throws AppError `already_claimed` (by another), `already_done`. */
  queueDone(run: string, word: PersonWord): Promise<PersonSaid>;
  /** Like a submitter's, of any run. */
  personAnswer(run: string): Promise<PersonAnswer | null>;
  /**
   * Hands in the task of a run that has ended once more, from its start: a new run, whose task names the old one. Two
   * retries of one run are one run. Throws AppError `not_ended`, `not_retryable` (a delegated run), and as `submit`.
   */
  retry(run: string, why?: string): Promise<Submitted>;
  /**
   * Kills, pauses or drains a scope (`global`, `agent:NAME`, `agent:NAME@VERSION`, `user:NAME`, `run:ID`, `tool:NAME`,
   * `model:PROVIDER/MODEL`), or revives it. The order goes into the stream, past the nodes; resolves when every node knows
   * of it, or has stopped acting as it cannot read it: at the latest some seconds after the nodes' `switch_stale_ms`.
   * Throws AppError `invalid_request`, `not_in_force` (a revival of nothing), `unavailable` (not stored).
   */
  switch(scope: string, mode: SwitchOrder['mode'], why: string): Promise<SwitchDone>;
  /** Switches in force, oldest first; with `history` all orders there ever were. Pages are followed. */
  switches(options?: { history?: boolean }): AsyncIterable<SwitchInfo>;
  /** Circuit breakers that are not closed, or have seen failures, by target. */
  breakers(): Promise<BreakerInfo[]>;
  /** Closes one, for the whole cluster. Throws AppError `unknown_breaker`. */
  resetBreaker(target: string, why: string): Promise<void>;
  /** What was spent of budgets and caps in the periods that run; pages are followed. */
  accounts(): AsyncIterable<AccountInfo>;
  /** Who may decide about approvals, by name; with `history` every record there ever was, oldest first. */
  approvers(options?: { history?: boolean }): Promise<ApproverInfo[]>;
  /**
   * Lets somebody decide about approvals, with this public key, for these groups; `users` are submitters that are the
   * same person. Throws AppError `key_taken` (the name has another key), `key_used` (the key is another's, or revoked).
   */
  putApprover(approver: ApproverInput, why?: string): Promise<void>;
  /** No decision that is signed with the key of this name counts any more. Throws AppError `unknown_approver`, `already_revoked`. */
  revokeApprover(name: string, why?: string): Promise<void>;
  /** Decisions that counted for nothing, oldest first. */
  refusedDecisions(): AsyncIterable<RefusedDecision>;
  /** One of the nodes, whichever answers first. */
  node(): Promise<NodeAnswer>;
  /** Every node that is there, by name. */
  nodes(): Promise<NodeReport[]>;
  /**
   * Tells one node to take no more runs (`cordon`), to hand those that it has over as well (`drain`), or to take runs
   * again (`uncordon`). The order is the process's: under the same name the next one takes runs. Throws AppError
   * `unknown_node`.
   */
  nodeOrder(node: string, order: NodeOrder, why?: string): Promise<NodeOrdered>;
  /** The supervision trees of all nodes, or of one. Throws AppError `unknown_node`. */
  trees(options?: TreeOptions): Promise<NodeWithTree[]>;
  /** Nodes, what waits and since when, dead letters, runs without an owner. */
  health(): Promise<Health>;
  /** Tools that can be called now, by name. */
  tools(): Promise<ToolInfo[]>;
  /** Definition and workers of one. Throws AppError `unknown_tool`. */
  tool(name: string): Promise<ToolDetails>;
  /** By name; pages are followed. */
  agents(): AsyncIterable<AgentSummary>;
  /** The current version, or the one that is named. Throws AppError `unknown_agent`, `unknown_version`. */
  agent(name: string, version?: string): Promise<AgentDetails>;
  /**
   * Stores a version and makes it the current one: new tasks take it, runs that began keep theirs. Throws AppError
   * `version_taken` when other content is stored under it. `source` says where it comes from, for whoever reads later.
   */
  putAgent(definition: AgentInput, source?: string): Promise<AgentPut>;
  /** One version of the policy; the one in force when none is named. Throws AppError `unknown_version`. */
  policy(version?: number): Promise<PolicyDetails>;
  /**
   * Puts a policy into force for runs that begin from now on, with `running` for those at work as well. Throws AppError
   * `policy_changed` when `expect` is not the version in force, `invalid_request`.
   */
  applyPolicy(policy: PolicyOrder, why?: string): Promise<PolicyApplied>;
  /** What the gate would say to a call under the policy in force, or under another one. Nothing is called. */
  testPolicy(
    call: ApiInput<'policy_test'>['call'],
    candidate?: ApiInput<'policy_test'>['candidate'],
  ): Promise<PolicyAnswer>;
  /** What a run, and all that it delegated to, did in the world. */
  effects(run: string): Promise<EffectReport>;
  /**
   * Hands in the call that makes up for one that took effect, as the tool declares it: a new run, for the same user. Twice
   * is one run. Throws AppError `no_effect`, `no_compensation`, and as `submit`.
   */
  compensate(run: string, call: string, why?: string): Promise<Submitted>;
  /** Why each call of a run was allowed, denied or asked for: the rule and its line. */
  explain(run: string): Promise<ExplainedRun>;
}

const PAGE = 500;

export function createOperator({ bus, subjects, by, clock = nodeTimers }: OperatorOptions): Operator {
  const call = <K extends ApiVerb>(verb: K, body: ApiInput<K>): Promise<ApiAnswer<K>> =>
    ask(bus, subjects.api(verb), body, API_ANSWERS[verb]) as Promise<ApiAnswer<K>>;
  const order =
    (verb: 'cancel' | 'pause' | 'resume' | 'release' | 'fail') =>
    (run: string, why = '') =>
      call(verb, { run, by, why });
  const switches = (history = false) =>
    pages(async (after) => {
      const page = await call('switches', { history, limit: PAGE, after });
      return { items: page.switches, next: page.next };
    }, 0);
  const source = (run: string, options: WatchOptions = {}): WatchSource => ({
    ...options,
    bus,
    clock,
    events: subjects.anyEvent(run),
    status: async () => (await call('run', { run })).status,
    trace: (at) => call('trace', { run, ...at }),
    result: () => call('result', { run }),
  });

  const journal = (run: string, from = 0) =>
    pages(async (next) => {
      const page = await call('journal', { run, from: next });
      return { items: page.entries, next: page.next };
    }, from);
  return {
    runs: (filter = {}) =>
      pages(async (after) => {
        const page = await call('runs', { ...filter, limit: PAGE, after });
        return { items: page.runs, next: page.next };
      }, 0),
    run: (run) => call('run', { run }),
    why: (run) => call('why', { run }),
    journal,
    watch: (run, how) => watchRun(source(run, how)),
    result: (run, { wait = false, ...how } = {}) => readResult(run, source(run, how), wait),
    callResult: (run, c) => readCallResult((part) => call('blob', { run, c, part })),
    trace: (run) => wholeTrace((at) => call('trace', { run, ...at })),
    cancel: order('cancel'),
    pause: order('pause'),
    resume: order('resume'),
    release: order('release'),
    fail: order('fail'),
    resolve: (run, c, verdict, why = '') => call('resolve', { run, c, by, why, ...verdict }),
    continue: (run, how = {}) => call('continue', { run, by, ...how }),
    deadLetters: () =>
      pages(async (after) => {
        const page = await call('dead_letters', { limit: PAGE, after });
        return { items: page.letters, next: page.next };
      }, 0),
    deadLetter: (id) => call('dead_letter', { id }),
    deadLetterRetry: (id) => call('dead_letter_retry', { id }),
    queue: (filter = {}) =>
      pages(async (after) => {
        const page = await call('human_items', { ...filter, limit: PAGE, after });
        return { items: page.items, next: page.next };
      }, 0),
    queueItem: (run) => call('human_item', { run }),
    queueClaim: (run) => call('human_claim', { run, by }),
    queueRelease: (run, why = '') => call('human_release', { run, by, why }),
    queueDone: (run, word) => call('human_done', { run, by, ...word }),
    personAnswer: async (run) => (await call('person_answer', { run })).answer,
    approvers: async ({ history = false } = {}) => (await call('approvers', { history })).approvers,
    putApprover: async (approver, why = '') => void (await call('approver_put', { ...approver, by, why })),
    revokeApprover: async (name, why = '') => void (await call('approver_revoke', { name, by, why })),
    refusedDecisions: () =>
      pages(async (after) => {
        const page = await call('refused_decisions', { limit: PAGE, after });
        return { items: page.refused, next: page.next };
      }, 0),
    node: () => call('node', {}),
    nodes: async () => (await call('nodes', {})).nodes,
    nodeOrder: (node, order, why = '') => call('node_order', { node, order, by, why }),
    trees: (options) => clusterTrees((verb, body) => call(verb, body), options),
    health: () => call('health', {}),
    tools: async () => (await call('tools', {})).tools,
    tool: (name) => call('tool', { name }),
    retry: (run, why = '') =>
      accepted({ bus, clock, acceptMs: ACCEPT_MS, events: `${subjects.prefix}.evt.>` }, async () => {
        return (await call('retry', { run, by, why })).seq;
      }),
    switch: async (scope, mode, why) => {
      const checked = checkedOrder(scope, { v: 1, mode, by, why });
      if (mode === 'revive') await mustBeInForce(switches(), scope);
      const { seq: revision } = await storeOrder(bus, clock, subjects.switchOf(scope), checked);
      for (let silences = 0; ; ) {
        try {
          const { acknowledged, nodes } = await call('switch_ack', { revision });
          if (acknowledged) return { scope, mode, revision, acknowledged, nodes };
          silences = 0;
        } catch (thrown) {
          if (toAppError(thrown).code !== 'no_node') throw thrown;
          if (++silences >= SILENCES) return { scope, mode, revision, acknowledged: false, nodes: [] };
        }
      }
    },
    switches: ({ history = false } = {}) => switches(history),
    breakers: async () => (await call('breakers', {})).breakers,
    resetBreaker: async (target, why) => void (await call('breaker_reset', { target, by, why })),
    accounts: () =>
      pages(async (after) => {
        const page = await call('accounts', { limit: PAGE, after });
        return { items: page.accounts, next: page.next };
      }, ''),
    agents: () =>
      pages(async (after) => {
        const page = await call('agents', { limit: PAGE, after });
        return { items: page.agents, next: page.next };
      }, ''),
    agent: (name, version) => call('agent', { name, ...(version === undefined ? {} : { version }) }),
    putAgent: (definition, source = '') => call('agent_put', { definition, by, source }),
    policy: (version) => call('policy', version === undefined ? {} : { version }),
    applyPolicy: (policy, why = '') => call('policy_put', { ...policy, by, why }),
    testPolicy: (probe, candidate) =>
      call('policy_test', { call: probe, ...(candidate === undefined ? {} : { candidate }) }),
    effects: (run) => effectReport({ journal, run: (one) => call('run', { run: one }) }, run),
    compensate: (run, c, why = '') =>
      accepted({ bus, clock, acceptMs: ACCEPT_MS, events: `${subjects.prefix}.evt.>` }, async () => {
        return (await call('compensate', { run, c, by, why })).seq;
      }),
    explain: (run) =>
      explainRun(journal(run), (version) =>
        call('policy', { version }).then(
          ({ text }) => text,
          (thrown: unknown) => {
            if (toAppError(thrown).code === 'unknown_version') return null;
            throw thrown;
          },
        ),
      ),
  };
}
