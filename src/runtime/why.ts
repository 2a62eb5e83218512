import { isMoment } from '../../machines/agent-run/wanted.ts';
import type { AgentDefinition } from '../core/agent.ts';
import { clip, type ErrorInfo } from '../core/errors.ts';
import { modelOf } from '../core/fallback.ts';
import type { HumanStanding } from '../core/human-wire.ts';
import { redactText } from '../core/redact.ts';
import type { RunCall } from '../core/run-state.ts';
import type { Why } from '../core/why.ts';
import type { SwitchVerdict } from '../policy/switches.ts';
import type { RunFold } from './fold.ts';
import type { Told } from './told.ts';
import { unknownOutcomes } from './views.ts';

/**
 * Why a run stands where it stands, in one line (RUN-14): waits for what, since when, until when, who can unblock it. A
 * pure function of the folded journal, what it said in words, the moment, and what the bus holds that can move the run.
 */

/** What the bus holds for a run. */
export interface Movers {
  /** Its activation: some node owns it or will. */
  activation: boolean;
  /** A message in its inbox: a timer, an order, a decision. */
  inbox: boolean;
  /** Switches over it, and over the tools and the model that it wants now. */
  switches: SwitchVerdict[];
  /** Where it stands in the queue of people that it was handed to. */
  person?: { queue: string; standing: HumanStanding } | null;
}

/** How long after its last entry a run without movers counts as one that is being moved at this moment, milliseconds. */
export const SETTLING_MS = 60_000;

/** A run whose moment has passed so long ago will not be woken any more, milliseconds: nobody's clock is so far off. */
const PASSED_MS = 180_000;

interface Line {
  /** After "waits for": what. Null when it has ended. */
  waits: string | null;
  until?: number | null;
  who: string;
  /** Since when, when it is not the moment at which the state was entered. */
  since?: number;
  more?: string;
}

/** Ends that come again at once unless what caused them is gone. */
const CAUSE_FIRST = new Set(['error', 'no_model', 'max_retries']);

const ITSELF = 'nobody needs to do anything';

export function whyOf(fold: RunFold, agent: AgentDefinition, movers: Movers, told: Told, now: number): Why {
  const { context, protocol, path } = fold;
  const line = lineOf(fold, agent, movers, told);
  const since = line.since ?? protocol.since;
  const until = line.until ?? null;
  const orphaned = isOrphan(fold, movers, now);
  const who = orphaned ? `an operator: proctor resume ${context.run} gives it to a node again` : line.who;
  const parts = [
    line.waits === null ? (line.more ?? path) : `waits for ${line.waits}`,
    line.waits !== null ? `since ${moment(since)} (${span(now - since)})` : '',
    until === null
      ? ''
      : until > now
        ? `until ${moment(until)} (in ${span(until - now)})`
        : `until ${moment(until)}, which has passed`,
    line.waits === null ? '' : (line.more ?? ''),
    ...movers.switches
      .filter(({ scope }) => scope !== protocol.pause?.scope)
      .map(({ scope, mode, by, why }) => {
        return `held by the switch ${scope} (${mode}, by ${by}: ${why || 'no reason given'}): proctor revive ${scope}`;
      }),
    orphaned ? 'ORPHANED: no node owns it, it is not queued, and nothing stored will wake it' : '',
    `unblock: ${who}`,
  ];
  return {
    run: context.run,
    state: path,
    text: oneLine(`${path}: ${parts.filter((part) => part !== '').join('; ')}`, 2_048),
    waiting_for: line.waits === null ? null : oneLine(line.waits, 1_024),
    since,
    until,
    who: clip(who, 512),
    orphaned,
  };
}

/** A task that was never accepted. */
export function whyRejected(run: string, at: number, error: ErrorInfo | undefined): Why {
  const why = `its task was refused: ${error?.message ?? 'no reason was told'}`;
  const who = `the submitter: correct the task; the original is a dead letter, proctor deadletter show task.${run}`;
  const text = oneLine(`rejected: ${why}; at ${moment(at)}; unblock: ${who}`, 2_048);
  return { run, state: 'rejected', text, waiting_for: null, since: at, until: null, who, orphaned: false };
}

