import type { JournalEntry } from '../../src/core/journal-entry.ts';
import { Cluster, chain } from '../runtime/support.ts';

/** A run of so many steps that has ended, as a node wrote it. */
export async function endedRun(steps: number): Promise<{ run: string; journal: JournalEntry[] }> {
  const cluster = new Cluster();
  await cluster.node();
  await cluster.submit(chain(steps));
  const { run } = await cluster.result();
  return { run, journal: await cluster.entries(run) };
}
