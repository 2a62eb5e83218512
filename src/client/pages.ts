import { type DecisionTrace, joinTrace, type TracePage } from '../core/decision-trace.ts';

/** Follows the pages of a list to its end. */
export async function* pages<T, At>(
  read: (at: At) => Promise<{ items: T[]; next: At | null }>,
  first: At,
): AsyncGenerator<T, void, void> {
  for (let at: At | null = first; at !== null; ) {
    const page = await read(at);
    yield* page.items;
    at = page.next;
  }
}

/** The whole decision trace, from its pages. */
export async function wholeTrace(
  read: (at: { from: number; step: number }) => Promise<TracePage>,
): Promise<DecisionTrace> {
  const found: TracePage[] = [];
  for (let at: TracePage['next'] = { from: 0, step: 0 }; at !== null; ) {
    const page: TracePage = await read(at);
    found.push(page);
    at = page.next;
  }
  return joinTrace(found);
}
