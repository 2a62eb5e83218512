import { toAppError } from '../core/errors.ts';
import type { Cancel } from '../ports/clock.ts';
import type { NodeDeps } from './deps.ts';

/** How long after a failure a queue is opened again, milliseconds. */
const AGAIN_MS = 1_000;

/**
 * Opens the queue of each agent that this node can run: of those that are known now before it resolves, of others as
 * they come. One that was opened stays open, whatever version comes next: runs of the versions before are in it.
 * Throws what `open` throws the first time.
 */
export async function followAgents(deps: NodeDeps, open: (agent: string) => Promise<void>): Promise<Cancel> {
  const { agents, clock, log } = deps;
  const opened = new Set<string>();
  let cancelTimer: Cancel = () => {};

  const openNew = async (): Promise<void> => {
    const fresh = agents.all().filter(({ definition }) => {
      return !opened.has(definition.name) && agents.unusable(definition) === null;
    });
    await Promise.all(
      fresh.map(async ({ definition: { name } }) => {
        opened.add(name);
        await open(name).catch((thrown: unknown) => {
          opened.delete(name);
          throw thrown;
        });
      }),
    );
  };

  await openNew();
  const follow = () => {
    cancelTimer();
    openNew().catch((thrown: unknown) => {
      const { code, message } = toAppError(thrown);
      if (code === 'closed') return;
      log.warn('agent.not_opened', { code, message, consequence: `tried again in ${AGAIN_MS} ms` });
      cancelTimer = clock.after(AGAIN_MS, follow);
    });
  };
  const unfollow = agents.onChange(follow);
  return () => {
    unfollow();
    cancelTimer();
  };
}
