import { setTimeout as delay } from 'node:timers/promises';
import { type Child, startChild } from '../support/children.ts';
import { type Servers, startServers } from './servers.ts';
import { Sink } from './sink.ts';
import type { Breakage, CableMode, ChaosNodeOptions } from './wire.ts';

export interface ClusterOptions {
  servers: number;
  nodes: number;
  leaseMs: number;
  staleMs: number;
  breakage: Breakage;
}

/** A place for a node, with a cable of its own to the servers. */
export interface Place {
  readonly index: number;
  /** The node that has it now; its name is never given twice. */
  name: string;
  child: Child | null;
  /** It is up, and no fault is at it. */
  healthy: boolean;
}

/** The processes of the drill: servers, cables, nodes, tool workers. */
export class Cluster {
  readonly servers: Servers;
  readonly sink: Sink;
  readonly places: Place[];
  private readonly cables: Child;
  private readonly urls: string[];
  private readonly options: ChaosNodeOptions;
  private readonly workers: (Child | null)[] = [null, null];
  private readonly started = new Set<Child>();
  private standby: Child;
  private named = 0;
  private orders = 0;
  private closing = false;

  private constructor(servers: Servers, sink: Sink, cables: Child, urls: string[], options: ChaosNodeOptions) {
    this.servers = servers;
    this.sink = sink;
    this.cables = cables;
    this.urls = urls;
    this.options = options;
    this.places = urls.map((_, index) => ({ index, name: '', child: null, healthy: false }));
    this.standby = this.load();
  }

  static async open({ servers: count, nodes, leaseMs, staleMs, breakage }: ClusterOptions): Promise<Cluster> {
    const servers = await startServers(count);
    const sink = await Sink.open(breakage !== 'keys');
    const cables = startChild(import.meta.url, './cables', {
      count: nodes,
      targets: servers.all.map(({ port }) => port),
    });
    const ports = await cables.until((line) => (line.startsWith('[') ? (JSON.parse(line) as number[][]) : null));
    const urls = ports.map((ways) => ways.map((port) => `nats://127.0.0.1:${port}`).join(','));
    const dir = servers.all[0]?.dir ?? '';
    const options = { dir, leaseMs, staleMs, sinkPort: sink.port, replicas: count, breakage };
    const cluster = new Cluster(servers, sink, cables, urls, options);
    await Promise.all(cluster.workers.map((_, i) => cluster.startWorker(i)));
    for (const place of cluster.places) await cluster.startNode(place);
    return cluster;
  }

  /** Folder of what the nodes leave behind. */
  get dir(): string {
    return this.options.dir;
  }

  get healthy(): Place[] {
    return this.places.filter((place) => place.healthy);
  }

  private keep(child: Child): Child {
    this.started.add(child);
    void child.exited.then(() => this.started.delete(child));
    return child;
  }

  private load(): Child {
    return this.keep(startChild(import.meta.url, './node', this.options));
  }

  /** As often as it takes: a node that finds no server ends. */
  async startNode(place: Place): Promise<void> {
    while (!this.closing) {
      const child = this.standby;
      this.standby = this.load();
      const name = `n${++this.named}`;
      try {
        await child.until((line) => line === 'loaded' || null);
        place.child = child;
        place.name = name;
        child.tell({ name, url: this.urls[place.index] });
        await child.until((line) => line === 'up' || null);
        place.healthy = true;
        return;
      } catch {
        await delay(200);
      }
    }
  }

  /** Resolves when the process is gone. */
  async killNode(place: Place): Promise<void> {
    place.healthy = false;
    await place.child?.end('SIGKILL');
  }

  async startWorker(index: number): Promise<void> {
    while (!this.closing) {
      const options = { url: this.servers.url, sinkPort: this.sink.port };
      const child = this.keep(startChild(import.meta.url, './worker', options));
      try {
        await child.until((line) => line === 'up' || null);
        this.workers[index] = child;
        return;
      } catch {
        await delay(200);
      }
    }
  }

  async killWorker(index: number): Promise<void> {
    await this.workers[index]?.end('SIGKILL');
  }

  get workerCount(): number {
    return this.workers.length;
  }

  /** Resolves when the cable is so. */
  async setCable({ index }: Place, mode: CableMode): Promise<void> {
    const id = ++this.orders;
    this.cables.tell({ id, cable: index, mode });
    await this.cables.until((line) => line === `set ${id}` || null);
  }

  /** All of them, and the workers, for good. */
  async killNodes(): Promise<void> {
    this.closing = true;
    await Promise.all([...this.started].map((child) => child.end('SIGKILL')));
  }

  async close(): Promise<void> {
    await this.killNodes();
    await this.cables.end('SIGKILL');
    this.sink.close();
    await this.servers.stop();
  }
}