/** A run whose journal this node cannot read: nodes leave it alone and look again every few seconds. */
export function whyUnreadable(run: string, error: ErrorInfo, now: number): Why {
  const who =
    error.code === 'journal_newer'
      ? 'an operator: upgrade the nodes to the version that wrote it'
      : 'an operator: put that entry back from a backup of the stream; the run goes on by itself then';
  const waits = `an operator: ${error.message}`;
  const text = oneLine(`unreadable: waits for ${waits}; unblock: ${who}`, 2_048);
  return {
    run,
    state: 'unreadable',
    text,
    waiting_for: oneLine(waits, 1_024),
    since: now,
    until: null,
    who,
    orphaned: false,
  };
}

function lineOf(fold: RunFold, agent: AgentDefinition, movers: Movers, told: Told): Line {
  const { context, protocol, path } = fold;
  const { run } = context;
  const unowned = protocol.node === null || protocol.released;
  switch (path) {
    case 'idle.accepted':
      return {
        waits: `a node with a free slot for agent ${context.agent}`,
        since: context.accepted_at,
        who: `an operator: start a node, or more slots; proctor ps --agent ${context.agent} shows what is in work`,
        more: movers.activation ? 'it is in the queue' : 'it is being queued',
      };
    case 'idle.scheduled':
      return { waits: 'the moment that its task named', until: context.not_before, who: ITSELF };
    case 'idle.held':
      return {
        waits: `an operator: entry ${protocol.quarantine?.entry ?? '?'} of its journal cannot be folded (${protocol.quarantine?.error.message ?? ''})`,
        who: `an operator: proctor quarantine retry|fail ${run}`,
      };
    case 'thinking.planning':
    case 'thinking.deciding':
    case 'thinking.reviewing':
      return { ...thinking(fold, agent, told), ...(unowned ? nextNode(fold) : {}) };
    case 'executing.calling':
    case 'executing.retrying':
    case 'executing.delegating':
      if (context.hold === 'pause') return heldLine(run, protocol.pause);
      return { ...executing(fold), ...(unowned ? nextNode(fold) : {}) };
    case 'waiting.approval': {
      const asked = context.calls.filter((call) => call.status === 'approval');
      const until = Math.min(...asked.map((call) => call.approval_until ?? Number.POSITIVE_INFINITY));
      return {
        waits: `an approval of ${named(asked)}${given(asked)}`,
        until: Number.isFinite(until) ? until : null,
        who: `${deciders(told)}: proctor approvals approve|deny ${run} ${asked[0]?.c ?? 'CALL'}; without enough in time the call counts as not approved`,
        more: told.reason === undefined ? '' : `asked because ${told.reason}`,
      };
    }
    case 'waiting.person': {
      const asked = context.calls.filter((call) => call.status === 'person');
      const unknown = asked.filter((call) => context.unknown.includes(call.c));
      const first = (unknown[0] ?? asked[0])?.c ?? 'CALL';
      return unknown.length > 0
        ? {
            waits: `a person to say whether ${named(unknown)} took effect`,
            who: `a person: proctor resolve ${run} ${first} --done|--repeat|--fail`,
          }
        : {
            waits: `the answer of a person${told.question === undefined ? '' : ` to: ${clip(told.question, 500)}`}`,
            who: `a person: proctor resolve ${run} ${first} --done --result TEXT`,
          };
    }
    case 'waiting.child': {
      const at = (...wanted: RunCall['status'][]) => context.calls.filter(({ status }) => wanted.includes(status));
      const working = at('child').flatMap(({ child }) => child ?? []);
      const stopping = at('stopping').flatMap(({ child }) => child ?? []);
      const waits = [
        working.length === 0 ? '' : `${runs(working)} that it delegated to: ${listed(working)}`,
        stopping.length === 0 ? '' : `the end of ${runs(stopping)} that it told to stop: ${listed(stopping)}`,
      ];
      const first = working[0] ?? stopping[0] ?? '';
      return {
        waits: waits.filter((text) => text !== '').join(', and '),
        since: protocol.decided_at,
        until: context.deadline_at,
        who: `${working.length + stopping.length > 1 ? 'those runs' : 'that run'}: proctor why ${first}`,
      };
    }
    case 'waiting.backing_off':
      return {
        waits: 'the next try',
        until: context.not_before,
        who: ITSELF,
        more:
          context.think_retries > 0
            ? `the model call failed and is made again for the ${nth(context.think_retries)} time${after(told)}`
            : `${context.failing} of ${context.limits.failing_steps} failing steps in a row${after(told)}`,
      };
    case 'waiting.budget':
      return {
        waits: 'the model to take requests again',
        until: context.not_before,
        who: ITSELF,
        more: `the model call is made again for the ${nth(context.think_retries)} time${after(told)}`,
      };
    case 'waiting.paused':
      return heldLine(run, protocol.pause);
    default:
      return movers.person == null ? over(fold, told) : handedOver(fold, movers.person);
  }
}

