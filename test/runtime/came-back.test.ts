import { expect, it } from 'vitest';
import { MemoryBus } from '../../src/adapters/memory/memory-bus.ts';
import { scripted, scriptedModel } from '../../src/adapters/model/scripted.ts';
import { AppError } from '../../src/core/errors.ts';
import { laneOf } from '../../src/core/subjects.ts';
import type { StoredMessage } from '../../src/ports/bus.ts';
import { startNode } from '../../src/runtime/node.ts';
import { Cluster } from './support.ts';

/**
 * A bus as a killed server leaves it: an activation that was acked stands in the queue again, is given to nobody, and
 * bars the next one until it is removed.
 */
class HauntedBus extends MemoryBus {
  ghost: { subject: string; seq: number } | null = null;

  override publish(...args: Parameters<MemoryBus['publish']>): ReturnType<MemoryBus['publish']> {
    if (args[0] === this.ghost?.subject) return Promise.reject(new AppError('taken', 'it is there again'));
    return super.publish(...args);
  }

  override last(...args: Parameters<MemoryBus['last']>): ReturnType<MemoryBus['last']> {
    const { ghost } = this;
    if (ghost === null || args[1] !== ghost.subject) return super.last(...args);
    const message: StoredMessage = { ...ghost, at: 0, data: '{}', bytes: () => new Uint8Array(), headers: {} };
    return Promise.resolve(message);
  }

  override remove(...args: Parameters<MemoryBus['remove']>): ReturnType<MemoryBus['remove']> {
    if (args[1].seq !== this.ghost?.seq) return super.remove(...args);
    this.ghost = null;
    return Promise.resolve(true);
  }
}

it('wakes a parked run whose spent activation came back after a server was killed', async () => {
  const cluster = new Cluster({ name: 'ai', model: 'ai' });
  cluster.modelMap.ai = scriptedModel([
    scripted({ action: 'ask_human', question: 'go on?' }),
    scripted({ action: 'final_answer', answer: 'done' }),
  ]);
  const bus = new HauntedBus(cluster.broker, 'n1');
  const starting = startNode(cluster.deps('n1', bus));
  await cluster.clock.advance(10);
  const node = await starting;
  await cluster.submit({ input: 'x' }, 'ai');
  const { run, requires } = await cluster.status('waiting.person');
  await cluster.until('parked run', () => Promise.resolve(node.activeRuns === 0));
  const parked = (await cluster.entries(run)).flatMap((entry) => entry.events).find((one) => one.type === 'parked');
  bus.ghost = {
    subject: cluster.subjects.activation('ai', 'normal', laneOf('u'), run),
    seq: parked?.activation.seq ?? -1,
  };

  const answer = JSON.stringify({ run, c: requires?.c, verdict: 'done', result: 'yes', by: 'op' });
  await cluster.client.request(cluster.subjects.api('resolve'), answer, { timeoutMs: 1_000 });
  expect(await cluster.result(60_000)).toMatchObject({ status: 'completed', answer: 'done' });
  expect(bus.ghost).toBeNull();
});
