import { describe, expect, it } from 'vitest';
import { scripted } from '../../../src/adapters/model/scripted.ts';
import { createTestStack } from '../../../src/app/test-stack.ts';
import { decodeEntry, type JournalEntry } from '../../../src/core/journal-entry.ts';
import { parseSnapshot, RunFold } from '../../../src/runtime/fold.ts';
import { results, runOf, say, tool, use, work } from '../support.ts';

/**
 * Seen elsewhere: an XState actor that has spawned children is stored as JSON and restored; the restored one cannot be
 * stored again. A snapshot that was taken of a stopped actor comes back as one that can neither go on nor be subscribed
 * to. https://github.com/statelyai/xstate/issues/5077 https://github.com/statelyai/xstate/issues/4583
 *
 * Proctor: what a run has delegated are runs of their own, named in its journal; its actor has no children. Journal and
 * snapshots go to JSON and back at any entry, as often as one likes, and the run goes on from each; one of an actor that
 * was stopped is as good as any other.
 */

const agents = [
  { name: 'boss', model: 'test/boss', tools: ['*'], delegates_to: ['worker'] },
  { name: 'worker', model: 'test/worker', tools: ['*'] },
];

async function delegating(settings: object = {}) {
  const members = [1, 2, 3].map((part) => ({ agent: 'worker', input: part }));
  const model = {
    think: async ({ agent: { name }, step }: { agent: { name: string }; step: number }) => {
      if (step > 1) return say(`${name} is done`);
      return name === 'boss' ? scripted({ action: 'delegate', members }) : use('work');
    },
  };
  const slow = tool('work', (_args, { signal }) => work(stack, 2_000, () => 'worked', signal));
  const stack = await createTestStack({ agents, model, tools: [slow], settings });
  const run = await stack.submit({ input: 'x' }, 'boss');
  return { stack, run };
}

/** As it comes back from the disk. */
const entryAgain = (entry: JournalEntry) => decodeEntry(JSON.stringify(entry), 'test');

function restored(fold: RunFold): RunFold {
  const snapshot = parseSnapshot(JSON.stringify(fold.snapshot()));
  if (snapshot === null) throw new Error('the snapshot cannot be read back');
  return new RunFold(snapshot);
}

const stateOf = (fold: RunFold) => ({ path: fold.path, context: fold.context, protocol: fold.protocol });

describe('a run with delegated children', () => {
  it('is stored and restored at every entry, over and over, and comes to the same end', async () => {
    const { stack, run } = await delegating();
    await stack.result(run);
    const entries = (await stack.journal(run)).map(entryAgain);
    const whole = new RunFold();
    let again = new RunFold();
    let withChildren = 0;
    for (const entry of entries) {
      whole.fold(entry);
      again.fold(entry);
      // Twice: the second is the one that fails elsewhere.
      again = restored(restored(again));
      expect(stateOf(again)).toEqual(stateOf(whole));
      if (again.context.calls.some(({ status }) => status === 'child')) withChildren++;
    }
    expect(withChildren).toBeGreaterThan(1);
    expect(again.path).toBe('completed.answered');
    await stack.stop();
  });

  it('goes on after a crash, from a snapshot of each of its entries', async () => {
    const { stack, run } = await delegating({ snapshot_every: 1 });
    await runOf(stack, 'worker', 'executing.calling');
    for (const _ of [1, 2]) {
      await stack.crash();
      await stack.advance(2_500);
    }
    expect(await stack.result(run)).toMatchObject({ status: 'completed', answer: 'boss is done' });
    expect((await results(stack)).map((one) => one.status)).toEqual(Array(4).fill('completed'));
    await stack.stop();
  });
});

describe('a snapshot of a stopped actor', () => {
  it('goes on like one of a running actor', async () => {
    const { stack, run } = await delegating();
    await stack.result(run);
    const entries = (await stack.journal(run)).map(entryAgain);
    for (let n = 1; n < entries.length; n++) {
      const stopped = new RunFold();
      for (const entry of entries.slice(0, n)) stopped.fold(entry);
      stopped.stop();
      const next = restored(stopped);
      for (const entry of entries.slice(n)) next.fold(entry);
      expect([n, next.path, next.ended]).toEqual([n, 'completed.answered', true]);
    }
    await stack.stop();
  });
});
