import { AppError } from '../../core/errors.ts';

/**
 * The operations of one bus that have not ended: each ends with its own result, with `aborted` by its signal, with
 * `closed` when the bus is closed, and never once the node has crashed.
 */
export class PendingWork {
  readonly #open = new Set<(error: AppError) => void>();
  #state: 'open' | 'closed' | 'crashed' = 'open';

  get crashed(): boolean {
    return this.#state === 'crashed';
  }

  get over(): boolean {
    return this.#state !== 'open';
  }

  run<T>(signal: AbortSignal | undefined, work: (wanted: () => boolean) => Promise<T>): Promise<T> {
    if (this.#state === 'crashed') return new Promise<never>(() => {});
    if (this.#state === 'closed') return Promise.reject(closed());
    if (signal?.aborted === true) return Promise.reject(aborted());
    return new Promise((resolve, reject) => {
      let ended = false;
      const end = (settle: () => void): void => {
        if (ended || this.crashed) return;
        ended = true;
        this.#open.delete(fail);
        signal?.removeEventListener('abort', onAbort);
        settle();
      };
      const fail = (error: AppError): void => end(() => reject(error));
      const onAbort = (): void => fail(aborted());
      this.#open.add(fail);
      signal?.addEventListener('abort', onAbort);
      work(() => !ended && !this.over).then(
        (value) => end(() => resolve(value)),
        (error: unknown) => end(() => reject(error)),
      );
    });
  }

  close(): void {
    if (this.over) return;
    this.#state = 'closed';
    for (const fail of this.#open) fail(closed());
  }

  crash(): void {
    this.#state = 'crashed';
    this.#open.clear();
  }
}

function closed(): AppError {
  return new AppError('closed', 'the bus was closed');
}

function aborted(): AppError {
  return new AppError('aborted', 'the caller gave up waiting for the bus');
}
