import { AppError } from '../core/errors.ts';
import { SCOPE_FORMS, SwitchScope } from '../core/switch-scope.ts';
import type { SwitchInfo, SwitchOrder } from '../core/switch-wire.ts';
import type { PubAck } from '../ports/bus.ts';
import type { Clock } from '../ports/clock.ts';
import type { ClientBus } from './ask.ts';

/**
 * Orders to switches. They are published into their stream by whoever gives them, not handed to a node: so a kill needs
 * nothing but the server, today as in the hour when it is needed.
 */

/** Times that nobody may answer before an order counts as given without a word from the nodes. */
export const SILENCES = 3;
/** How long the server may take to store an order, milliseconds. */
const STORE_MS = 10_000;

/** The body of the order. Throws AppError `invalid_request`. */
export function checkedOrder(scope: string, order: SwitchOrder): string {
  if (!SwitchScope.safeParse(scope).success) {
    const text = `scope "${scope.slice(0, 100)}": expected ${SCOPE_FORMS}`;
    throw new AppError('invalid_request', text, { field: 'scope' });
  }
  const why = order.why.trim();
  if (why === '' || why.length > 1024) {
    throw new AppError('invalid_request', 'why: expected a reason of 1 to 1024 characters', { field: 'why' });
  }
  return JSON.stringify({ ...order, why });
}

/** Throws AppError `not_in_force`, naming what is. */
export async function mustBeInForce(switches: AsyncIterable<SwitchInfo>, scope: string): Promise<void> {
  const others: string[] = [];
  for await (const one of switches) {
    if (one.scope === scope) return;
    others.push(one.scope);
  }
  const text = `no switch ${scope} is in force; in force: ${others.slice(0, 10).join(', ') || 'none'}`;
  throw new AppError('not_in_force', text, { field: 'scope' });
}

/** Throws AppError `unavailable` when the server does not store it in time. */
export async function storeOrder(
  bus: ClientBus,
  clock: Pick<Clock, 'after'>,
  subject: string,
  order: string,
): Promise<PubAck> {
  const giveUp = new AbortController();
  const text = 'the server did not store the order: is a node or was ever one running, and may you publish it?';
  const cancel = clock.after(STORE_MS, () => giveUp.abort(new AppError('unavailable', text, { retryable: true })));
  try {
    return await bus.publish(subject, order, { signal: giveUp.signal });
  } finally {
    cancel();
  }
}
