import { connect, type NatsConnection } from '@nats-io/transport-node';
import type { RunResult } from '../../src/core/result.ts';
import type { Subjects } from '../../src/core/subjects.ts';

/** Hears of results the moment they are published, by the session id that their task brought. */
export class ResultFeed {
  private readonly waiting = new Map<string, (result: RunResult) => void>();
  private readonly nc: NatsConnection;

  private constructor(nc: NatsConnection) {
    this.nc = nc;
  }

  static async open(url: string, subjects: Subjects): Promise<ResultFeed> {
    const nc = await connect({ servers: url, noAsyncTraces: true, maxReconnectAttempts: -1 });
    const feed = new ResultFeed(nc);
    nc.subscribe(`${subjects.prefix}.res.>`, {
      callback: (_, message) => {
        const result = message.json<RunResult>();
        const settle = feed.waiting.get(result.session_id ?? '');
        if (settle === undefined) return;
        feed.waiting.delete(result.session_id ?? '');
        settle(result);
      },
    });
    await nc.flush();
    return feed;
  }

  next(session: string): Promise<RunResult> {
    return new Promise((resolve) => this.waiting.set(session, resolve));
  }

  close(): Promise<void> {
    return this.nc.close();
  }
}
