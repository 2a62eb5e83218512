import { toAppError } from '../core/errors.ts';
import { redactText } from '../core/redact.ts';
import { line } from './format.ts';
import { selfCommand } from './io.ts';

/** How commands fail: one line on stderr that says what happened and what to do, and an exit code. */

export const EXIT = {
  fine: 0,
  /** The command, or the run that it is about, failed. */
  failed: 1,
  usage: 2,
  /** No server, or no node, can be reached. */
  unreachable: 3,
  interrupted: 130,
} as const;

export const EXIT_HELP = `Exit codes: 0 fine; 1 the command or the run failed; 2 wrong usage; 3 no server or no node can be reached.`;

/** Ends a command with a code, when everything was said already. */
export class Ended extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`exit ${exitCode}`);
    this.exitCode = exitCode;
  }
}

const UNREACHABLE = new Set(['unavailable', 'no_node', 'not_running', 'closed']);
const USAGE = new Set(['usage', 'invalid_request']);

const ADVICE: Record<string, string> = {
  unknown_run: 'List the runs with: proctor ps',
  unknown_dead_letter: 'List them with: proctor deadletter ls',
  not_ended: 'Wait for it with --wait, or see where it stands with: proctor show RUN',
  already_ended: 'See how with: proctor result RUN',
  not_in_force: 'List them with: proctor kill ls',
  switch_in_force: 'List them with: proctor kill ls',
  not_held: 'Only a held run can be released or failed; see where it stands with: proctor show RUN',
  not_waiting: 'See what the run waits for with: proctor show RUN',
  not_open: 'List what is open with: proctor approvals',
  not_queued: 'List what is with: proctor queue ls --all',
  not_claimed: 'Take it over with: proctor queue claim RUN',
  already_done: 'See it with: proctor queue show RUN',
  unknown_approver: 'List who may decide with: proctor keys ls',
  not_pending: 'See what came of it with: proctor trace RUN',
  taken: 'Your last word on the call is still under way: try again in a moment',
  no_result: 'See the calls of the run with: proctor trace RUN',
  no_node: 'Start one with: proctor up',
  unavailable: 'Start one with: proctor up, or see what is wrong with: proctor doctor',
  forbidden: 'Use credentials with more rights: proctor doctor shows which ones are used',
  no_effect: 'See what took effect with: proctor effects RUN',
  unknown_node: 'List them with: proctor nodes',
  unknown_agent: 'List them with: proctor agents',
  unknown_version: 'Name one of those',
  invalid_agent: 'Correct the file; check again with: proctor agents check',
  invalid_policy: 'Correct the file; check again with: proctor policy check FILE',
  policy_changed: 'See what is different with: proctor policy diff FILE',
  agent_not_usable: 'Do that, or leave the agent out of --agents',
  invalid_task: 'Correct the task and submit it again',
  queue_full: 'See what waits with: proctor health',
  task_too_large: 'Put large data into files and let tools read them',
  node_gave_up: 'See child.crashed in its log for what is at fault; then start it again',
  error: 'See what is wrong with: proctor doctor',
};

export function exitCodeOf(thrown: unknown): number {
  const { code } = toAppError(thrown);
  if (USAGE.has(code)) return EXIT.usage;
  return UNREACHABLE.has(code) ? EXIT.unreachable : EXIT.failed;
}

/** `proctor: <what>. <what to do>.` Never a stack, never a secret. */
export function failureLine(thrown: unknown): string {
  const { code, message } = toAppError(thrown);
  // Faults of files come a line each; everything else is one line.
  const lines = code === 'invalid_agent' || code === 'invalid_policy' ? message.split('\n') : [message];
  const what = lines.map((one) => sentence(line(redactText(one)).trim())).join('\n  ');
  const advice = ADVICE[code];
  return `proctor: ${copyable(`${what}${advice === undefined ? '' : `${lines.length > 1 ? '\n' : ' '}${sentence(advice)}`}`)}`;
}

/** Commands in a text as they must be typed here. */
export function copyable(text: string): string {
  return text.replaceAll(
    /\bproctor (?=(?:up|supervisor|nodes|worker|submit|ps|agents|tools|show|trace|result|doctor|resolve|quarantine|deadletter|resume|continue|retry|why|approvals|keys|policy|effects|queue)\b)/g,
    `${selfCommand()} `,
  );
}

export function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
