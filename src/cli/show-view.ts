import type { RunDetails } from '../client/answers.ts';
import type { ErrorInfo } from '../core/errors.ts';
import { ago, duration, line, moment, paintFor, paintState, preview } from './format.ts';
import type { Io } from './io.ts';
import { facts, table } from './table.ts';

interface Now {
  now: number;
  /** How this program is called, for commands to copy. */
  self: string;
  /** What a person is asked. */
  asked: string | null;
}

export function showText(
  io: Io,
  details: RunDetails,
  error: { at: number; entry: number; c?: string; error: ErrorInfo } | null,
  { now, self, asked }: Now,
): string {
  const { status, context, protocol, task } = details;
  const paint = paintFor(io);
  const pairs: [string, string][] = [
    ['run', status.run],
    ['agent', `${line(status.agent)} (version ${line(context.agent_version)})`],
    ['user', line(status.user)],
    ['state', `${paintState(paint, status.state)} for ${ago(status.at, now)}, since ${moment(status.at)}`],
  ];
  const wait = waitOf(details, self);
  if (wait !== null) {
    pairs.push(['waits for', paint.warn(line(asked ?? wait.for))]);
    pairs.push(['unblock', paint.bold(line(wait.unblock))]);
  }
  pairs.push([
    'step',
    `${status.step}${status.progress === null ? '' : `, ${Math.round(status.progress)}%${task.plan === undefined && context.plan === null ? '' : ' of the plan'}`}`,
  ]);
  for (const warning of status.warnings ?? []) pairs.push(['warning', paint.warn(line(warning))]);
  pairs.push(['node', ownerOf(details)]);
  pairs.push(['accepted', `${moment(context.accepted_at)}, ${ago(context.accepted_at, now)} ago`]);
  if (context.end !== null) {
    pairs.push([
      'ended',
      `${moment(context.end.at)}: ${context.end.code} ${preview(context.end.detail, 300)}`.trimEnd(),
    ]);
  } else if (context.deadline_at !== null) {
    pairs.push(['deadline', deadlineOf(details, now)]);
  }
  if (details.ancestors.length > 0) pairs.push(['delegated by', details.ancestors.join(' <- ')]);
  if (context.session_id !== undefined) pairs.push(['session', line(context.session_id)]);
  pairs.push(['input', preview(task.input, 300)]);
  if (task.plan !== undefined) pairs.push(['plan', planOf(details)]);
  pairs.push(['claims', `${protocol.claims} since its last progress`]);
  pairs.push(['journal', `${protocol.n + 1} entries; read them with: ${self} trace ${status.run}`]);
  if (error !== null) {
    const where = `entry ${error.entry}${error.c === undefined ? '' : `, call ${error.c}`}, ${ago(error.at, now)} ago`;
    pairs.push(['last error', paint.bad(`${error.error.code}: ${preview(error.error.message, 500)} (${where})`)]);
  }
  const parts = [facts(pairs), `\n${limitsTable(io, details, now)}`];
  const calls = context.end === null ? callsTable(io, details) : null;
  if (calls !== null) parts.push(`\n${calls}`);
  const members = membersTable(io, details);
  if (members !== null) parts.push(`\n${members}`);
  return parts.join('\n');
}

/** What the run waits for and who can end the wait; null while it works or has ended. */
function waitOf({ status, context, protocol }: RunDetails, self: string): { for: string; unblock: string } | null {
  const { run, state, requires } = status;
  const itself = 'nobody needs to do anything';
  if (requires !== undefined) return { for: requires.text, unblock: `a person: ${commandFor(status, self)}` };
  if (state === 'waiting.paused') return { for: 'somebody to resume it', unblock: `${self} resume ${run}` };
  if (state === 'waiting.child') {
    const children = context.calls.flatMap((call) =>
      (call.status === 'child' || call.status === 'stopping') && call.child !== undefined ? [call.child] : [],
    );
    return {
      for: `the runs that it delegated to: ${children.join(', ')}`,
      unblock: children.map((child) => `${self} show ${child}`).join('; '),
    };
  }
  if (state === 'waiting.backing_off') return { for: 'the pause after a failed step', unblock: itself };
  if (state === 'waiting.budget') return { for: 'its model to take requests again', unblock: itself };
  if (state === 'idle.scheduled') return { for: `its moment, ${moment(context.not_before)}`, unblock: itself };
  if (context.end === null && (protocol.node === null || protocol.released)) {
    return {
      for: `a node with a free slot for agent ${context.agent}`,
      unblock: `start one, or see: ${self} ps --state thinking`,
    };
  }
  return null;
}

