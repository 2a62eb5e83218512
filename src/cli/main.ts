import { processIo } from './io.ts';
import { runCommand } from './program.ts';

/** Entry point: bin/proctor.mjs loads this file. */

// `proctor ps | head` closes the pipe before everything is written, and that is all right.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

process.exitCode = await runCommand(processIo, process.argv.slice(2));
