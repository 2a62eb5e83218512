import { setTimeout as delay } from 'node:timers/promises';
import { connect, nkeyAuthenticator } from '@nats-io/transport-node';

/** Resolves true once the server answers JetStream requests of a node, false when `signal` aborts first. */
export async function waitUntilReady(url: string, nodeSeed: string, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    if (await answers(url, nodeSeed)) return true;
    await delay(25);
  }
  return false;
}

async function answers(url: string, nodeSeed: string): Promise<boolean> {
  try {
    const connection = await connect({
      servers: url,
      authenticator: nkeyAuthenticator(new TextEncoder().encode(nodeSeed)),
      reconnect: false,
      timeout: 2_000,
      noAsyncTraces: true,
    });
    try {
      const reply = await connection.request('$JS.API.INFO', '', { timeout: 2_000 });
      return !reply.string().includes('"error"');
    } finally {
      await connection.close();
    }
  } catch {
    return false;
  }
}