function commandFor({ run, requires }: RunDetails['status'], self: string): string {
  if (requires?.kind === 'release') return `${self} quarantine retry|fail ${run}`;
  const call = requires?.c ?? 'CALL';
  if (requires?.kind === 'answer') return `${self} resolve ${run} ${call} --done --result TEXT`;
  return requires?.kind === 'resolve'
    ? `${self} resolve ${run} ${call} --done|--repeat|--fail`
    : `decide on call ${call}; without a word in time it counts as not approved`;
}

function ownerOf({ protocol }: RunDetails): string {
  if (protocol.node === null) return 'none yet';
  return protocol.released ? `none now; ${line(protocol.node)} let go of it` : line(protocol.node);
}

function deadlineOf({ context }: RunDetails, now: number): string {
  const { deadline_at, clock_stopped_at } = context;
  if (deadline_at === null) return 'none';
  if (clock_stopped_at !== null)
    return `${duration(deadline_at - clock_stopped_at)} left; its clock stands still while it waits`;
  return deadline_at > now
    ? `${moment(deadline_at)}, in ${duration(deadline_at - now)}`
    : `${moment(deadline_at)}, passed`;
}

function planOf({ context, task }: RunDetails): string {
  const steps = task.plan?.steps.length ?? 0;
  const done = Object.keys(context.plan?.done ?? {}).length;
  const open = task.plan?.steps.filter(({ id }) => context.plan?.done[id] === undefined).map(({ id }) => id) ?? [];
  return `${done} of ${steps} steps done${open.length === 0 ? '' : `, open: ${preview(open.join(', '), 200)}`}`;
}

function limitsTable(io: Io, { context, limits }: RunDetails, now: number): string {
  const until = context.end?.at ?? context.clock_stopped_at ?? now;
  const ran = context.deadline_at === null ? 0 : limits.wall_ms - (context.deadline_at - until);
  const rows = [
    ['steps', String(context.steps), String(limits.steps)],
    ['tool calls', String(context.tool_calls), String(limits.tool_calls)],
    ['tokens', String(context.input_tokens + context.output_tokens), String(limits.tokens)],
    ['cost', `${context.cost_usd.toFixed(4)} USD`, `${limits.cost_usd} USD`],
    ['time', duration(Math.max(0, ran)), duration(limits.wall_ms)],
    ['failing steps in a row', String(context.failing), String(limits.failing_steps)],
  ];
  return table(io, ['limit', 'used', 'of'], rows);
}

/** Those that it delegated to in its step, each with the state of its run. */
function membersTable(io: Io, { status, member_states: states = {} }: RunDetails): string | null {
  if (status.members === undefined) return null;
  const paint = paintFor(io);
  const rows = status.members.map(({ c, agent, run, attempt = 0, status: call }) => {
    const state = run === undefined ? undefined : states[run];
    return [c, line(agent), run ?? '-', state === undefined ? call : paintState(paint, state), String(attempt)];
  });
  return table(io, ['member', 'agent', 'run', 'state', 'started again'], rows);
}

function callsTable(io: Io, { context }: RunDetails): string | null {
  const isOpen = ({ outcome, status }: RunDetails['context']['calls'][number]) =>
    outcome === undefined && status !== 'refused';
  // Members have a table of their own.
  const open = context.calls.filter((call) => isOpen(call) && !call.tool.startsWith('agent:'));
  if (open.length === 0) return null;
  const rows = open.map((call) => [
    call.c,
    line(call.tool),
    call.status,
    call.plan_step ?? '-',
    call.idempotent ? 'may be repeated' : 'must not be repeated',
  ]);
  return table(io, ['call', 'tool', 'status', 'plan step', 'note'], rows);
}
