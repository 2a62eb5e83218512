import { connectStately } from '../adapters/inspect/stately.ts';
import type { Operator } from '../client/operator.ts';
import { RunFold } from '../runtime/fold.ts';

/**
 * Shows a run in the Stately inspector: its journal is folded once more, from the start to its end, by an actor that the
 * inspector observes. Resolves when the run has ended, or the signal aborts.
 */
export async function inspectRun(operator: Operator, run: string, url: string, signal: AbortSignal): Promise<number> {
  await operator.run(run);
  const inspector = await connectStately(url);
  const fold = new RunFold(undefined, undefined, inspector.inspect);
  const readOn = async () => {
    for await (const entry of operator.journal(run, fold.protocol.n + 1)) fold.fold(entry);
  };
  try {
    for await (const update of operator.watch(run, { signal, steps: false })) {
      await readOn();
      if (update.type === 'ended') break;
    }
    await readOn();
  } finally {
    await inspector.stop();
    fold.stop();
  }
  return fold.protocol.n + 1;
}
