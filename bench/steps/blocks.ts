import type { NatsBus } from '../../src/adapters/nats/bus.ts';
import { connectBus } from '../../src/app.ts';
import type { Subjects } from '../../src/core/subjects.ts';
import { silent } from '../support/log.ts';
import { ResultFeed } from '../support/results.ts';
import { AGENT } from './wire.ts';

/** Runs in blocks of a known number, so many of them in flight. */
export class Blocks {
  private readonly bus: NatsBus;
  private readonly feed: ResultFeed;
  private readonly subjects: Subjects;
  private readonly concurrency: number;
  private done = 0;

  private constructor(bus: NatsBus, feed: ResultFeed, subjects: Subjects, concurrency: number) {
    this.bus = bus;
    this.feed = feed;
    this.subjects = subjects;
    this.concurrency = concurrency;
  }

  static async open(url: string, subjects: Subjects, concurrency: number): Promise<Blocks> {
    const bus = await connectBus({ url }, 'bench-driver', subjects, silent);
    return new Blocks(bus, await ResultFeed.open(url, subjects), subjects, concurrency);
  }

  /** Resolves when all of them have ended. Throws when one did not complete. */
  async run(runs: number): Promise<void> {
    let left = runs;
    const lane = async (name: string): Promise<void> => {
      while (left > 0) {
        left--;
        const session = `${name}-${this.done++}`;
        const ended = this.feed.next(session);
        await this.bus.publish(
          this.subjects.task(AGENT, name),
          `{"input":"look up ten orders","session_id":"${session}"}`,
        );
        const { status } = await ended;
        if (status !== 'completed') throw new Error(`a run ended ${status}`);
      }
    };
    await Promise.all(Array.from({ length: this.concurrency }, (_, i) => lane(`w${i}`)));
  }

  async close(): Promise<void> {
    await this.feed.close();
    await this.bus.close();
  }
}
