import { readSwitchOrder, type SwitchOrder } from '../core/switch-wire.ts';

/**
 * Orders to switches that were heard as they were published and are not read from the stream yet. A kill or a pause
 * holds its scope from then on: nothing new begins there. That can be undone, so it needs no proof; whatever cannot
 * (calls aborted, runs ended, tasks refused) and every revival waits for the reading. An order that the readings do not
 * find was never stored, or refused, and holds nothing any more.
 */

/** A server that stores an order at all has stored it so long after it was heard, milliseconds. */
export const STORED_WITHIN_MS = 500;
/** Beyond so many unread orders more are only read. */
const MOST = 1_000;
/** So much of a body tells it from others. */
const KEY_CHARS = 4_096;

export interface HeardOrder {
  /** Null when the subject names none. */
  scope: string | null;
  order: SwitchOrder;
  holds: boolean;
  /** When it was heard last, epoch milliseconds. */
  at: number;
  /** The same order may be given again before it is read. */
  times: number;
}

export class HeardOrders {
  private readonly orders = new Map<string, HeardOrder>();

  /** Orders are heard that no reading has found yet. */
  get unread(): boolean {
    return this.orders.size > 0;
  }

  /** The order when it holds its scope and was not known to before; else null. */
  hear(subject: string, data: string, scope: string | null, now: number): HeardOrder | null {
    const key = keyOf(subject, data);
    const again = this.orders.get(key);
    if (again !== undefined) {
      again.times++;
      again.at = now;
      return null;
    }
    if (this.orders.size >= MOST) return null;
    const order = readSwitchOrder(data);
    const holds = scope !== null && (order.mode === 'kill' || order.mode === 'pause');
    const heard = { scope, order, holds, at: now, times: 1 };
    this.orders.set(key, heard);
    return holds ? heard : null;
  }

  /** The order was read: what follows from it is the table's from now on. */
  read(subject: string, data: string): void {
    const key = keyOf(subject, data);
    const heard = this.orders.get(key);
    if (heard !== undefined && --heard.times <= 0) this.orders.delete(key);
  }

  /** Drops what a reading that began then should have found, and gives it back. */
  giveUp(began: number): HeardOrder[] {
    const given: HeardOrder[] = [];
    for (const [key, heard] of this.orders) {
      if (began - heard.at < STORED_WITHIN_MS) continue;
      this.orders.delete(key);
      given.push(heard);
    }
    return given;
  }

  /** Whether an order that was heard holds any of the scopes. */
  holds(scopes: readonly string[]): boolean {
    if (this.orders.size === 0) return false;
    for (const { holds, scope } of this.orders.values()) {
      if (holds && scope !== null && scopes.includes(scope)) return true;
    }
    return false;
  }
}

function keyOf(subject: string, data: string): string {
  return `${subject} ${data.length} ${data.slice(0, KEY_CHARS)}`;
}
