import { randomBytes } from 'node:crypto';

/**
 * The id generator of the SDK, which lets the next span be given its ids: those of a run follow from its journal. All
 * other spans of the process get random ones. Give it to an SDK of yours as `idGenerator`.
 */
class ForcedIds {
  private trace: string | null = null;
  private span: string | null = null;

  /** The span that `work` starts gets these. */
  during<T>(trace: string, span: string, work: () => T): T {
    this.trace = trace;
    this.span = span;
    try {
      return work();
    } finally {
      this.trace = null;
      this.span = null;
    }
  }

  /** Called by the SDK without `this`, by some versions. */
  readonly generateTraceId = (): string => {
    const id = this.trace ?? randomBytes(16).toString('hex');
    this.trace = null;
    return id;
  };

  readonly generateSpanId = (): string => {
    const id = this.span ?? randomBytes(8).toString('hex');
    this.span = null;
    return id;
  };
}

/** One for the process, as its API is. */
export const spanIds = new ForcedIds();
