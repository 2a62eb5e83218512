import { randomUUID } from 'node:crypto';
import { loadTools } from '../app/load-tools.ts';
import { logTo } from '../app/local.ts';
import { startTelemetry } from '../app/telemetry.ts';
import { startWorker } from '../app/worker.ts';
import { find } from './connect.ts';
import { openTelemetryEnvironment } from './environment.ts';
import { EXIT } from './failure.ts';
import type { Io } from './io.ts';
import { forceQuit, onQuit } from './quit.ts';
import type { WorkerOptions } from './worker-options.ts';

/** Serves until a signal comes: the first lets the running calls end, a second one forces it. */
export async function worker(io: Io, file: string, options: WorkerOptions): Promise<void> {
  const tools = await loadTools(file);
  const { address, subjects } = await find(options, { role: 'worker' });
  const log = logTo((line) => void process.stderr.write(line), options.logLevel ?? (io.errIsTty ? 'warn' : 'info'));
  const quit = onQuit(() => forceQuit(null));
  const telemetry = await startTelemetry({
    service: 'proctor-worker',
    instance: randomUUID(),
    env: openTelemetryEnvironment(),
    log,
  });
  const running = await startWorker({ tools, nats: address, prefix: subjects.prefix, log });
  const names = tools.map((tool) => tool.definition.name);
  if (options.json === true) io.out(JSON.stringify({ worker: running.id, tools: names }));
  else io.out(`Worker ${running.id} serves ${names.join(', ')}. Stop it with Ctrl-C.`);
  await quit.asked;
  io.err('Stopping: running calls may end until their deadline. Ctrl-C again forces it.');
  await running.stop();
  await telemetry?.stop();
  io.err('Stopped.');
  // What the file itself opened must not keep the process alive.
  process.exit(EXIT.fine);
}
