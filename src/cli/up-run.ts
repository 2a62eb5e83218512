import type { Ops } from '../app/ops.ts';
import { type Stack, startStack } from '../app.ts';
import { AppError, toAppError } from '../core/errors.ts';
import { bannerText, joinedText, upFacts } from './banner.ts';
import { EXIT, failureLine } from './failure.ts';
import type { Io } from './io.ts';
import { forceQuit, onQuit } from './quit.ts';
import { startUpConsole, type UpConsole } from './up-console.ts';
import {
  levelOf,
  memberOptions,
  type NamedStackOptions,
  type NodeOptions,
  opsOf,
  stackOptions,
  type UpOptions,
} from './up-options.ts';

/** Runs everything until a signal comes or the server is lost. */

/** How long a stack that lost its server gets for an orderly end, milliseconds. */
const GIVE_UP_MS = 5_000;

export async function up(io: Io, options: UpOptions): Promise<void> {
  const settings = await stackOptions(io, options);
  let page: UpConsole | null = null;
  const tell = async (stack: Stack, ops: Ops) => {
    if (options.console)
      page = startUpConsole({ ...settings, port: options.consolePort, logLevel: levelOf(io, options) });
    const facts = upFacts(settings, stack, ops, (await page?.started) ?? null);
    io.out(options.json === true ? JSON.stringify(facts) : bannerText(io, facts, stack, settings));
  };
  await run(io, options, settings, tell, async () => page?.stop());
}

export async function supervisor(io: Io, options: NodeOptions & { prefix?: string }): Promise<void> {
  const settings = await memberOptions(io, options);
  await run(io, options, settings, (stack, ops) => {
    const facts = upFacts(settings, stack, ops);
    io.out(options.json === true ? JSON.stringify(facts) : joinedText(io, facts, stack));
  }).catch((thrown: unknown) => {
    const error = toAppError(thrown);
    if (error.code !== 'forbidden') throw error;
    const todo = 'a node logs in with the seed in keys/node.nk: name that file in PROCTOR_NKEY_FILE';
    throw new AppError('not_a_node', `${error.message}; ${todo}`, { cause: thrown });
  });
}

async function run(
  io: Io,
  options: NodeOptions,
  settings: NamedStackOptions,
  tell: (stack: Stack, ops: Ops) => Promise<void> | void,
  /** Before the node and the server end. */
  stopping: () => Promise<void> = async () => {},
): Promise<void> {
  let stack: Stack | null = null;
  const ops = await opsOf(options, settings, () => stack);
  const quit = onQuit(() => forceQuit(stack));
  try {
    stack = await startStack({ ...settings, telemetry: ops.telemetry });
    // Who wants to stop does not wait for it.
    if (!quit.wasAsked) void tell(stack, ops);
    const why = await Promise.race([quit.asked, stack.failed]);
    if (why instanceof AppError) {
      io.err(failureLine(why));
      await Promise.race([stack.stop(), new Promise((resolve) => setTimeout(resolve, GIVE_UP_MS))]);
      process.exit(EXIT.failed);
    }
    const runs = stack.node.activeRuns;
    const waits =
      runs === 0
        ? 'no run is in work'
        : `${runs} run${runs === 1 ? '' : 's'} in work: calls that must not be cut off get up to 25 s`;
    io.err(`Stopping: ${waits}. ${elsewhere(stack)} Ctrl-C again forces it.`);
    await stopping();
    await stack.stop();
    io.err('Stopped.');
  } finally {
    await ops.stop();
    quit.release();
  }
}

/** Where what is not done goes on. */
function elsewhere(stack: Stack): string {
  return stack.embedded === null
    ? 'What is not done goes on at another node.'
    : 'What is not done goes on at the next start.';
}
