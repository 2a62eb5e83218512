import { describe, expect, it } from 'vitest';
import { createOperator, type Operator } from '../../src/client/operator.ts';
import type { NodeWithTree, TreeOptions } from '../../src/client/trees.ts';
import { AppError } from '../../src/core/errors.ts';
import type { Json } from '../../src/core/json.ts';
import type { TreeChild, TreeSupervisor } from '../../src/core/tree-wire.ts';
import type { Bus } from '../../src/ports/bus.ts';
import { drive } from '../client/support.ts';
import { Cluster, chain, recordingLog } from './support.ts';

/** A node as a supervision tree: what is in it, what is restarted, who notices, and what an operator sees of it. */

function operator(cluster: Cluster): Operator {
  return createOperator({ bus: cluster.client, subjects: cluster.subjects, by: 'olga', clock: cluster.clock });
}

const look = (cluster: Cluster, options?: TreeOptions): Promise<NodeWithTree[]> =>
  drive(cluster, operator(cluster).trees(options));

async function treeOf(cluster: Cluster, options?: TreeOptions): Promise<TreeSupervisor> {
  const [found] = await look(cluster, options);
  if (found?.tree == null) throw new Error(`no tree: ${found?.why}`);
  return found.tree.tree;
}

/** The child at the end of a path of ids. */
function at(tree: TreeSupervisor, ...path: string[]): TreeChild | undefined {
  const [id, ...rest] = path;
  const child = tree.children.find((one) => one.id === id);
  if (rest.length === 0 || child?.supervisor === undefined) return child;
  return at(child.supervisor, ...rest);
}

const shape = ({ children }: TreeSupervisor): object =>
  Object.fromEntries(children.map(({ id, supervisor }) => [id, supervisor === undefined ? '' : shape(supervisor)]));

/** A tool that answers when it is told to. */
function slowTool(cluster: Cluster, name = 'slow') {
  const waiting: ((value: Json) => void)[] = [];
  cluster.tools.add(name, () => new Promise<Json>((resolve) => void waiting.push(resolve)));
  return waiting;
}

/** Throws a fault of ours each time that a result is checked of a run whose input says so. */
function crashing(times: number) {
  let faults = 0;
  return {
    count: () => faults,
    validator: {
      faults: (_schema: unknown, args: unknown) => {
        if (JSON.stringify(args).includes('crash') && faults++ < times) throw new Error('a fault of ours');
        return null;
      },
    },
  };
}

const crasher = { input: 'x', plan: { steps: [{ id: 'a', tool: 'echo', args: { say: 'crash' } }] } };

