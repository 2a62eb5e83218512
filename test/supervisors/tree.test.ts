import { describe, expect, it } from 'vitest';
import { fromPromise } from 'xstate';
import { SimulatedClock } from '../../src/adapters/memory/simulated-clock.ts';
import { Supervisor } from '../../supervisors/supervisor.ts';
import { type TreeWindow, treeLines } from '../../supervisors/tree.ts';

describe('the tree of a supervisor', () => {
  it('shows every supervisor and child with its state, as data and as lines', async () => {
    const clock = new SimulatedClock();
    const stop = (): void => undefined;
    const node = new Supervisor(
      {
        strategy: 'rest_for_one',
        intensity: 3,
        periodMs: 60_000,
        children: [
          { id: 'bus', start: () => ({ stop }) },
          { id: 'agents', supervisor: { children: [{ id: 'poet', supervisor: { strategy: 'dynamic' } }] } },
          { id: 'metrics', start: () => ({ stop }), restart: 'transient' },
        ],
      },
      { clock, name: 'node' },
    );
    expect(node.tree()).toBeNull();
    await node.start();
    const poet = node.nested('agents')?.nested('poet');
    await poet?.call({
      type: 'start_child',
      spec: { id: 'run-1', logic: fromPromise(() => new Promise(() => undefined)), restart: 'temporary' },
    });
    await node.call({ type: 'terminate_child', id: 'metrics' });
    const tree = node.tree();
    expect(tree === null ? [] : treeLines(tree)).toEqual([
      'node  rest_for_one (running; 0 of 3 restarts in 60 s)',
      '├── bus  permanent, running',
      '├── agents  permanent, running  one_for_one (running; 0 of 1 restarts in 5 s)',
      '│   └── poet  permanent, running  dynamic (running; 0 of 1 restarts in 5 s)',
      '│       └── run-1  temporary, running',
      '└── metrics  transient, stopped',
    ]);
    expect(tree?.children[1]?.tree?.children[0]?.tree?.children[0]).toEqual({
      id: 'run-1',
      slot: 0,
      ref: 'node:1.1:0.1:0.1',
      type: 'worker',
      restart: 'temporary',
      significant: false,
      status: 'running',
      restarts: 0,
      upAt: clock.now(),
      retryAt: null,
      tree: null,
    });
    await node.stop();
    expect(node.tree()).toMatchObject({ phase: 'ended', children: [] });
  });

  it('of a dynamic supervisor is seen through a window: so many of its children, some of them first', async () => {
    const clock = new SimulatedClock();
    const top = new Supervisor({ strategy: 'dynamic' }, { clock, name: 'top' });
    await top.start();
    for (let i = 0; i < 10; i++) {
      await top.call({ type: 'start_child', spec: { id: `c${i}`, start: () => ({}), restart: 'temporary' } });
    }
    const seen = (window: TreeWindow) => {
      const tree = top.tree(window);
      return [tree?.children.map(({ id }) => id).join(' '), tree?.left];
    };
    expect(seen({ most: 3 })).toEqual(['c0 c1 c2', 7]);
    expect(seen({ most: 3, first: (id) => id === 'c7' })).toEqual(['c0 c1 c7', 7]);
    expect(seen({ most: 3, after: 6 })).toEqual(['c7 c8 c9', 0]);
    expect(seen({ most: 3, after: 5 })).toEqual(['c6 c7 c8', 1]);
    expect(seen({ most: 0 })).toEqual(['', 10]);
    expect(seen({ most: 10 })[1]).toBe(0);
  });
});

describe('a supervisor without an actor', () => {
  const spec = { actor: false, children: [{ id: 'a', start: () => ({}) }] };

  it('has none to watch, and says the same of itself', async () => {
    const clock = new SimulatedClock();
    const bare = new Supervisor(spec, { clock });
    const acting = new Supervisor({ ...spec, actor: true }, { clock });
    expect(await bare.start()).toBe(await acting.start());
    expect(bare.actor).toBeNull();
    expect(acting.actor).not.toBeNull();
    expect(bare.tree()).toEqual(acting.tree());
    expect(await bare.stop()).toEqual(await acting.stop());
    await expect(bare.start()).rejects.toMatchObject({ code: 'started_before' });
    expect(await bare.call({ type: 'which_children' })).toEqual({ ok: false, error: 'stopping' });
  });

  it('is an actor all the same in a tree that is inspected', async () => {
    const watched = new Supervisor(spec, { clock: new SimulatedClock(), inspect: () => undefined });
    await watched.start();
    expect(watched.actor).not.toBeNull();
  });
});
