import { NO_USAGE, Usage } from '../core/decision.ts';
import type { AppError } from '../core/errors.ts';

/** What a failed call used, by what it says of it; null: nobody knows. @param isCut it was cut off from this side */
export function usedByFailed({ usage, code }: AppError, isCut: boolean): Usage | null {
  const used = Usage.safeParse(usage);
  if (used.success) return used.data;
  return isCut || NOT_KNOWN.has(code) ? null : NO_USAGE;
}

/** It was on its way to the provider, who may have answered and counted. */
const NOT_KNOWN: ReadonlySet<string> = new Set(['timeout', 'aborted', 'model_unavailable', 'closed']);
