import { describe, expect, it } from 'vitest';
import { JOURNAL_VERSION } from '../../src/core/journal-entry.ts';
import type { Bus, StoredMessage } from '../../src/ports/bus.ts';
import { Cluster, chain, recordingLog, type TestNode } from '../runtime/support.ts';

/** Nodes of two releases side by side (SUP-11): the newer one writes journals that the older one does not know. */

const NEWER = JOURNAL_VERSION + 1;

/** A node of the next release, seen from the bus: it reads both versions, and writes its own. */
function newer(bus: Bus): Bus {
  const ofRuns = (subject: string) => /^[^.]+\.(?:jrn|snap)\./.test(subject);
  const read = <T extends StoredMessage | null>(message: T): T =>
    message === null || !ofRuns(message.subject)
      ? message
      : { ...message, data: message.data.replace(`{"v":${NEWER},`, `{"v":${JOURNAL_VERSION},`) };
  const over: Partial<Bus> = {
    publish: (subject, data, options) => {
      const written = ofRuns(subject) ? data.replace(`{"v":${JOURNAL_VERSION},`, `{"v":${NEWER},`) : data;
      return bus.publish(subject, written, options);
    },
    last: async (stream, subject, options) => read(await bus.last(stream, subject, options)),
    bySequence: async (stream, sequence) => read(await bus.bySequence(stream, sequence)),
  };
  return new Proxy(bus, {
    get: (target, name) => {
      const value: unknown = over[name as keyof Bus] ?? target[name as keyof Bus];
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** Version and owner of each entry of each run, as they are stored. */
async function journals(cluster: Cluster): Promise<Map<string, { v: number; claimedBy: string | undefined }[]>> {
  const found = new Map<string, { v: number; claimedBy: string | undefined }[]>();
  const stream = cluster.subjects.stream(
    'JRN',
    new Date(cluster.clock.now()).toISOString().slice(0, 10).replaceAll('-', ''),
  );
  for await (const { subject, data } of cluster.client.scan(stream, 'proctor.jrn.>')) {
    const run = subject.split('.')[3] ?? '';
    const { v, events } = JSON.parse(data) as { v: number; events: { type: string; node?: string }[] };
    const claimedBy = events.find(({ type }) => type === 'claimed')?.node;
    found.set(run, [...(found.get(run) ?? []), { v, claimedBy }]);
  }
  return found;
}

const isNewer = (entries: { v: number }[]) => entries.some(({ v }) => v === NEWER);
const active = (...nodes: TestNode[]) => nodes.map(({ node }) => node.activeRuns > 0);

describe('releases side by side', () => {
  it('leave to the newer what the newer began, and lose nothing rolling forward and back', async () => {
    const cluster = new Cluster();
    cluster.tools.add(
      'slow',
      (_args, call) => new Promise((resolve) => void cluster.clock.after(1_000, () => resolve(call.c))),
    );
    const log = recordingLog();
    const old = await cluster.node('old', { log, settings: { slots: 8 } });
    const next = await cluster.node('next', { through: newer, settings: { slots: 8 } });
    const runs = 12;
    await Promise.all(Array.from({ length: runs }, (_, i) => cluster.submit(chain(4, 'slow'), 'plan', `u${i}`)));
    await cluster.until('work on both', async () => active(old, next).every(Boolean));
    await cluster.clock.advance(1_500);
    const begunByNext = [...(await journals(cluster))].filter(([, entries]) => isNewer(entries)).map(([run]) => run);
    expect(begunByNext.length).toBeGreaterThan(0);
    expect(begunByNext.length).toBeLessThan(runs);

    // Rolled back: the newer node is gone, with its runs in the middle.
    next.kill();
    await cluster.until('all others', async () => (await cluster.results()).length === runs - begunByNext.length);
    await cluster.clock.advance(60_000);
    const stuck = await journals(cluster);
    for (const run of begunByNext) {
      const owners = stuck.get(run)?.flatMap(({ claimedBy }) => claimedBy ?? []);
      expect(owners, run).toEqual(['next']);
    }
    expect(log.lines.filter(({ fields }) => String(fields.message).includes('upgrade it')).length).toBeGreaterThan(0);
    await cluster.submit(chain(1, 'slow'), 'plan', 'v');
    await cluster.until(
      'a new run on the old node',
      async () => (await cluster.results()).length === runs + 1 - begunByNext.length,
    );

    // Rolled forward again.
    await cluster.node('next-2', { through: newer });
    await cluster.until('all', async () => (await cluster.results()).length === runs + 1);
    const results = await cluster.results();
    expect(new Set(results.map(({ run }) => run)).size).toBe(runs + 1);
    expect(results.every(({ status }) => status === 'completed')).toBe(true);
    const keys = cluster.tools.calls.map((call) => call.idempotencyKey);
    expect(new Set(keys).size).toBe(runs * 4 + 1);
  });
});
