import { beforeEach, describe, expect, it } from 'vitest';
import { MemoryBroker } from '../../src/adapters/memory/memory-broker.ts';
import { MemoryBus } from '../../src/adapters/memory/memory-bus.ts';
import { SimulatedClock } from '../../src/adapters/memory/simulated-clock.ts';
import type { AccountRef } from '../../src/core/ledger-wire.ts';
import { streamsOf } from '../../src/core/streams.ts';
import { Subjects } from '../../src/core/subjects.ts';
import type { Ledger } from '../../src/policy/ledger/ledger.ts';
import { codeOf } from '../adapters/nats/support.ts';
import { ensureLedger, participant, reserveOf, settleOf } from './ledger-support.ts';

const ALICE: AccountRef = { scope: 'user:alice', period: 'day', max_nanos: 100 };
const subjects = new Subjects();
const streams = streamsOf(subjects);

describe('the ledger of a node', () => {
  let clock: SimulatedClock;
  let broker: MemoryBroker;
  let count: number;

  beforeEach(async () => {
    clock = new SimulatedClock();
    broker = new MemoryBroker({ clock });
    count = 0;
    await ensureLedger(bus(), subjects);
  });

  function bus(): MemoryBus {
    return new MemoryBus(broker, `node-${++count}`);
  }

  const join = async (on = bus(), snapshotEvery?: number) => {
    const made = await participant(on, clock, subjects, snapshotEvery);
    await clock.settle();
    return made;
  };
  const spent = (one: Awaited<ReturnType<typeof join>>) => one.ledger.ledger.accounts.read(ALICE, clock.now());

  it('COST-2: grants all nodes together no more than there is, and all know the same', async () => {
    const nodes = await Promise.all([join(), join(), join()]);
    const asked = nodes.flatMap(({ ledger }, n) =>
      Array.from({ length: 10 }, (_, i) => ledger.reserve(reserveOf(`${n}-${i}`, 7, ALICE))),
    );
    const granted = (await Promise.all(asked)).filter((verdict) => verdict.granted);
    expect(granted).toHaveLength(14);
    await clock.settle();
    for (const node of nodes) expect(spent(node).held.nanos).toBe(98);
    expect(new Set(nodes.map(({ ledger }) => JSON.stringify(ledger.ledger.snapshot()))).size).toBe(1);
  });

  it('says which account has no room, what it has left, and when it begins anew', async () => {
    const { ledger } = await join();
    await ledger.reserve(reserveOf('a', 60, ALICE));
    await ledger.tell(settleOf('a', 75));
    expect(await ledger.reserve(reserveOf('b', 30, ALICE))).toEqual({
      granted: false,
      account: ALICE,
      unit: 'nanos',
      left: 25,
      held: 0,
      until: Date.parse('2026-01-02T00:00:00Z'),
    });
  });

  it('counts once what is sent again after its acknowledgement was lost', async () => {
    let lost = false;
    broker.intercept = ({ kind }) => {
      if (kind !== 'publish' || lost) return 'ok';
      lost = true;
      return 'lost_ack';
    };
    const node = await join();
    expect(await node.ledger.reserve(reserveOf('a', 60, ALICE))).toEqual({ granted: true });
    await clock.advance(2_000);
    expect(broker.stream(streams.ledger.name).size).toBe(1);
    expect(spent(node).held.nanos).toBe(60);
  });

  it('fails closed: without a verdict nothing is granted, and what was stored all the same is given back', async () => {
    const mine = bus();
    const [node, other] = [await join(mine), await join()];
    mine.cut();
    const asked = codeOf(node.ledger.reserve(reserveOf('a', 60, ALICE)));
    await clock.advance(6_000);
    expect(await asked).toBe('ledger_unavailable');
    mine.heal();
    await clock.advance(10_000);
    for (const one of [node, other]) expect(spent(one)).toMatchObject({ held: { nanos: 0 }, spent: { nanos: 0 } });
  });

  it('TOOL-8: gives back what was drawn without a verdict; whoever reads a snapshot knows draws, lines and debts', async () => {
    const drawOf = (id: string, take: number) => ({
      ...{ v: 2 as const, kind: 'draw' as const, id, who: id, until: clock.now() + 60_000, buckets: [] },
      estimated: [{ scope: 'model:m tokens', capacity: 100, every_ms: 1_000, take }],
    });
    const mine = bus();
    const [node, other] = [await join(mine), await join(bus(), 1)];
    mine.cut();
    const asked = codeOf(node.ledger.draw(drawOf('a', 60)));
    await clock.advance(6_000);
    expect(await asked).toBe('ledger_unavailable');
    mine.heal();
    await clock.advance(10_000);
    expect(other.ledger.ledger.draws.open.size).toBe(0);
    expect((await other.ledger.draw(drawOf('b', 100))).granted).toBe(true);
    expect((await other.ledger.draw(drawOf('c', 30))).granted).toBe(false);
    await other.ledger.tell({ v: 1, kind: 'settle', id: 'b', amount: { nanos: 0, tokens: 150, count: 0 } });
    await clock.settle();
    expect(other.ledger.ledger.snapshot()).toMatchObject({
      v: 2,
      lines: [['model:m tokens', [{ who: 'c', take: 30 }]]],
    });
    const late = await join();
    expect(late.ledger.ledger.snapshot()).toEqual(other.ledger.ledger.snapshot());
    // 50 in debt, and 30 for the one before.
    expect(await late.ledger.draw(drawOf('d', 1))).toMatchObject({ again_at: clock.now() + 81_000 });
    // What older nodes know as well is written as they read it.
    await clock.advance(3_600_000);
    for (let i = 0; i < 1_000; i++) await other.ledger.tell(settleOf(`none ${i}`, 0));
    await clock.settle();
    expect(other.ledger.ledger.snapshot().v).toBe(1);
  });

  it('charges what an older claim of a run left open to the next owner, also what comes in later', async () => {
    const mine = bus();
    const [dying, next] = [await join(mine), await join()];
    await dying.ledger.reserve(reserveOf('open', 10, ALICE, 'run-1', 3));
    await dying.ledger.reserve(reserveOf('of another', 10, ALICE, 'run-2', 3));
    // A second one is on its way when the node dies.
    broker.intercept = ({ kind, attempt }) => (kind === 'publish' && attempt === 1 ? 'delay' : 'ok');
    void dying.ledger.reserve(reserveOf('late', 20, ALICE, 'run-1', 3)).catch(() => undefined);
    await clock.settle();
    mine.crash();
    broker.intercept = () => 'ok';
    void next.ledger.claimed('run-1', 7, () => Promise.resolve(new Map()));
    await clock.settle();
    expect(spent(next)).toMatchObject({ spent: { nanos: 10 }, held: { nanos: 10 } });
    broker.release();
    await clock.settle();
    expect(spent(next)).toMatchObject({ spent: { nanos: 30 }, held: { nanos: 10 } });
    expect(next.lines.filter(({ event }) => event === 'ledger.reservation_lost')).toHaveLength(2);
    next.ledger.left('run-1', 7);
  });

  it('shows whoever charges the state behind it, also where all of it is charged', async () => {
    const [dying, next] = [await join(), await join()];
    for (const id of ['a', 'b']) await dying.ledger.reserve(reserveOf(id, 10, ALICE, 'run-1', 3));
    const seen: number[] = [];
    const look = (ledger: Ledger) => void seen.push(ledger.accounts.read(ALICE, clock.now()).spent.nanos);
    const charges = new Map([
      ['a', { amount: null, look }],
      ['b', { amount: { nanos: 4, tokens: 0, count: 0 }, look }],
    ]);
    void next.ledger.claimed('run-1', 7, () => Promise.resolve(charges));
    await clock.settle();
    expect(seen).toEqual([10, 14]);
  });

  it('charges what nobody can settle any more once its time is over', async () => {
    const mine = bus();
    const [dying, other] = [await join(mine), await join()];
    await dying.ledger.reserve({ ...reserveOf('a', 10, ALICE), until: clock.now() + 60_000 });
    mine.crash();
    await clock.advance(59_000);
    expect(spent(other).held.nanos).toBe(10);
    await clock.advance(32_000);
    expect(spent(other)).toMatchObject({ spent: { nanos: 10 }, held: { nanos: 0 } });
  });

  it('starts from a snapshot, and of the log keeps what stands behind the last but one', async () => {
    const first = await join(bus(), 10);
    for (let i = 0; i < 34; i++) {
      await first.ledger.reserve(reserveOf(`r${i}`, 1, ALICE));
      await clock.settle();
    }
    const log = broker.stream(streams.ledger.name);
    expect(log.size).toBe(14);
    const late = await join(bus(), 10);
    expect(late.ledger.ledger.snapshot()).toEqual(first.ledger.ledger.snapshot());
    expect((await late.ledger.reserve(reserveOf('more', 66, ALICE))).granted).toBe(true);
    expect((await first.ledger.reserve(reserveOf('too much', 1, ALICE))).granted).toBe(false);
  });

  it('takes a snapshot in parts, and one whose head is missing for none', async () => {
    const node = await join(bus(), 400);
    const scope = (i: number) => ({ scope: `user:${'x'.repeat(200)}${i}`, period: 'day' as const, max_nanos: 10 });
    await Promise.all(Array.from({ length: 800 }, (_, i) => node.ledger.reserve(reserveOf(`r${i}`, 1, scope(i)))));
    await clock.settle();
    const parts = await bus().scan(streams.ledgerSnapshots.name, '>');
    const stored: string[] = [];
    for await (const { subject } of parts) stored.push(subject);
    expect(stored.length).toBeGreaterThan(4);
    const same = await join();
    expect(same.ledger.ledger.snapshot()).toEqual(node.ledger.ledger.snapshot());
    const head = await bus().last(streams.ledgerSnapshots.name, subjects.ledgerSnapshot(800, 'head'));
    if (head === null) throw new Error('no snapshot');
    await bus().remove(streams.ledgerSnapshots.name, head);
    const older = await join();
    expect(older.ledger.ledger.snapshot()).toEqual(node.ledger.ledger.snapshot());
  });

  it('reads a snapshot when what it would read next is trimmed already, and grants nothing meanwhile', async () => {
    const mine = bus();
    const [slow, other] = [await join(mine), await join(bus(), 10)];
    broker.intercept = ({ kind, node }) => (kind === 'deliver' && node === mine.node ? 'lost' : 'ok');
    for (let i = 0; i < 25; i++) {
      await other.ledger.reserve(reserveOf(`r${i}`, 1, ALICE));
      await clock.settle();
    }
    broker.intercept = () => 'ok';
    await other.ledger.reserve(reserveOf('last', 1, ALICE));
    await clock.settle();
    expect(slow.ledger.notReady()).toContain('are removed');
    expect(await codeOf(slow.ledger.reserve(reserveOf('x', 1, ALICE)))).toBe('ledger_unavailable');
    await clock.advance(2_000);
    expect(slow.ledger.notReady()).toBeNull();
    expect(spent(slow).held.nanos).toBe(26);
    expect((await slow.ledger.reserve(reserveOf('y', 1, ALICE))).granted).toBe(true);
  });

  it('grants nothing once it reads what only a newer node understands; what is no entry counts for nothing', async () => {
    const node = await join();
    const other = bus();
    await other.publish(subjects.ledgerEntry('reserve', 'bad'), '{"v":1,"kind":"reserve"}');
    await other.publish(subjects.ledgerEntry('reserve', 'worse'), 'no JSON');
    expect((await node.ledger.reserve(reserveOf('a', 1, ALICE))).granted).toBe(true);
    expect(node.lines.filter(({ event }) => event === 'ledger.invalid_entry')).toHaveLength(2);
    await other.publish(subjects.ledgerEntry('gift', 'x'), '{"v":2,"kind":"gift"}');
    await clock.settle();
    expect(await codeOf(node.ledger.reserve(reserveOf('b', 1, ALICE)))).toBe('ledger_unavailable');
    expect(node.ledger.notReady()).toContain('upgrade this node');
    await clock.advance(3_000);
    expect(await codeOf(node.ledger.reserve(reserveOf('c', 1, ALICE)))).toBe('ledger_unavailable');
  });
});
