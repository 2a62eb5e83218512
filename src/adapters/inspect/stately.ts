import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { createWebSocketInspector } from '@statelyai/inspect';
import type { InspectionEvent } from 'xstate';
import { AppError } from '../../core/errors.ts';
import { redact } from '../../core/redact.ts';

/** The Stately inspector, over its own protocol: what an actor does is sent to the WebSocket server that shows it. */

export interface StatelyInspector {
  inspect(event: InspectionEvent): void;
  /** Resolves when everything was sent. */
  stop(): Promise<void>;
}

const PATIENCE_MS = 5_000;
/** Deeper than any chart or context: what lies deeper the package replaces by a word. */
const DEPTH = 64;

/** Throws AppError `unavailable` when nobody listens there. */
export async function connectStately(url: string): Promise<StatelyInspector> {
  await somebodyListens(url);
  const inspector = createWebSocketInspector({
    url,
    serializationDepthLimit: DEPTH,
    maxDeferredEvents: 1_000_000,
    sanitizeContext: (context) => redact(context) as typeof context,
    sanitizeEvent: (event) => redact(event) as typeof event,
  });
  const { adapter } = inspector as unknown as { adapter: { status: string; ws: { bufferedAmount: number } } };
  for (let waited = 0; adapter.status !== 'open'; waited += 20) {
    if (waited >= PATIENCE_MS) throw nobody(url);
    await delay(20);
  }
  return {
    inspect: (event) => inspector.inspect.next?.(event),
    stop: async () => {
      // The package sends each event a moment after it came.
      do await delay(50);
      while (adapter.ws.bufferedAmount > 0);
      inspector.stop();
    },
  };
}

/** Asked first: the package tries again for ever where nobody listens, and cannot be told to stop. */
function somebodyListens(url: string): Promise<void> {
  const { hostname, port, protocol } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port || (protocol === 'wss:' ? 443 : 80)), hostname.replace(/^\[|\]$/g, ''));
    const fail = () => {
      socket.destroy();
      reject(nobody(url));
    };
    socket
      .setTimeout(PATIENCE_MS, fail)
      .once('error', fail)
      .once('connect', () => {
        socket.destroy();
        resolve();
      });
  });
}

function nobody(url: string): AppError {
  return new AppError(
    'unavailable',
    `no inspector listens on ${url}: start createInspectorServer() of @statelyai/inspect/server there`,
  );
}
