import { setTimeout as delay } from 'node:timers/promises';
import { connect } from '@nats-io/transport-node';
import { z } from 'zod';
import { freePort } from '../../src/adapters/embedded-nats/ports.ts';
import { type DrillServer, startServer } from '../support/server.ts';

/** One server, or a cluster in which every stream is kept by all of them. */
export interface Servers {
  readonly all: readonly DrillServer[];
  /** Of every server. */
  readonly url: string;
  stop(): Promise<void>;
}

const Leader = z.object({ cluster: z.object({ leader: z.string().optional() }).optional() });

/** A cluster needs its routes and a leader before it takes streams. */
const READY_MS = 60_000;

export async function startServers(count: number): Promise<Servers> {
  const all = count === 1 ? [await startServer()] : await startCluster(count);
  return {
    all,
    url: all.map(({ url }) => url).join(','),
    stop: async () => void (await Promise.all(all.map((server) => server.stop()))),
  };
}

async function startCluster(count: number): Promise<DrillServer[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = await freePort([]);
    if (!ports.includes(port)) ports.push(port);
  }
  const routes = ports.map((port) => `"nats://127.0.0.1:${port}"`).join(', ');
  const servers = await Promise.all(
    ports.map((port, i) =>
      // Clients must not learn ways around the cables.
      startServer(
        `server_name: s${i}\ncluster { name: drill, listen: "127.0.0.1:${port}", routes: [${routes}], no_advertise: true }`,
      ),
    ),
  );
  const until = performance.now() + READY_MS;
  while ((await askJetStream(servers, 'INFO', 1_000)) === null) {
    if (performance.now() > until) throw new Error('the servers do not become a cluster');
    await delay(200);
  }
  return servers;
}

/** Index of the server that leads the stream; null while none does. */
export async function leaderOf(servers: readonly DrillServer[], stream: string): Promise<number | null> {
  const answer = await askJetStream(servers, `STREAM.INFO.${stream}`, 2_000);
  const index = servers.findIndex((_, i) => `s${i}` === answer?.cluster?.leader);
  return index < 0 ? null : index;
}

async function askJetStream(servers: readonly DrillServer[], verb: string, timeoutMs: number) {
  try {
    const nc = await connect({ servers: servers.map(({ url }) => url), timeout: timeoutMs, reconnect: false });
    try {
      const text = (await nc.request(`$JS.API.${verb}`, '', { timeout: timeoutMs })).string();
      return text.includes('"error"') ? null : Leader.parse(JSON.parse(text));
    } finally {
      await nc.close();
    }
  } catch {
    return null;
  }
}
