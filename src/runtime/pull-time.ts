/** Short, so that a consumer whose leader died is asked anew soon. */
const LONGEST_MS = 2_000;

/**
 * How long one pull waits for messages, milliseconds. What a node held comes again no sooner than two thirds of a lease
 * after it fell silent: by then no pull of it may be open, or the server hands it to the silent node once more.
 */
export function pullTime({ lease_ms }: { lease_ms: number }): number {
  return Math.min(LONGEST_MS, Math.floor(lease_ms / 2));
}
