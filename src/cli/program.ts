import { Command, CommanderError } from 'commander';
import { VERSION } from '../core/version.ts';
import { addAgain } from './again.ts';
import { addAgents } from './agents.ts';
import { addApprovals } from './approvals.ts';
import { addBreakers } from './breakers.ts';
import { addCompletion } from './completion.ts';
import { addConsole } from './console.ts';
import { addDeadLetter } from './deadletter.ts';
import { addDoctor } from './doctor.ts';
import { addEffects } from './effects.ts';
import { Ended, EXIT, EXIT_HELP, exitCodeOf, failureLine } from './failure.ts';
import { addHealth } from './health.ts';
import { addInspect } from './inspect.ts';
import type { Io } from './io.ts';
import { addKeys } from './keys.ts';
import { addNatsConfig } from './nats-config.ts';
import { addNodes } from './nodes.ts';
import { addOrders } from './orders.ts';
import { addPolicy } from './policy.ts';
import { addPs } from './ps.ts';
import { addQueue } from './queue.ts';
import { addResult } from './result.ts';
import { addShow } from './show.ts';
import { addSubmit } from './submit.ts';
import { addSupervisor } from './supervisor.ts';
import { addSwitches } from './switches.ts';
import { addTools } from './tools.ts';
import { addTrace } from './trace.ts';
import { addTree } from './tree.ts';
import { addUp } from './up.ts';
import { addVersion } from './version.ts';
import { addWatch } from './watch.ts';
import { addWhy } from './why.ts';
import { addWorker } from './worker.ts';

/** The whole command line. Resolves with the exit code; says everything through `io`. */
export async function runCommand(io: Io, argv: string[]): Promise<number> {
  const program = createProgram(io);
  try {
    await program.parseAsync(argv, { from: 'user' });
    return EXIT.fine;
  } catch (thrown) {
    if (thrown instanceof Ended) return thrown.exitCode;
    if (thrown instanceof CommanderError) return usageEnd(io, program, argv, thrown);
    io.err(failureLine(thrown));
    return exitCodeOf(thrown);
  }
}

export function createProgram(io: Io): Command {
  const program = new Command('proctor')
    .description('Supervises agent runs on NATS: hand in tasks, watch runs, help them on.')
    .version(VERSION, '-V, --version', 'print the version')
    .exitOverride()
    // What follows a sub-command is for it, also where the command above it takes the same options.
    .enablePositionalOptions()
    .configureOutput({
      writeOut: (text) => io.out(text.trimEnd()),
      writeErr: (text) => io.err(text.trimEnd()),
      // Told by `usageEnd`.
      outputError: () => {},
    })
    .addHelpText(
      'after',
      `
Examples:
  $ proctor up
  $ proctor submit examples/tasks/first.json --wait
  $ proctor ps

Environment: NATS_URL (a server of yours, user and password inside), PROCTOR_NKEY_FILE (file with the nkey seed to log
in with), PROCTOR_NATS_SERVER (the nats-server to start), NO_COLOR.

${EXIT_HELP}`,
    );
  const adders = [
    addUp,
    addSupervisor,
    addWorker,
    addSubmit,
    addPs,
    addWatch,
    addShow,
    addWhy,
    addTrace,
    addResult,
    addOrders,
    addApprovals,
    addKeys,
    addSwitches,
    addBreakers,
    addAgents,
    addPolicy,
    addAgain,
    addEffects,
    addQueue,
    addDeadLetter,
    addTools,
    addNodes,
    addTree,
    addNatsConfig,
    addHealth,
    addDoctor,
    addVersion,
    addConsole,
    addInspect,
    addCompletion,
  ];
  for (const add of adders) add(program, io);
  return program;
}

function usageEnd(io: Io, program: Command, argv: string[], error: CommanderError): number {
  if (error.exitCode === 0) return EXIT.fine;
  // Help for a command that was called without its sub-command was printed already.
  if (error.code === 'commander.help') return EXIT.usage;
  const what = error.message
    .replace(/^error: /, '')
    .replace(/^command-argument value '(.*)' is invalid for argument '(.*?)'\./s, "$2 '$1' is invalid.")
    // The list that stands in for a word that is no sub-command.
    .replace(/^too many arguments for 'ls'.*$/s, 'unknown sub-command or option')
    .replaceAll(/\s*\n\s*/g, ' ')
    .trim();
  io.err(`proctor: ${/[.!?)]$/.test(what) ? what : `${what}.`} See: ${commandPath(program, argv)} --help`);
  return EXIT.usage;
}

/** The longest command that the arguments begin with. */
function commandPath(program: Command, argv: string[]): string {
  let command = program;
  const path = [program.name()];
  for (const word of argv) {
    const next = command.commands.find((one) => one.name() === word);
    if (next === undefined) break;
    command = next;
    path.push(word);
  }
  return path.join(' ');
}
