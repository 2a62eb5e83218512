import type { z } from 'zod';
import {
  API_VERBS,
  type ApiBody,
  type ApiVerb,
  ASK_VERBS,
  type AskBody,
  type AskVerb,
  type NodeInfo,
} from '../core/door-wire.ts';
import { AppError, describeFaults, type ErrorInfo, toAppError } from '../core/errors.ts';
import type { RunEventOf } from '../core/events.ts';
import type { InboxKind } from '../core/inbox-wire.ts';
import { readStatus, type StatusEvent } from '../core/status.ts';
import { streamsOf } from '../core/streams.ts';
import { encodeToken } from '../core/tokens.ts';
import { VERSION } from '../core/version.ts';
import type { Why } from '../core/why.ts';
import type { Subscription } from '../ports/bus.ts';
import type { Activations } from './activations.ts';
import { agentDetails, listAgents, putAgent } from './agent-doors.ts';
import { listApprovers, listRefused, putApprover, revokeApprover, serveOpenRequests } from './approval-doors.ts';
import { blobPart } from './blob-door.ts';
import { health, listTools, toolDetails } from './cluster-doors.ts';
import { compensate } from './compensate.ts';
import { continueRun } from './continuation.ts';
import { deadLetter, listDeadLetters, retryDeadLetter } from './dead-letter-doors.ts';
import { tracePage } from './decision-trace.ts';
import type { NodeDeps } from './deps.ts';
import type { RunFold } from './fold.ts';
import { claimItem, doneWithItem, listItems, personAnswer, releaseItem } from './human-doors.ts';
import { humanDetails, humanHead } from './human-log.ts';
import { inspectOnNode } from './inspection.ts';
import { listAccounts, listBreakers, resetBreaker } from './ledger-doors.ts';
import { orderNode } from './node-orders.ts';
import { nodeReports } from './node-reports.ts';
import { policyDetails, putPolicy, testPolicy } from './policy-doors.ts';
import { retryRun } from './retry-run.ts';
import { activationSubject } from './starting.ts';
import { listSwitches, switchAck } from './switch-doors.ts';
import { heldBy, scopesOf } from './switched.ts';
import { toldBy } from './told.ts';
import { treeOfNode } from './tree-report.ts';
import { statusOf } from './views.ts';
import { whyOf, whyRejected, whyUnreadable } from './why.ts';

/**
 * What nodes answer: submitters about their own runs (`ask`), operators about all (`api`). Any node can answer any
 * request, as all of it is read from the bus. A change to a run goes through its inbox like everything from outside.
 */

/** Bytes of JSON that one answer may hold; the server takes 1 MB. */
const PAGE_BYTES = 700 * 1024;

type Handlers<V extends string> = { [K in V]: (body: never) => Promise<unknown> };

export function serveDoors(deps: NodeDeps, activations: Activations): Subscription[] {
  const { bus, subjects } = deps;
  const api = apiHandlers(deps, activations);
  const served = (Object.keys(API_VERBS) as ApiVerb[]).map((verb) =>
    bus.serve(
      subjects.api(verb),
      async (request) => JSON.stringify(await api[verb](parsed(API_VERBS[verb], request.data) as never)),
      // Whether all know of an order is asked of all: the one that hangs must not be the one that is asked.
      verb === 'switch_ack' ? {} : { queue: 'api' },
    ),
  );
  const ask = askHandlers(deps);
  const asked = bus.serve(
    `${subjects.prefix}.ask.*.*`,
    async (request) => {
      const address = subjects.parseAsk(request.subject);
      if (address === null || !Object.hasOwn(ASK_VERBS, address.verb)) {
        throw new AppError(
          'unknown_verb',
          `subject: expected ${subjects.prefix}.ask.<user>.${Object.keys(ASK_VERBS).join('|')}`,
        );
      }
      const verb = address.verb as AskVerb;
      return JSON.stringify(await ask(address.user, verb, parsed(ASK_VERBS[verb], request.data)));
    },
    { queue: 'ask' },
  );
  return [...served, asked, ...serveOpenRequests(deps)];
}

