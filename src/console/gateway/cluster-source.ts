import { readStatus } from '../../core/status.ts';
import { streamsOf } from '../../core/streams.ts';
import type { Subjects } from '../../core/subjects.ts';
import type { Bus, StoredMessage } from '../../ports/bus.ts';
import type { Log } from '../../ports/telemetry.ts';
import { Journal } from '../../runtime/journal.ts';
import { HeardEntries } from './heard-entries.ts';
import type { RunIndex } from './run-index.ts';
import type { RunSource } from './run-source.ts';

/** What the gateway reads of a cluster, past the nodes: journals, and the last status of every run. It writes nothing. */

export type ConsoleBus = Pick<
  Bus,
  'publish' | 'request' | 'subscribe' | 'flush' | 'last' | 'scan' | 'follow' | 'connected' | 'close'
>;

/** So many entries are read at once, at most. */
const WINDOW = 32;

export function clusterRuns(bus: ConsoleBus, subjects: Subjects, log: Log): RunSource {
  // It only reads: the streams are made by the nodes.
  const journal = new Journal(bus as Bus, subjects, log);
  const heard = new Map<string, HeardEntries>();
  return {
    async *entries(run, from, max) {
      const sent = heard.get(run);
      if (sent === undefined || max === undefined || max > WINDOW) return yield* journal.entries(run, from, max);
      const last = await journal.entry(run, from + max - 1);
      if (last === null) return yield* journal.entries(run, from, max);
      const before = Array.from(
        { length: max - 1 },
        (_, i) => sent.sentBy(last, from + i) ?? journal.entry(run, from + i),
      );
      for (const entry of await Promise.all(before)) {
        if (entry === null) return;
        yield entry;
      }
      yield last;
      sent.forget(last.n);
    },
    hear(run, ring) {
      const sent = new HeardEntries(run);
      heard.set(run, sent);
      const ear = bus.subscribe(subjects.journal(run, 0).replace(/\d+$/, '*'), ({ subject, data }) => {
        const n = Number(subject.slice(subject.lastIndexOf('.') + 1));
        sent.add(n, data);
        ring(n);
      });
      return {
        stop() {
          if (heard.get(run) === sent) heard.delete(run);
          void ear.stop();
        },
      };
    },
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
