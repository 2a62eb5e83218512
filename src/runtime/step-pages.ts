import type { StepSummary } from '../core/result.ts';

/** Steps of many parallel calls are large: what one message takes of them is bounded in bytes as well as in number. */

/** Most finished steps in one status event; more follow in the next. */
export const STEPS_A_STATUS = 50;

const PAGE_BYTES = 256 * 1024;

/** The steps in order, in pages that each fit one message; at least one page. */
export function statusPages(steps: StepSummary[]): StepSummary[][] {
  const pages: StepSummary[][] = [[]];
  let bytes = 0;
  for (const step of steps) {
    const size = sizeOf(step);
    const page = pages.at(-1) as StepSummary[];
    if (page.length > 0 && (page.length >= STEPS_A_STATUS || bytes + size > PAGE_BYTES)) {
      pages.push([step]);
      bytes = size;
    } else {
      page.push(step);
      bytes += size;
    }
  }
  return pages;
}

/** The newest steps that fit one message, oldest first. */
export function newestOf(steps: StepSummary[]): StepSummary[] {
  let bytes = 0;
  let from = steps.length;
  while (from > 0) {
    bytes += sizeOf(steps[from - 1] as StepSummary);
    if (bytes > PAGE_BYTES) break;
    from--;
  }
  return steps.slice(from);
}

/** Bytes of a step in a message, roughly: the bound on a page leaves room for what is escaped. */
function sizeOf(step: StepSummary): number {
  let chars = 300 + (step.reasoning?.length ?? 0) + (step.error?.message.length ?? 0);
  for (const call of step.calls) chars += 150 + call.tool.length + call.preview.length * 2;
  return chars;
}