function parsed<S extends z.ZodType>(schema: S, data: string): z.output<S> {
  let value: unknown;
  try {
    value = data.trim() === '' ? {} : JSON.parse(data);
  } catch {
    throw new AppError('invalid_request', 'body: expected JSON', { field: 'body' });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { message, field } = describeFaults(result.error, 'body');
  throw new AppError('invalid_request', message, { field });
}

function askHandlers(deps: NodeDeps) {
  return async (user: string, verb: AskVerb, body: { run: string; why?: string }): Promise<unknown> => {
    if (verb === 'why') return why(deps, body.run, user);
    const { accepted } = await runOf(deps, body.run, user);
    if (verb === 'status') return statusOf(await folded(deps, accepted.run));
    if (verb === 'result') return storedResult(deps, accepted);
    if (verb === 'blob') return blobPart(deps, body as AskBody<'blob'>);
    if (verb === 'trace') return traceOf(deps, accepted, body as AskBody<'trace'>);
    if (verb === 'person_answer') return personAnswer(deps, await folded(deps, accepted.run));
    if (verb === 'continue') {
      return continueRun(deps, accepted, { ...(body as AskBody<'continue'>), by: user }, 'submitter');
    }
    return toInbox(deps, accepted.run, 'cancel', { by: user, why: body.why ?? '' });
  };
}

function apiHandlers(deps: NodeDeps, activations: Activations): Handlers<ApiVerb> {
  const command = (kind: InboxKind) => async (body: { run: string; by: string; why: string }) =>
    toInbox(deps, (await runOf(deps, body.run)).accepted.run, kind, { by: body.by, why: body.why });
  const held = (kind: InboxKind) => async (body: ApiBody<'release'>) => {
    const fold = await folded(deps, body.run);
    if (fold.path !== 'idle.held') throw new AppError('not_held', `run ${body.run} is not held: it is ${fold.path}`);
    return command(kind)(body);
  };
  const ofRun =
    <B extends { run: string }, T>(act: (deps: NodeDeps, body: B) => Promise<T>) =>
    async (body: B): Promise<T> => {
      await runOf(deps, body.run);
      return act(deps, body);
    };
  return {
    runs: (body: ApiBody<'runs'>) => listRuns(deps, body),
    run: async (body: ApiBody<'run'>) => {
      const { accepted } = await runOf(deps, body.run);
      const fold = await folded(deps, body.run);
      const { context, protocol } = fold;
      return {
        status: statusOf(fold),
        task: accepted.task,
        limits: accepted.limits,
        ancestors: accepted.ancestors,
        member_states: await memberStates(deps, statusOf(fold)),
        ...(accepted.continues === undefined ? {} : { continues: accepted.continues }),
        context,
        protocol,
      };
    },
    why: (body: ApiBody<'why'>) => why(deps, body.run),
    journal: (body: ApiBody<'journal'>) => journalPage(deps, body),
    trace: async (body: ApiBody<'trace'>) => traceOf(deps, (await runOf(deps, body.run)).accepted, body),
    result: async (body: ApiBody<'result'>) => storedResult(deps, (await runOf(deps, body.run)).accepted),
    blob: async (body: ApiBody<'blob'>) => {
      await runOf(deps, body.run);
      return blobPart(deps, body);
    },
    cancel: command('cancel'),
    pause: command('pause'),
    resume: async (body: ApiBody<'resume'>) => {
      refuseUnderSwitch(deps, (await runOf(deps, body.run)).accepted);
      return command('resume')(body);
    },
    release: held('release'),
    fail: held('fail'),
    resolve: async (body: ApiBody<'resolve'>) => {
      const fold = await folded(deps, body.run);
      const waiting = fold.context.calls.filter((call) => call.status === 'person').map((call) => call.c);
      if (!waiting.includes(body.c)) {
        const which =
          waiting.length === 0
            ? 'no call of the run waits for a person'
            : `these calls wait for a person: ${waiting.join(', ')}`;
        throw new AppError('not_waiting', `call ${body.c}: ${which}`, { field: 'c' });
      }
      if (body.verdict === 'repeat' && !fold.context.unknown.includes(body.c)) {
        const text = 'verdict: a question is answered ("done", with a result) or not ("fail"); it cannot be repeated';
        throw new AppError('invalid_request', text, { field: 'verdict' });
      }
      const { run, v: _version, ...rest } = body;
      return toInbox(deps, run, 'resolve', rest);
    },
    continue: async (body: ApiBody<'continue'>) =>
      continueRun(deps, (await runOf(deps, body.run)).accepted, body, 'operator'),
    dead_letters: (body: ApiBody<'dead_letters'>) => listDeadLetters(deps, body),
    dead_letter: (body: ApiBody<'dead_letter'>) => deadLetter(deps, body.id),
    dead_letter_retry: (body: ApiBody<'dead_letter_retry'>) => retryDeadLetter(deps, body.id),
    approvers: (body: ApiBody<'approvers'>) => listApprovers(deps, body.history),
    approver_put: (body: ApiBody<'approver_put'>) => putApprover(deps, body),
    approver_revoke: (body: ApiBody<'approver_revoke'>) => revokeApprover(deps, body),
    refused_decisions: (body: ApiBody<'refused_decisions'>) => listRefused(deps, body),
    person_answer: async (body: ApiBody<'person_answer'>) => {
      await runOf(deps, body.run);
      return personAnswer(deps, await folded(deps, body.run));
    },
    human_items: (body: ApiBody<'human_items'>) => listItems(deps, body),
    human_item: ofRun(humanDetails),
    human_claim: ofRun(claimItem),
    human_release: ofRun(releaseItem),
    human_done: async (body: ApiBody<'human_done'>) => {
      const { accepted } = await runOf(deps, body.run);
      return doneWithItem(deps, accepted, await folded(deps, body.run), body);
    },
    agents: (body: ApiBody<'agents'>) => listAgents(deps, body),
    agent: (body: ApiBody<'agent'>) => agentDetails(deps, body),
    agent_put: (body: ApiBody<'agent_put'>) => putAgent(deps, body),
    compensate: async (body: ApiBody<'compensate'>) =>
      compensate(deps, (await runOf(deps, body.run)).accepted, await folded(deps, body.run), body),
    policy: (body: ApiBody<'policy'>) => policyDetails(deps, body),
    policy_put: (body: ApiBody<'policy_put'>) => putPolicy(deps, body),
    policy_test: (body: ApiBody<'policy_test'>) => testPolicy(deps, body),
    nodes: async () => ({ nodes: await nodeReports(deps) }),
    tree: (body: ApiBody<'tree'>) => treeOfNode(deps, body),
    inspect: (body: ApiBody<'inspect'>) => inspectOnNode(deps, body),
    node_order: (body: ApiBody<'node_order'>) => orderNode(deps, body),
    health: () => health(deps),
    tools: () => listTools(deps),
    tool: (body: ApiBody<'tool'>) => toolDetails(deps, body.name),
    switch_ack: (body: ApiBody<'switch_ack'>) => switchAck(deps, body),
    switches: (body: ApiBody<'switches'>) => listSwitches(deps, body),
    breakers: async () => listBreakers(deps),
    breaker_reset: (body: ApiBody<'breaker_reset'>) => resetBreaker(deps, body),
    accounts: async (body: ApiBody<'accounts'>) => listAccounts(deps, body),
    retry: async (body: ApiBody<'retry'>) => retryRun(deps, (await runOf(deps, body.run)).accepted, body),
    node: async (): Promise<NodeInfo> => ({
      node: deps.node,
      version: VERSION,
      active_runs: activations.supervised.size,
      agents: deps.agents.names(),
      slots: deps.settings.slots,
      lease_ms: deps.settings.lease_ms,
      now: deps.clock.now(),
    }),
  };
}

/** It would be paused again at once. */
function refuseUnderSwitch({ switches }: NodeDeps, accepted: RunEventOf<'accepted'>): void {
  const verdict = switches.over(scopesOf(accepted));
  if (verdict === null) return;
  const { scope, mode, by, why } = verdict;
  const text = `run ${accepted.run} is held by the switch ${scope} (${mode}, by ${by}: ${why || 'no reason given'}): proctor revive ${scope} lifts it`;
  throw new AppError('switch_in_force', text);
}

/** A run that is not there and a run of another user look the same to whoever asks. */
async function runOf(deps: NodeDeps, run: string, user?: string): Promise<{ accepted: RunEventOf<'accepted'> }> {
  const entry = await deps.journal.entry(run, 0);
  const accepted = entry?.events.find((event) => event.type === 'accepted');
  if (accepted === undefined) {
    const rejected = await rejectionOf(deps, run, user);
    if (rejected !== null) throw refusalOf(run, rejected.error);
  }
  if (accepted === undefined || (user !== undefined && accepted.user !== user)) {
    throw new AppError('unknown_run', `there is no run ${run}${user === undefined ? '' : ` of user ${user}`}`, {
      field: 'run',
    });
  }
  return { accepted };
}

/** The last word on a task that was never accepted; null when there is none. */
async function rejectionOf({ bus, subjects }: NodeDeps, run: string, user?: string): Promise<StatusEvent | null> {
  for await (const { data } of bus.scan(streamsOf(subjects).events.name, subjects.anyEvent(run, user))) {
    const status = readStatus(data);
    if (status?.state === 'rejected') return status;
  }
  return null;
}

/** What its submitter was told. */
function refusalOf(run: string, error: ErrorInfo | undefined): AppError {
  const { code, message, field } = error ?? { code: 'invalid_task', message: 'no reason was told', field: undefined };
  return new AppError(code, `run ${run} never began, its task was refused: ${message}`, {
    ...(field === undefined ? {} : { field }),
  });
}

async function folded(deps: NodeDeps, run: string): Promise<RunFold> {
  const fold = await deps.journal.load(run);
  if (fold === null) throw new AppError('unknown_run', `there is no run ${run}`, { field: 'run' });
  fold.stop();
  return fold;
}

async function why(deps: NodeDeps, run: string, user?: string): Promise<Why> {
  const { bus, subjects, clock, journal } = deps;
  const streams = streamsOf(subjects);
  if ((await journal.entry(run, 0)) === null) {
    const rejected = await rejectionOf(deps, run, user);
    if (rejected !== null) return whyRejected(run, rejected.at, rejected.error);
  }
  const { accepted } = await runOf(deps, run, user);
  const fold = await folded(deps, run).catch((thrown: unknown) => {
    const error = toAppError(thrown);
    if (error.code === 'journal_corrupt' || error.code === 'journal_newer') return error;
    throw thrown;
  });
  if (fold instanceof AppError) return whyUnreadable(run, fold, clock.now());
  const activation = await bus.last(streams.queue.name, activationSubject(deps, accepted), { authoritative: true });
  let inbox = false;
  for await (const _message of bus.scan(streams.inbox.name, subjects.inboxOf(run))) {
    inbox = true;
    break;
  }
  const told = await toldBy(journal, fold);
  const switches = heldBy(deps.switches, fold, accepted);
  const person = fold.context.end?.code === 'queued_for_human' ? await humanHead(deps, run) : null;
  const movers = { activation: activation !== null, inbox, switches, person };
  return whyOf(fold, accepted.agent, movers, told, clock.now());
}

async function storedResult(deps: NodeDeps, accepted: RunEventOf<'accepted'>): Promise<unknown> {
  const { bus, subjects } = deps;
  const subject = subjects.result(accepted.agent.name, accepted.user, accepted.run);
  const stored = await bus.last(streamsOf(subjects).results.name, subject);
  if (stored !== null) return JSON.parse(stored.data);
  const fold = await folded(deps, accepted.run);
  throw new AppError('not_ended', `run ${accepted.run} has no result yet: it is ${fold.path}`, { retryable: true });
}

async function traceOf(deps: NodeDeps, accepted: RunEventOf<'accepted'>, at: { from: number; step: number }) {
  // Before the entries are read: what counts as finished has all its outcomes among them.
  const fold = await folded(deps, accepted.run);
  return tracePage(fold, accepted, deps.journal.entries(accepted.run, at.from), at.step);
}

async function toInbox(deps: NodeDeps, run: string, kind: InboxKind, body: Record<string, unknown>): Promise<unknown> {
  const fold = await folded(deps, run);
  if (fold.ended) throw new AppError('already_ended', `run ${run} has ended: ${fold.path}`);
  const id = deps.ids.random();
  await deps.bus.publish(deps.subjects.inbox({ run, kind, id }), JSON.stringify({ v: 1, ...body }));
  return { ok: true, run, state: fold.path };
}

async function listRuns(deps: NodeDeps, query: ApiBody<'runs'>): Promise<{ runs: StatusEvent[]; next: number | null }> {
  const { bus, subjects } = deps;
  const token = (name: string | undefined) => (name === undefined ? '*' : encodeToken(name));
  const filter = `${subjects.prefix}.evt.${token(query.agent)}.${token(query.user)}.*`;
  const runs: StatusEvent[] = [];
  let bytes = 0;
  for await (const message of bus.scan(streamsOf(subjects).events.name, filter, { fromSequence: query.after + 1 })) {
    if (runs.length >= query.limit || bytes > PAGE_BYTES) return { runs, next: message.seq - 1 };
    const status = readStatus(message.data);
    if (status === null) continue;
    const { steps: _told, ...rest } = await asItStands(deps, status);
    if (query.state !== undefined && rest.state !== query.state && !rest.state.startsWith(`${query.state}.`)) continue;
    bytes += message.data.length;
    runs.push(rest);
  }
  return { runs, next: null };
}

/** Where the runs of a team stand now, by run id. */
async function memberStates({ journal }: NodeDeps, { members = [] }: StatusEvent): Promise<Record<string, string>> {
  const runs = members.flatMap(({ run }) => run ?? []);
  const states = await Promise.all(
    runs.map(async (run): Promise<[string, string]> => {
      const fold = await journal.load(run);
      fold?.stop();
      return [run, fold?.path ?? 'unknown'];
    }),
  );
  return Object.fromEntries(states);
}

/** A status is an index and may lag behind; one that has not changed for a while is read from the journal itself. */
async function asItStands(deps: NodeDeps, status: StatusEvent): Promise<StatusEvent> {
  const ended = status.code !== undefined || status.state === 'rejected';
  if (ended || deps.clock.now() - status.at < deps.settings.lease_ms) return status;
  const fold = await deps.journal.load(status.run);
  fold?.stop();
  return fold === null ? status : statusOf(fold);
}

async function journalPage(deps: NodeDeps, { run, from }: ApiBody<'journal'>) {
  await runOf(deps, run);
  const entries: unknown[] = [];
  let bytes = 0;
  for await (const entry of deps.journal.entries(run, from, 500)) {
    const size = JSON.stringify(entry).length;
    if (entries.length > 0 && bytes + size > PAGE_BYTES) return { entries, next: entry.n };
    bytes += size;
    entries.push(entry);
  }
  return { entries, next: entries.length === 500 ? from + 500 : null };
}