/** A bus that breaks in the hands of whoever asks whether it is connected, while it is told to. */
function brittle(state: { broken: boolean }) {
  return (bus: Bus): Bus =>
    new Proxy(bus, {
      get(target, key) {
        if (key === 'connected' && state.broken) throw new Error('a fault of ours');
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
}

const eventsOf = async (cluster: Cluster, run: string) => (await cluster.entries(run)).flatMap((entry) => entry.events);

describe('the tree of a node', () => {
  it('has its parts in the order of their start, and a dynamic supervisor for each agent type', async () => {
    const cluster = new Cluster({ name: 'writer' });
    await cluster.node('n1', { settings: { slots: 7 } });
    const tree = await treeOf(cluster);
    expect(shape(tree)).toEqual({
      bus: '',
      control: { switches: '', policy: '', definitions: '', ledger: '', leases: '', reports: '' },
      agents: { ending: {}, 'agent:plan': {}, 'agent:writer': {} },
      services: {
        offers: '',
        doors: '',
        idempotency: '',
        orders: '',
        runs: '',
        intake: '',
        inbox: '',
        'switch-sweep': '',
        'queue-sweep': '',
        'orphan-sweep': '',
      },
    });
    expect(tree).toMatchObject({ strategy: 'rest_for_one', phase: 'running', intensity: 3, recent_restarts: 0 });
    expect(at(tree, 'agents', 'agent:writer')?.supervisor).toMatchObject({ strategy: 'dynamic', max_children: 7 });
  });

  it('holds a run from its claim to its end, with the effects that are under way', async () => {
    const cluster = new Cluster();
    const waiting = slowTool(cluster);
    const { node } = await cluster.node();
    await cluster.submit(chain(2, 'slow'));
    await cluster.until('call', () => Promise.resolve(waiting.length === 1));
    const began = cluster.clock.now();
    await cluster.clock.advance(5_000);
    const [{ run } = { run: '' }] = await cluster.statuses();
    const tree = await treeOf(cluster);
    expect(at(tree, 'agents', 'agent:plan', run)).toMatchObject({
      type: 'supervisor',
      restart: 'temporary',
      supervisor: { strategy: 'one_for_one', intensity: 3, period_ms: 60_000, recent_restarts: 0 },
    });
    const child = at(tree, 'agents', 'agent:plan', run, 'run');
    expect(child).toMatchObject({ restart: 'transient', status: 'running', restarts: 0 });
    expect(child?.run).toMatchObject({ state: expect.stringMatching(/^executing/), effects: [{ uses: 'tool:slow' }] });
    const since = child?.run?.effects[0]?.since ?? 0;
    expect(Math.abs(since - began)).toBeLessThanOrEqual(100);
    waiting[0]?.(1);
    await cluster.until('second call', () => Promise.resolve(waiting.length === 2));
    waiting[1]?.(1);
    await cluster.result();
    await cluster.until('empty tree', () => Promise.resolve(node.activeRuns === 0));
    expect(at(await treeOf(cluster), 'agents', 'agent:plan')?.supervisor).toMatchObject({ children: [], ended: [] });
  });

  it('leaves out what is parked', async () => {
    const cluster = new Cluster();
    const { node } = await cluster.node();
    await cluster.submit({ ...chain(1), not_before: new Date(cluster.clock.now() + 3_600_000).toISOString() });
    await cluster.status('idle.scheduled');
    await cluster.until('parked run', () => Promise.resolve(node.activeRuns === 0));
    expect(at(await treeOf(cluster), 'agents', 'agent:plan')?.supervisor?.children).toEqual([]);
  });

  it('is told in bounded pages, those that crashed lately first, and whole when asked for', async () => {
    const cluster = new Cluster();
    const waiting = slowTool(cluster);
    const { validator } = crashing(1);
    await cluster.node('n1', { settings: { slots: 300, user_slots: 300 }, validator });
    for (let i = 0; i < 249; i++) await cluster.submit(chain(1, 'slow'));
    const plan = { steps: [{ id: 'a', tool: 'slow', args: { say: 'crash' } }] };
    await cluster.submit({ input: 'x', plan });
    await cluster.until('calls', () => Promise.resolve(waiting.length === 250));
    const few = at(await treeOf(cluster, { runs: 3 }), 'agents', 'agent:plan')?.supervisor;
    expect([few?.children.length, few?.left]).toEqual([3, 247]);
    expect(few?.children.filter((child) => (child.supervisor?.recent_restarts ?? 0) > 0)).toHaveLength(1);
    for (const [runs, count] of [
      ['all', 250],
      [220, 220],
    ] as const) {
      const many = at(await treeOf(cluster, { runs }), 'agents', 'agent:plan')?.supervisor;
      expect([new Set(many?.children.map(({ id }) => id)).size, many?.left]).toEqual([count, 250 - count]);
    }
  });
});

describe('a run whose owner crashes', () => {
  it('is restarted from its journal after a backoff, and its siblings notice nothing', async () => {
    const cluster = new Cluster();
    const waiting = slowTool(cluster);
    const { validator } = crashing(3);
    await cluster.node('n1', { validator });
    await cluster.submit(chain(1, 'slow'));
    await cluster.until('call', () => Promise.resolve(waiting.length === 1));
    const [sibling] = await cluster.statuses();
    await cluster.submit(crasher);
    const trouble = (tree: TreeSupervisor) =>
      at(tree, 'agents', 'agent:plan')?.supervisor?.children.find(({ id }) => id !== sibling?.run)?.supervisor;
    const down = await cluster.until(
      'crash',
      async () => {
        const found = trouble(await treeOf(cluster));
        return found?.children[0]?.status === 'restarting' && found;
      },
      5_000,
      10,
    );
    expect(down.phase).toBe('restarting');
    expect(down.children[0]?.retry_at).toBeGreaterThan(cluster.clock.now() - 100);
    expect(down.children[0]?.last_error).toMatchObject({ message: 'a fault of ours' });
    const result = await cluster.result();
    expect(result).toMatchObject({ status: 'completed' });
    expect((await eventsOf(cluster, result.run)).filter(({ type }) => type === 'claimed')).toHaveLength(4);
    expect((await eventsOf(cluster, sibling?.run ?? '')).filter(({ type }) => type === 'claimed')).toHaveLength(1);
    expect(waiting).toHaveLength(1);
  });

  it('ends crash_limit over its budget, stays to be seen, and its siblings notice nothing', async () => {
    const cluster = new Cluster();
    const waiting = slowTool(cluster);
    const { validator, count } = crashing(Number.POSITIVE_INFINITY);
    const { node } = await cluster.node('n1', { validator, settings: { slots: 2 } });
    await cluster.submit(chain(1, 'slow'));
    await cluster.until('call', () => Promise.resolve(waiting.length === 1));
    const [sibling] = await cluster.statuses();
    await cluster.submit(crasher);
    const result = await cluster.result();
    expect(result).toMatchObject({ status: 'failed', code: 'crash_limit' });
    expect(count()).toBe(4);
    const type = at(await treeOf(cluster), 'agents', 'agent:plan')?.supervisor;
    expect(type?.ended).toMatchObject([
      { id: result.run, code: 'crash_limit', message: expect.stringContaining('a fault of ours') },
    ]);
    expect(type?.children.map(({ id }) => id)).toEqual([sibling?.run]);
    expect(type).toMatchObject({ phase: 'running', recent_restarts: 0 });
    // Its place is free again.
    await cluster.submit(chain(1));
    await cluster.until('the next run', async () => (await cluster.results()).length === 2);
    waiting[0]?.(1);
    await cluster.until('the sibling', async () => (await cluster.results()).length === 3);
    expect((await eventsOf(cluster, sibling?.run ?? '')).filter(({ type: one }) => one === 'claimed')).toHaveLength(1);
    await cluster.until('empty tree', () => Promise.resolve(node.activeRuns === 0));
  });

  it('keeps its place and its lease while it waits for its next start', async () => {
    const cluster = new Cluster();
    const { validator } = crashing(3);
    const settings = { lease_ms: 500, slots: 1 };
    await cluster.node('n1', { validator, settings });
    await cluster.submit(crasher);
    await cluster.until('crash', async () => {
      const [run] = at(await treeOf(cluster), 'agents', 'agent:plan')?.supervisor?.children ?? [];
      return (run?.supervisor?.children[0]?.restarts ?? 0) > 1;
    });
    // Would take the run if its lease were let run out.
    await cluster.node('n2', { settings });
    const result = await cluster.result();
    const claims = (await eventsOf(cluster, result.run)).filter((event) => event.type === 'claimed');
    expect(claims.map(({ node }) => node)).toEqual(['n1', 'n1', 'n1', 'n1']);
  });

  it('goes back to the queue when the node stops before its next start', async () => {
    const cluster = new Cluster();
    const { validator } = crashing(3);
    const { node } = await cluster.node('n1', { validator });
    await cluster.submit(crasher);
    await cluster.until(
      'crash',
      async () => {
        const [run] = at(await treeOf(cluster), 'agents', 'agent:plan')?.supervisor?.children ?? [];
        return run?.supervisor?.children[0]?.status === 'restarting';
      },
      5_000,
      10,
    );
    await drive(cluster, node.stop());
    await cluster.node('n2');
    const before = cluster.clock.now();
    expect(await cluster.result()).toMatchObject({ status: 'completed' });
    expect(cluster.clock.now() - before).toBeLessThan(2_000);
  });
});

describe('a part of a node that throws', () => {
  it('is started again by its supervisor, and the others go on', async () => {
    const cluster = new Cluster();
    const waiting = slowTool(cluster);
    const log = recordingLog();
    const state = { broken: false };
    await cluster.node('n1', { through: brittle(state), log, settings: { lease_ms: 3_000 } });
    await cluster.submit(chain(1, 'slow'));
    await cluster.until('call', () => Promise.resolve(waiting.length === 1));
    state.broken = true;
    const told = () => log.lines.find(({ event }) => event === 'child.crashed');
    await cluster.until('crash', () => Promise.resolve(told() !== undefined), 5_000, 10);
    state.broken = false;
    expect(told()).toMatchObject({
      level: 'error',
      fields: {
        supervisor: 'node/control',
        child: expect.stringMatching(/^(?:leases|switches|policy)$/),
        code: 'error',
      },
    });
    const id = String(told()?.fields.child);
    await cluster.clock.advance(2_000);
    const tree = await treeOf(cluster);
    expect(at(tree, 'control', id)).toMatchObject({
      status: 'running',
      restarts: 1,
      last_error: { message: 'a fault of ours' },
    });
    expect(tree).toMatchObject({ phase: 'running', recent_restarts: 0 });
    // The lease of the run was kept, and its owner was never another.
    await cluster.clock.advance(20_000);
    waiting[0]?.(1);
    const result = await cluster.result();
    expect((await eventsOf(cluster, result.run)).filter(({ type }) => type === 'claimed')).toHaveLength(1);
  });

  it('for ever makes the node give up: it hands its runs over, says so, and nothing of it is left', async () => {
    const cluster = new Cluster();
    const waiting = slowTool(cluster);
    const log = recordingLog();
    const state = { broken: false };
    const { node, bus } = await cluster.node('n1', { through: brittle(state), log, settings: { drain_ms: 1_000 } });
    await cluster.submit(chain(2, 'slow'));
    await cluster.until('call', () => Promise.resolve(waiting.length === 1));
    state.broken = true;
    let failure: AppError | null = null;
    void node.failed.then((error) => {
      failure = error;
    });
    await cluster.until('end of the node', () => Promise.resolve(failure !== null));
    expect(failure).toBeInstanceOf(AppError);
    expect(failure).toMatchObject({ code: 'node_gave_up' });
    expect(log.lines.filter(({ event }) => event === 'supervisor.gave_up').length).toBeGreaterThanOrEqual(2);
    expect(log.lines).toContainEqual(expect.objectContaining({ level: 'error', event: 'node.gave_up' }));
    expect(node.activeRuns).toBe(0);
    await bus.close();
    await cluster.node('n2');
    await cluster.until('call elsewhere', () => Promise.resolve(waiting.length >= 2));
    waiting.at(-1)?.(1);
    const calls = waiting.length;
    await cluster.until('last call', () => Promise.resolve(waiting.length > calls));
    waiting.at(-1)?.(1);
    const result = await cluster.result();
    expect(result).toMatchObject({ status: 'completed' });
    const events = await eventsOf(cluster, result.run);
    expect(events.some(({ type }) => type === 'handed_over')).toBe(true);
  });

  it('in its start makes the node fail to start, with what was wrong', async () => {
    const cluster = new Cluster();
    await cluster.node('n1');
    await expect(cluster.node('n1')).rejects.toMatchObject({ code: 'name_taken' });
  });
});

describe('trees of a cluster', () => {
  it('are told by every node; one that does not is shown with why', async () => {
    const cluster = new Cluster();
    await cluster.node('n1');
    await cluster.node('n2');
    const [{ report } = { report: null }] = await look(cluster, { node: 'n1' });
    // An older node: it tells of itself, and nothing else.
    cluster.client.serve(cluster.subjects.nodes('report'), () =>
      Promise.resolve(JSON.stringify({ ...report, node: 'old', version: '0.0.9' })),
    );
    const found = await look(cluster);
    expect(found.map((one) => [one.report.node, one.tree?.node])).toEqual([
      ['n1', 'n1'],
      ['n2', 'n2'],
      ['old', undefined],
    ]);
    expect(found[2]?.why).toContain('of a version that does not tell its tree');
    await expect(look(cluster, { node: 'n9' })).rejects.toMatchObject({
      code: 'unknown_node',
      message: 'no node "n9" answers; these do: n1, n2, old',
    });
  });
});