/** Who or what lets it stand still, and who lifts that. */
function heldLine(run: string, pause: RunFold['protocol']['pause']): Line {
  const scope = pause?.scope;
  const by = pause === null ? '' : `by ${pause.by} at ${moment(pause.at)}: ${pause.why || 'no reason given'}`;
  if (scope === undefined) {
    const more = by === '' ? '' : `paused ${by}`;
    return { waits: 'an operator to resume it', who: `an operator: proctor resume ${run}`, more };
  }
  return {
    waits: `the switch ${scope} to be lifted`,
    who: `an operator: proctor revive ${scope}`,
    more: `paused by that switch, set ${by}`,
  };
}

function thinking({ context, path }: RunFold, agent: AgentDefinition, told: Told): Line {
  const asked = { planning: 'a plan', deciding: 'its next step', reviewing: 'a judgement on its draft' };
  const phase = path.slice('thinking.'.length) as keyof typeof asked;
  const again =
    context.think_retries > 0 ? `; asked again for the ${nth(context.think_retries)} time${after(told)}` : '';
  return {
    waits: `the model ${modelOf(agent, context)}: ${asked[phase]}`,
    until: context.deadline_at,
    who: `${ITSELF}; a model call is given up after ${span(context.limits.step_ms)}`,
    more: `step ${context.steps + 1}${again}`,
  };
}

function runs(ids: string[]): string {
  return ids.length === 1 ? 'the run' : 'the runs';
}

function listed(ids: string[]): string {
  return ids.length > 8 ? `${ids.slice(0, 8).join(', ')} and ${ids.length - 8} more` : ids.join(', ');
}

function executing({ context, protocol }: RunFold): Line {
  const open = context.calls.filter((call) => ['ready', 'started', 'child_ready', 'stopping'].includes(call.status));
  const about = open.map((call) => {
    const limit = Math.min(call.timeout_ms || context.limits.step_ms, context.limits.step_ms);
    if (call.attempt === undefined) return `${call.tool} (at most ${span(limit)})`;
    const next =
      call.status === 'ready' && call.not_before !== undefined ? `, not before ${moment(call.not_before)}` : '';
    return `${call.tool} (try ${call.attempt + 1} after ${call.retry ?? 'a failure'}${next}, at most ${span(limit)})`;
  });
  const lost = open.filter((call) => call.started !== undefined && call.started.epoch !== protocol.epoch);
  return {
    waits: about.length > 8 ? `${about.slice(0, 8).join(', ')} and ${about.length - 8} more` : about.join(', '),
    since: protocol.decided_at,
    until: context.deadline_at,
    who: ITSELF,
    more:
      context.hold === 'pause'
        ? 'a pause was ordered: it stands still once these calls have ended'
        : lost.length === 0
          ? ''
          : `whether ${named(lost)} took effect will be asked of a person, unless its outcome comes`,
  };
}

