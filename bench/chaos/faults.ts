import { setTimeout as delay } from 'node:timers/promises';
import { streamsOf } from '../../src/core/streams.ts';
import type { Subjects } from '../../src/core/subjects.ts';
import type { Random } from '../support/random.ts';
import type { Cluster, Place } from './cluster.ts';
import { leaderOf } from './servers.ts';
import type { CableMode } from './wire.ts';

/**
 * The faults. They come in rounds: a node is killed while all else is well, which tells how long a failover takes; then
 * a storm of several at once, until each is mended.
 */

export const FAULTS = [
  'nodeKill',
  'zombie',
  'serverKill',
  'leaderKill',
  'workerKill',
  'cutShort',
  'cutLong',
  'holeShort',
  'holeLong',
] as const;
export type Fault = (typeof FAULTS)[number];

/** A fault and the time that it lasted, epoch milliseconds. */
export interface Done {
  fault: Fault;
  /** The node that it was about. */
  node?: string;
  from: number;
  to: number;
}

export interface FaultOptions {
  leaseMs: number;
  minutes: number;
  /** How often the leader of a stream is killed, seconds; 0 for never. */
  leaderKillSeconds: number;
  tell: (line: string) => void;
}

export class Faults {
  readonly done: Done[] = [];
  private readonly cluster: Cluster;
  private readonly subjects: Subjects;
  private readonly random: Random;
  private readonly options: FaultOptions;
  private bag: Fault[] = [];

  constructor(cluster: Cluster, subjects: Subjects, random: Random, options: FaultOptions) {
    this.cluster = cluster;
    this.subjects = subjects;
    this.random = random;
    this.options = options;
  }

  /** Until the time is over and everything is mended. */
  async run(): Promise<void> {
    const { minutes, leaseMs } = this.options;
    const until = performance.now() + minutes * 60_000;
    const leaders = this.killLeaders(until);
    while (performance.now() < until) {
      await delay(leaseMs / 2 + this.random.int(500));
      const [place] = this.cluster.healthy.length > 1 ? [this.random.pick(this.cluster.healthy)] : [];
      if (place !== undefined) await this.nodeKill(place);
      await delay(leaseMs + 1_500);
      if (performance.now() > until) break;
      const storm = Array.from({ length: 2 + this.random.int(3) }, () => ({
        fault: this.next(),
        after: this.random.int(1_500),
      }));
      await Promise.all(storm.map(({ fault, after }) => delay(after).then(() => this.strike(fault))));
      await delay(leaseMs + this.random.int(1_000));
    }
    await leaders;
  }

  counts(): Record<Fault, number> {
    const count = (fault: Fault) => this.done.filter((done) => done.fault === fault).length;
    return Object.fromEntries(FAULTS.map((fault) => [fault, count(fault)])) as Record<Fault, number>;
  }

  /** Each fault once before any comes again. */
  private next(): Fault {
    if (this.bag.length === 0) {
      const one = this.cluster.servers.all.length === 1;
      // A second server of three that is away is an outage and not a fault.
      this.bag = FAULTS.filter((fault) => fault !== 'leaderKill' && (one || fault !== 'serverKill'));
    }
    const [fault = 'nodeKill'] = this.bag.splice(this.random.int(this.bag.length), 1);
    return fault;
  }

  private async strike(fault: Fault): Promise<void> {
    const { leaseMs } = this.options;
    const short = 200 + this.random.int(leaseMs / 2);
    const long = leaseMs * 1.2 + this.random.int(leaseMs * 2);
    if (fault === 'serverKill') return this.serverKill(0, fault, this.random.int(1_000));
    if (fault === 'workerKill') return this.workerKill();
    const { healthy } = this.cluster;
    if (healthy.length < 2) return;
    const place = this.random.pick(healthy);
    if (fault === 'nodeKill') await this.nodeKill(place);
    else if (fault === 'zombie') await this.zombie(place, long);
    else if (fault === 'cutShort') await this.cable(place, fault, 'cut', short);
    else if (fault === 'cutLong') await this.cable(place, fault, 'cut', long);
    else if (fault === 'holeShort') await this.cable(place, fault, 'hole', short);
    else await this.cable(place, 'holeLong', 'hole', long);
  }

  private note(fault: Fault, from: number, node?: string): void {
    this.done.push({ fault, from, to: Date.now(), ...(node === undefined ? {} : { node }) });
    this.options.tell(`${fault} ${node ?? ''} ${new Date(from).toISOString()} for ${Date.now() - from} ms`);
  }

  private async nodeKill(place: Place): Promise<void> {
    const { name } = place;
    const from = Date.now();
    await this.cluster.killNode(place);
    this.note('nodeKill', from, name);
    void delay(this.random.int(1_000)).then(() => this.cluster.startNode(place));
  }

  private async zombie(place: Place, ms: number): Promise<void> {
    const { name, child } = place;
    const from = Date.now();
    place.healthy = false;
    child?.process.kill('SIGSTOP');
    await delay(ms);
    child?.process.kill('SIGCONT');
    place.healthy = true;
    this.note('zombie', from, name);
  }

  private async cable(place: Place, fault: Fault, mode: CableMode, ms: number): Promise<void> {
    const from = Date.now();
    place.healthy = false;
    await this.cluster.setCable(place, mode);
    await delay(ms);
    await this.cluster.setCable(place, 'open');
    place.healthy = true;
    this.note(fault, from, place.name);
  }

  private async workerKill(): Promise<void> {
    const index = this.random.int(this.cluster.workerCount);
    const from = Date.now();
    await this.cluster.killWorker(index);
    await delay(this.random.int(500));
    await this.cluster.startWorker(index);
    this.note('workerKill', from);
  }

  private async serverKill(index: number, fault: Fault, ms: number): Promise<void> {
    const from = Date.now();
    const server = this.cluster.servers.all[index];
    await server?.kill9();
    await delay(ms);
    await server?.start();
    this.note(fault, from);
  }

  private async killLeaders(until: number): Promise<void> {
    const { leaderKillSeconds } = this.options;
    const { all } = this.cluster.servers;
    if (leaderKillSeconds === 0 || all.length === 1) return;
    const { queue, results, tasks, inbox } = streamsOf(this.subjects);
    const period = new Date().toISOString().slice(0, 10).replaceAll('-', '');
    const streams = [this.subjects.stream('JRN', period), queue.name, tasks.name, inbox.name, results.name];
    for (let i = 0; performance.now() + leaderKillSeconds * 1_000 < until; i++) {
      await delay(leaderKillSeconds * 1_000);
      const stream = streams[i % streams.length] ?? queue.name;
      const leader = await leaderOf(all, stream);
      if (leader === null) continue;
      this.options.tell(`s${leader} leads ${stream}`);
      await this.serverKill(leader, 'leaderKill', 500 + this.random.int(2_500));
    }
  }
}
