import { Worker } from 'node:worker_threads';
import { AppError, toAppError } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import { abortReason } from './local-tool.ts';

/**
 * A worker thread for work whose cost an argument decides (regular expressions, queries). The thread has little memory
 * and one time budget; whoever exceeds either ends the thread, not the process. The code is a text, so that it starts
 * the same from sources and from the built package; it must hold a function `answer(message)`.
 */
export class Isolate {
  readonly #worker: Worker;
  readonly #release: () => void;
  #pending: { resolve: (value: unknown) => void; reject: (error: AppError) => void } | null = null;
  #failed: AppError | null = null;

  constructor(
    code: string,
    options: { data: unknown; budgetMs: number; clock: Clock; signal: AbortSignal; field: string },
  ) {
    const { field, signal } = options;
    this.#worker = new Worker(PROLOGUE + code, {
      eval: true,
      workerData: options.data,
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 96, maxYoungGenerationSizeMb: 16, stackSizeMb: 2 },
    });
    const onAbort = () => this.#fail(abortReason(signal));
    const cancelTimer = options.clock.after(options.budgetMs, () =>
      this.#fail(
        new AppError('too_slow', `"${field}" takes longer than ${options.budgetMs} ms; simplify it.`, { field }),
      ),
    );
    signal.addEventListener('abort', onAbort, { once: true });
    this.#release = () => {
      cancelTimer();
      signal.removeEventListener('abort', onAbort);
    };
    this.#worker.on('message', (reply: { value?: unknown; error?: string }) => {
      const pending = this.#pending;
      this.#pending = null;
      if (reply.error === undefined) pending?.resolve(reply.value);
      else pending?.reject(new AppError('rejected', reply.error, { field }));
    });
    this.#worker.on('error', (error: NodeJS.ErrnoException) =>
      this.#fail(
        error.code === 'ERR_WORKER_OUT_OF_MEMORY'
          ? new AppError('too_much_memory', `"${field}" needs too much memory; simplify it.`, { field })
          : toAppError(error, 'tool_error'),
      ),
    );
    this.#worker.on('exit', () => this.#fail(new AppError('tool_error', 'The worker thread ended.')));
    if (signal.aborted) onAbort();
  }

  /**
   * One question at a time. Throws AppError `rejected` when the code threw, `too_slow`, `too_much_memory`, or what
   * the signal was aborted with.
   */
  async ask(message: unknown): Promise<unknown> {
    if (this.#failed !== null) throw this.#failed;
    return await new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      this.#worker.postMessage(message);
    });
  }

  /** Ends the thread, whatever it is doing. Always to be called. */
  async close(): Promise<void> {
    this.#release();
    await this.#worker.terminate();
  }

  #fail(error: AppError): void {
    if (this.#failed !== null) return;
    this.#failed = error;
    this.#release();
    this.#pending?.reject(error);
    this.#pending = null;
  }
}

const PROLOGUE = `
const { parentPort, workerData } = require('node:worker_threads');
parentPort.on('message', (message) => {
  let reply;
  try {
    reply = { value: answer(message) };
  } catch (error) {
    reply = { error: String(error && error.message).slice(0, 500) };
  }
  parentPort.postMessage(reply);
});
`;