/** The state is one of work, but no node has the run. */
function nextNode({ context }: RunFold): Partial<Line> {
  return {
    who: `${ITSELF} when a node has a slot for agent ${context.agent} free; start one otherwise`,
    more: 'no node has it now',
  };
}

function over({ context }: RunFold, told: Told): Line {
  const { end, run } = context;
  const code = end?.code ?? 'error';
  const said = end?.error?.message || end?.detail || told.failure || '';
  const more = `ended ${code} at ${moment(end?.at ?? 0)}${said === '' ? '' : `: ${said}`}`;
  if (code === 'completed') return { waits: null, since: end?.at ?? 0, who: 'nothing is to be done', more };
  const unknown = unknownOutcomes(context);
  const first =
    unknown.length > 0
      ? `find out what became of ${unknown.join(', ')} first, then `
      : CAUSE_FIRST.has(code)
        ? 'correct that first, then '
        : '';
  return { waits: null, since: end?.at ?? 0, who: `${first}proctor continue ${run} lets it go on as a new run`, more };
}

/** The run has ended, its task has not: a person has it, or will. */
function handedOver({ context, protocol }: RunFold, { queue, standing }: NonNullable<Movers['person']>): Line {
  const { run, end } = context;
  const { state, by, since, outcome } = standing;
  if (state === 'done') {
    const word = outcome === 'solved' ? 'solved it' : 'could not solve it';
    const more = `ended queued_for_human; ${by} of queue ${queue} ${word} at ${moment(since)}`;
    return { waits: null, since, who: `nothing is to be done: proctor result ${run} has the answer`, more };
  }
  const held: Partial<Record<typeof state, string>> = {
    claimed: `claimed by ${by} at ${moment(since)}`,
    unreadable: 'who has it, a node of a newer version knows',
  };
  const who =
    state === 'claimed' ? `${by}, with` : `whoever looks after queue ${queue}: proctor queue claim ${run}, then`;
  return {
    waits: `a person in queue ${queue}`,
    since: end?.at ?? protocol.since,
    who: `${who} proctor queue done ${run}; proctor queue show ${run} tells what was tried`,
    more: held[state] ?? 'nobody has claimed it',
  };
}

/** No owner, no wake and no decider. What was written a moment ago may not have reached the queue yet. */
export function isOrphan(fold: RunFold, movers: Pick<Movers, 'activation' | 'inbox'>, now: number): boolean {
  if (fold.ended || movers.activation || now - fold.protocol.at < SETTLING_MS) return false;
  if (fold.path === 'idle.accepted') return true;
  // It wants something, and may not begin it before it is resumed.
  if (fold.context.hold === 'pause') return false;
  const wants = fold.wants();
  if (wants.some((want) => !isMoment(want) || now - want.at > PASSED_MS)) return true;
  return wants.length > 0 && !movers.inbox;
}

/** What failed last, as an addition. */
function after({ failure }: Told): string {
  return failure === undefined ? '' : `, after: ${clip(failure, 500)}`;
}

/** What others wrote may stand in it. */
function oneLine(text: string, max: number): string {
  return clip(redactText(text.replace(/\s+/g, ' ')), max);
}

function named(calls: RunCall[]): string {
  return calls.map((call) => `${call.tool} (call ${call.c})`).join(', ');
}

/** How far those are that need several approvals. */
function given(calls: RunCall[]): string {
  const counts = calls.flatMap(({ c, approval }) =>
    approval === undefined || approval.needed === 1
      ? []
      : [`call ${c} has ${approval.given.length} of ${approval.needed}`],
  );
  return counts.length === 0 ? '' : ` (${counts.join(', ')})`;
}

function deciders({ groups }: Told): string {
  if (groups === undefined) return 'an approver';
  return `an approver of the ${groups.length === 1 ? 'group' : 'groups'} ${groups.join(', ')}`;
}

function nth(n: number): string {
  return n === 1 ? 'first' : n === 2 ? 'second' : n === 3 ? 'third' : `${n}th`;
}

function moment(at: number): string {
  return new Date(at).toISOString();
}

function span(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 72 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}
