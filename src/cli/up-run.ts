import type { Ops } from '../app/ops.ts';
import { type Stack, startStack } from '../app.ts';
import { AppError } from '../core/errors.ts';
import { bannerText, upFacts } from './banner.ts';
import { EXIT, failureLine } from './failure.ts';
import type { Io } from './io.ts';
import { forceQuit, onQuit } from './quit.ts';
import { type NamedStackOptions, opsOf, stackOptions, type UpOptions } from './up-options.ts';

/** Runs everything until a signal comes or the server is lost. */

/** How long a stack that lost its server gets for an orderly end, milliseconds. */
const GIVE_UP_MS = 5_000;

export async function up(io: Io, options: UpOptions): Promise<void> {
  const settings = await stackOptions(io, options);
  let stack: Stack | null = null;
  const ops = await opsOf(options, settings, () => stack);
  const quit = onQuit(() => forceQuit(stack));
  try {
    stack = await startStack({ ...settings, telemetry: ops.telemetry });
    if (!quit.wasAsked) tellUp(io, options, settings, stack, ops);
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
    io.err(`Stopping: ${waits}. What is not done goes on at the next start. Ctrl-C again forces it.`);
    await stack.stop();
    io.err('Stopped.');
  } finally {
    await ops.stop();
    quit.release();
  }
}

function tellUp(io: Io, options: UpOptions, settings: NamedStackOptions, stack: Stack, ops: Ops): void {
  const up = upFacts(settings, stack, ops);
  io.out(options.json === true ? JSON.stringify(up) : bannerText(io, up, stack, settings));
}
