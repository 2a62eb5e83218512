import type { ClientBus } from '../../src/client/ask.ts';
import { type Client, createClient } from '../../src/client/client.ts';
import type { Cluster } from '../runtime/support.ts';

export function clientOf(cluster: Cluster, user = 'u', bus: ClientBus = cluster.client): Client {
  return createClient({ bus, subjects: cluster.subjects, user, clock: cluster.clock });
}

/** Lets simulated time go by until a promise has settled. */
export async function drive<T>(cluster: Cluster, promise: Promise<T>): Promise<T> {
  let settled = false;
  const watched = promise.finally(() => {
    settled = true;
  });
  watched.catch(() => undefined);
  await cluster.until('settled promise', async () => settled);
  return watched;
}

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
