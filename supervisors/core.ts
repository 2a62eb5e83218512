import { serve } from './calls.ts';
import type { Report } from './reports.ts';
import { childExited, retryDue } from './restart.ts';
import {
  type Command,
  type Input,
  MAX_WAITING_CALLS,
  type Queued,
  recordById,
  recordOf,
  type SupervisorState,
} from './state.ts';
import { Turn } from './turn.ts';
import { isWellFormed } from './well-formed.ts';
import { abandonStart, advance, beingStarted, failed, ignored, started, stopped, timePassed } from './work.ts';

/**
 * The decisions of a supervisor: OTP's semantics as one pure function. A supervisor does one thing at a time, like the
 * process it stands for: while it starts or stops children, exits and calls wait in its inbox and are served in the
 * order they came. A host carries out the commands and answers `start` with `started`, `ignored` or `start_failed`, and
 * `shutdown` and `kill` with `exited`. Whatever is unknown, late or of an old incarnation is ignored.
 */

export interface Decision {
  readonly state: SupervisorState;
  /** To be carried out in order, after the reports are passed on. */
  readonly commands: readonly Command[];
  readonly reports: readonly Report[];
}

/**
 * Never throws; an input that is not what it says is ignored.
 * @param now epoch milliseconds
 */
export function decide(state: SupervisorState, input: Input, now: number): Decision {
  const turn = new Turn(state, now);
  if (!isWellFormed(input)) return { state, commands: [], reports: [] };
  if (input.type === 'spoke') turn.zombie(input);
  else if (state.ended === null) {
    accept(turn, input);
    advance(turn);
    for (let next = nextQueued(turn); next !== undefined; next = nextQueued(turn)) {
      handle(turn, next);
      advance(turn);
    }
  } else if (input.type === 'call') turn.reply(input.call.call, { ok: false, error: 'stopping' });
  return { state: turn.state, commands: turn.commands, reports: turn.reports };
}

function nextQueued(turn: Turn): Queued | undefined {
  const { started: isStarted, ended, work, inbox } = turn.state;
  return isStarted && ended === null && work === null ? inbox.first() : undefined;
}

function accept(turn: Turn, input: Input): void {
  switch (input.type) {
    case 'start':
      start(turn);
      break;
    case 'started': {
      const record = beingStarted(turn, input.ref);
      if (record !== undefined) started(turn, record, input.ref, input.info);
      break;
    }
    case 'ignored': {
      const record = beingStarted(turn, input.ref);
      if (record !== undefined) ignored(turn, record);
      break;
    }
    case 'start_failed': {
      const record = beingStarted(turn, input.ref);
      if (record !== undefined) failed(turn, record, input.ref, input.reason, input.alreadyStarted);
      break;
    }
    case 'exited':
      exited(turn, input);
      break;
    case 'tick':
      tick(turn);
      break;
    case 'stop':
      stop(turn, input);
      break;
    case 'kill':
      turn.kill();
      break;
    case 'message':
      message(turn, input);
      break;
    case 'call':
      call(turn, input);
      break;
    default:
  }
}

function start(turn: Turn): void {
  const { started: isStarted, work, children } = turn.state;
  if (isStarted || work !== null) return;
  turn.begin(
    { type: 'init' },
    children.values().map(({ slot }) => ({ do: 'start', slot })),
  );
}

function exited(turn: Turn, { ref, reason }: Input & { type: 'exited' }): void {
  const starting = beingStarted(turn, ref);
  if (starting !== undefined) {
    failed(turn, starting, ref, reason);
    return;
  }
  const record = recordOf(turn.state, ref);
  if (record?.status === 'stopping') stopped(turn, record, reason);
  else if (record?.status === 'running' && record.exit === null) {
    turn.update(record, { exit: reason });
    turn.enqueue({ type: 'exited', slot: record.slot, ref });
  }
}

function tick(turn: Turn): void {
  const { work } = turn.state;
  if (work === null) retryDue(turn);
  else if (work.waiting !== null) timePassed(turn, work.waiting);
}

function stop(turn: Turn, { from, reason }: Input & { type: 'stop' }): void {
  const { parent, started: isStarted, stopAsked, work } = turn.state;
  if (from !== parent || stopAsked) return;
  turn.patch({ stopAsked: true });
  if (work?.waiting?.for === 'start') abandonStart(turn, reason);
  else if (isStarted) turn.enqueue({ type: 'stop', reason });
  else if (work === null) turn.begin({ type: 'end', reason }, []);
}

function message(turn: Turn, { id, message: body }: Input & { type: 'message' }): void {
  const record = recordOf(turn.state, id) ?? recordById(turn.state, id);
  if (record === undefined) return;
  if (record.status === 'running' && record.exit === null && record.ref !== null) {
    turn.command({ type: 'deliver', ref: record.ref, message: body });
  } else turn.drop(record);
}

function call(turn: Turn, input: Input & { type: 'call' }): void {
  const { work, waitingCalls } = turn.state;
  const refused = work?.purpose.type === 'end' || work?.purpose.type === 'init_failed';
  if (refused || waitingCalls >= MAX_WAITING_CALLS) {
    turn.reply(input.call.call, { ok: false, error: refused ? 'stopping' : 'busy' });
    return;
  }
  turn.patch({ waitingCalls: waitingCalls + 1 });
  turn.enqueue({ type: 'call', call: input.call });
}

function handle(turn: Turn, queued: Queued): void {
  turn.patch({ inbox: turn.state.inbox.delete(queued.key) });
  if (queued.type === 'stop') {
    turn.end(queued.reason);
    return;
  }
  if (queued.type === 'call') {
    turn.patch({ waitingCalls: turn.state.waitingCalls - 1 });
    serve(turn, queued.call);
    return;
  }
  const record = recordOf(turn.state, queued.ref);
  if (record?.status === 'running' && record.exit !== null) childExited(turn, record, record.exit);
}
