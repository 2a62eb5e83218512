import { describe, expect, it } from 'vitest';
import { fromPromise } from 'xstate';
import { SimulatedClock } from '../../src/adapters/memory/simulated-clock.ts';
import { Supervisor } from '../../supervisors/supervisor.ts';
import { treeLines } from '../../supervisors/tree.ts';

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
});
