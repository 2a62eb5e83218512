import type { NatsBus } from '../../src/adapters/nats/bus.ts';
import { connectBus } from '../../src/app.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { silent } from '../support/log.ts';
import { ResultFeed } from '../support/results.ts';
import { AGENT } from './wire.ts';

/** Keeps so many runs in flight: each that ends is followed by the next. */
export class ClosedLoop {
  private readonly bus: NatsBus;
  private readonly feed: ResultFeed;
  private readonly subjects: Subjects;
  private latencies: number[] = [];
  private stopping = false;
  private failed = 0;
  private loops: Promise<void>[] = [];

  private constructor(bus: NatsBus, feed: ResultFeed, subjects: Subjects) {
    this.bus = bus;
    this.feed = feed;
    this.subjects = subjects;
  }

  static async open(url: string, prefix: string): Promise<ClosedLoop> {
    const subjects = new Subjects(prefix);
    const bus = await connectBus({ url }, 'bench-driver', subjects, silent);
    return new ClosedLoop(bus, await ResultFeed.open(url, subjects), subjects);
  }

  start(concurrency: number): void {
    this.loops = Array.from({ length: concurrency }, (_, i) => this.loop(`w${i}`));
  }

  private async loop(name: string): Promise<void> {
    const subject = this.subjects.task(AGENT, name);
    for (let i = 0; !this.stopping; i++) {
      const session = `${name}-${i}`;
      const began = performance.now();
      const ended = this.feed.next(session);
      await this.bus.publish(subject, `{"input":"look up ten orders","session_id":"${session}"}`);
      const result = await ended;
      if (result.status !== 'completed') this.failed++;
      this.latencies.push(performance.now() - began);
    }
  }

  /** Forgets what was measured before. */
  begin(): void {
    this.latencies = [];
  }

  /** Latency of each run that ended since `begin`, milliseconds. Throws when a run did not complete. */
  end(): number[] {
    if (this.failed > 0) throw new Error(`${this.failed} runs did not complete`);
    return this.latencies;
  }

  async close(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.loops);
    await this.feed.close();
    await this.bus.close();
  }
}
