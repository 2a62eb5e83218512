import { z } from 'zod';
import type { Usage } from './decision.ts';

/** An error as data: what journals, results and wire replies carry. `code` is stable and is what callers compare. */
export const ErrorInfo = z.object({
  code: z.string().max(64),
  message: z.string().max(2048),
  /** True when the same request may succeed later without anybody changing it. */
  retryable: z.boolean().default(false),
  /** How long the other side asked to be left alone, milliseconds. */
  retry_after_ms: z.int().min(0).max(86_400_000).optional(),
  /** Where in the input the fault lies, as a dotted path; absent when it is not about an input. */
  field: z.string().max(256).optional(),
  /** What to do instead, for whoever decides on. */
  suggestion: z.string().max(512).optional(),
});
export type ErrorInfo = z.infer<typeof ErrorInfo>;

export interface AppErrorOptions {
  retryable?: boolean;
  retryAfterMs?: number | undefined;
  field?: string;
  usage?: Usage;
  cause?: unknown;
}

/** The one error class. Compare `code`, never `instanceof`, when the error came over a wire. */
export class AppError extends Error {
  readonly code: string;
  readonly retryable: boolean;
  /** How long the other side asked to be left alone, milliseconds. */
  readonly retryAfterMs: number | undefined;
  readonly field: string | undefined;
  /** What a model call used although it failed. */
  readonly usage: Usage | undefined;

  constructor(code: string, message: string, options: AppErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AppError';
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.retryAfterMs = options.retryAfterMs;
    this.field = options.field;
    this.usage = options.usage;
  }

  toInfo(): ErrorInfo {
    return {
      code: clip(this.code, 64),
      message: clip(this.message, 2048),
      retryable: this.retryable,
      ...(this.retryAfterMs === undefined ? {} : { retry_after_ms: clampDelay(this.retryAfterMs) }),
      ...(this.field === undefined ? {} : { field: clip(this.field, 256) }),
    };
  }
}

/** An error that came as data. */
export function fromInfo({ code, message, retryable, retry_after_ms, field }: ErrorInfo): AppError {
  return new AppError(code, message, {
    retryable,
    retryAfterMs: retry_after_ms,
    ...(field === undefined ? {} : { field }),
  });
}

const DAY_MS = 86_400_000;

function clampDelay(ms: number): number {
  return Number.isFinite(ms) ? Math.min(DAY_MS, Math.max(0, Math.ceil(ms))) : 0;
}

/** Whatever was thrown, as an AppError; the original stays as `cause`. */
export function toAppError(thrown: unknown, code = 'error'): AppError {
  if (thrown instanceof AppError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new AppError(code, message || code, { cause: thrown });
}

/** `text` cut to `max` UTF-16 units, with an ellipsis when something is missing. */
export function clip(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max - 1)}…`;
}

/** All faults of a failed parse in one sentence a line: the dotted path, and what was expected there. */
export function describeFaults(error: z.ZodError, root: string): { message: string; field: string } {
  const faults = error.issues.slice(0, 20).map((issue) => {
    const path = issue.path.length === 0 ? root : issue.path.map(String).join('.');
    return { path, text: `${path}: ${issue.message}` };
  });
  return { message: faults.map((fault) => fault.text).join('; '), field: faults[0]?.path ?? root };
}
