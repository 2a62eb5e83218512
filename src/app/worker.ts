import { systemClock } from '../adapters/clock/system-clock.ts';
import { cryptoIds } from '../adapters/crypto/ids.ts';
import { Subjects } from '../core/subjects.ts';
import type { Log } from '../ports/telemetry.ts';
import { serveTools, type Worker } from '../worker/serve-tools.ts';
import type { WorkerTool } from '../worker/worker-tool.ts';
import { connectBus, type NatsAddress } from './connect.ts';
import { loginIn } from './folder.ts';
import { logTo } from './local.ts';

/** A tool worker with a connection of its own: what a script of a user's needs. */

export interface StartWorkerOptions {
  tools: WorkerTool[];
  /** Data folder of a Proctor on this machine, whose server and worker key are used; default `.proctor`. */
  dir?: string;
  /** A server of yours; `dir` is not looked at then. */
  nats?: NatsAddress;
  /** First token of all subjects; default what the folder says, else `proctor`. */
  prefix?: string;
  /** Calls that all tools carry out at once; default 64. */
  concurrency?: number;
  /** Semantic version of the worker; default 1.0.0. */
  version?: string;
  /** Default: JSON lines of level info and above, to stderr. */
  log?: Log;
}

/**
 * Connects and serves; `stop()` of what it resolves with drains and closes the connection. Throws AppError
 * `bad_worker` (all that is wrong with the tools), `not_running`, `unavailable`, `unauthorized`.
 */
export async function startWorker(options: StartWorkerOptions): Promise<Worker> {
  const { tools, concurrency, version, dir = '.proctor' } = options;
  const id = cryptoIds.random();
  const log = (options.log ?? logTo((line) => void process.stderr.write(line), 'info')).child({ worker: id });
  const { address, subjects } =
    options.nats === undefined
      ? await loginIn(dir, { role: 'worker' }, options.prefix)
      : { address: options.nats, subjects: new Subjects(options.prefix) };
  const bus = await connectBus({ inboxPrefix: subjects.workerInbox, ...address }, `worker-${id}`, subjects, log);
  try {
    const worker = await serveTools({
      bus,
      subjects,
      clock: systemClock(),
      log,
      id,
      tools,
      ...(concurrency === undefined ? {} : { concurrency }),
      ...(version === undefined ? {} : { version }),
    });
    return {
      id: worker.id,
      async stop() {
        await worker.stop();
        await bus.close();
      },
    };
  } catch (error) {
    await bus.close();
    throw error;
  }
}
