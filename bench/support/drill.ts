import type { NatsBus } from '../../src/adapters/nats/bus.ts';
import { connectBus } from '../../src/app.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { type Child, startChild } from './children.ts';
import { silent } from './log.ts';
import { type DrillServer, startServer } from './server.ts';

/** What a drill of several processes stands on: a server, a connection of its own, and all that ends with the drill. */
export interface Drill {
  readonly server: DrillServer;
  readonly subjects: Subjects;
  readonly bus: NatsBus;
  /** As `startChild`; resolves when the process has said `up`. */
  start(base: string, script: string, options: unknown): Promise<Child>;
  /** A process that was started elsewhere ends with the drill as well. */
  keep(child: Child): void;
}

/** First token of the subjects of such a drill. */
export const PREFIX = 'bench';

export async function withDrill<T>(work: (drill: Drill) => Promise<T>): Promise<T> {
  const server = await startServer();
  const children: Child[] = [];
  let bus: NatsBus | null = null;
  try {
    const subjects = new Subjects(PREFIX);
    bus = await connectBus({ url: server.url }, 'bench-driver', subjects, silent);
    return await work({
      ...{ server, subjects, bus },
      keep: (child) => void children.push(child),
      start: async (base, script, options) => {
        const child = startChild(base, script, options);
        children.push(child);
        await child.until((line) => line === 'up' || null);
        return child;
      },
    });
  } finally {
    await bus?.close();
    await Promise.all(children.map((child) => child.end('SIGKILL')));
    await server.stop();
  }
}
