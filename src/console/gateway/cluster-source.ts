import { readStatus } from '../../core/status.ts';
import { streamsOf } from '../../core/streams.ts';
import type { Subjects } from '../../core/subjects.ts';
import type { Bus, StoredMessage } from '../../ports/bus.ts';
import type { Log } from '../../ports/telemetry.ts';
import { Journal } from '../../runtime/journal.ts';
import type { RunIndex } from './run-index.ts';
import type { RunSource } from './run-source.ts';

/** What the gateway reads of a cluster, past the nodes: journals, and the last status of every run. It writes nothing. */

export type ConsoleBus = Pick<
  Bus,
  'publish' | 'request' | 'subscribe' | 'flush' | 'last' | 'scan' | 'follow' | 'connected' | 'close'
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

export interface FollowedList {
  stop(): Promise<void>;
}

/** Fills the index with every run there is, and keeps it so. Resolves when it is full. */
export async function followList(
  { bus, subjects }: { bus: ConsoleBus; subjects: Subjects },
  index: RunIndex,
): Promise<FollowedList> {
  const { events } = streamsOf(subjects);
  const filter = `${subjects.prefix}.evt.>`;
  const onMessage = ({ data }: StoredMessage) => {
    const status = readStatus(data);
    if (status !== null) index.push(status);
  };
  let seen = 0;
  for await (const message of bus.scan(events.name, filter)) {
    onMessage(message);
    seen = message.seq;
  }
  return bus.follow(events.name, filter, seen + 1, { onMessage });
}
