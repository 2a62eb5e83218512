import { readStatus } from '../../core/status.ts';
import { streamsOf } from '../../core/streams.ts';
import type { Subjects } from '../../core/subjects.ts';
import type { Bus } from '../../ports/bus.ts';
import type { Log } from '../../ports/telemetry.ts';
import { Journal } from '../../runtime/journal.ts';
import type { RunIndex } from './run-index.ts';
import type { RunSource } from './run-source.ts';

/** What the gateway reads of a cluster, past the nodes: journals, and the last status of every run. It writes nothing. */

export type ConsoleBus = Pick<
  Bus,
  'publish' | 'request' | 'subscribe' | 'flush' | 'last' | 'scan' | 'connected' | 'close'
>;

export function clusterRuns(bus: ConsoleBus, subjects: Subjects, log: Log): RunSource {
  // It only reads: the streams are made by the nodes.
  const journal = new Journal(bus as Bus, subjects, log);
  return {
    entries: (run, from, max) => journal.entries(run, from, max),
    hear: (run, ring) =>
      bus.subscribe(subjects.journal(run, 0).replace(/\d+$/, '*'), ({ subject }) =>
        ring(Number(subject.slice(subject.lastIndexOf('.') + 1))),
      ),
  };
}

/** How often the list is read again from where it was, in case a message was missed, milliseconds. */
const CATCH_UP_MS = 10_000;

export interface FollowedList {
  stop(): void;
}

/** Fills the index with every run there is, and keeps it so. Resolves when it is full. */
export async function followList(
  { bus, subjects, log }: { bus: ConsoleBus; subjects: Subjects; log: Log },
  index: RunIndex,
): Promise<FollowedList> {
  const { events } = streamsOf(subjects);
  const filter = `${subjects.prefix}.evt.>`;
  const take = (data: string) => {
    const status = readStatus(data);
    if (status !== null) index.push(status);
  };
  const subscription = bus.subscribe(filter, ({ data }) => take(data));
  let seen = 0;
  const read = async () => {
    for await (const message of bus.scan(events.name, filter, { fromSequence: seen + 1 })) {
      take(message.data);
      seen = Math.max(seen, message.seq);
    }
  };
  await bus.flush();
  await read();
  let reading = false;
  const timer = setInterval(() => {
    if (reading || !bus.connected) return;
    reading = true;
    read()
      .catch((error: Error) => log.warn('console.list_not_read', { message: error.message }))
      .finally(() => {
        reading = false;
      });
  }, CATCH_UP_MS);
  timer.unref();
  return {
    stop: () => {
      clearInterval(timer);
      void subscription.stop();
    },
  };
}
