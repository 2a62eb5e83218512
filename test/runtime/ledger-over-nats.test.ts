import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/clock/system-clock.ts';
import type { NatsBus } from '../../src/adapters/nats/bus.ts';
import type { AccountRef } from '../../src/core/ledger-wire.ts';
import { streamsOf } from '../../src/core/streams.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { codeOf, connectTo, until } from '../adapters/nats/support.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';
import { ensureLedger, type Participant, participant, reserveOf, settleOf } from './ledger-support.ts';

const ALICE: AccountRef = { scope: 'user:alice', period: 'ever', max_nanos: 1_000 };

describe('a ledger on a real server', () => {
  let server: NatsServer;
  let buses: NatsBus[];
  let count = 0;

  beforeAll(async () => {
    server = await startNatsServer();
    buses = await Promise.all([1, 2, 3].map(() => connectTo(server, { timeoutMs: 1_000 })));
  });
  afterAll(async () => {
    await Promise.all(buses.map((bus) => bus.close()));
    await server.stop();
  });

  async function nodes(snapshotEvery?: number): Promise<{ subjects: Subjects; all: Participant[] }> {
    const subjects = new Subjects(`l${++count}`);
    await ensureLedger(buses[0] as NatsBus, subjects);
    const all = await Promise.all(buses.map((bus) => participant(bus, systemClock(), subjects, snapshotEvery)));
    return { subjects, all };
  }

  const stop = (all: Participant[]) => Promise.all(all.map(({ ledger }) => ledger.stop()));
  const states = (all: Participant[]) => new Set(all.map(({ ledger }) => JSON.stringify(ledger.ledger.snapshot())));

  it('grants no more than there is, over snapshots and trims, and a node that starts late knows the same', async () => {
    const { subjects, all } = await nodes(100);
    const asked = Array.from({ length: 600 }, async (_, i) => {
      const { ledger } = all[i % 3] as Participant;
      const verdict = await ledger.reserve(reserveOf(`r${i}`, 10, ALICE));
      if (verdict.granted && i % 2 === 0) await ledger.tell(settleOf(`r${i}`, 1));
      return verdict.granted;
    });
    const granted = (await Promise.all(asked)).filter(Boolean).length;
    expect(granted).toBeGreaterThanOrEqual(100);
    const { ledger: log, ledgerSnapshots } = streamsOf(subjects);
    // All may have been stored at once, the newest first. The next one finds it and trims.
    await until(
      'a snapshot',
      async () =>
        (await (buses[0] as NatsBus).last(ledgerSnapshots.name, subjects.ledgerSnapshot('*', 'head'))) !== null,
    );
    for (let i = 0; i < 100; i++) await (all[i % 3] as Participant).ledger.reserve(reserveOf(`s${i}`, 10, ALICE));
    const last = await (buses[0] as NatsBus).last(log.name, '>', { authoritative: true });
    await until('all have read all', () => all.every(({ ledger }) => ledger.ledger.seq === last?.seq));
    const { held, spent } = (all[0] as Participant).ledger.ledger.accounts.read(ALICE, 0);
    expect(held.nanos + spent.nanos).toBeLessThanOrEqual(1_000);
    await until('it is trimmed', async () => (await (buses[0] as NatsBus).bySequence(log.name, 1)) === null);
    const late = await participant(buses[0] as NatsBus, systemClock(), subjects);
    await until('it has read all', () => late.ledger.ledger.seq === last?.seq);
    expect(states([...all, late]).size).toBe(1);
    await stop([...all, late]);
  });

  it('goes on when the server is killed and comes back, with what was asked meanwhile', async () => {
    const { all } = await nodes();
    const [one, two] = all as [Participant, Participant, Participant];
    expect((await one.ledger.reserve(reserveOf('before', 600, ALICE))).granted).toBe(true);
    await server.kill9();
    const meanwhile = two.ledger.reserve(reserveOf('meanwhile', 600, ALICE));
    const told = one.ledger.tell(settleOf('before', 300));
    await server.restart();
    await told;
    // Either came first.
    const first = await meanwhile.then(({ granted }) => granted);
    expect((await two.ledger.reserve(reserveOf('after', first ? 100 : 600, ALICE))).granted).toBe(true);
    const seq = Math.max(...all.map(({ ledger }) => ledger.ledger.seq));
    await until('all have read all', () => all.every(({ ledger }) => ledger.ledger.seq >= seq));
    await until('all say the same', () => states(all).size === 1);
    await stop(all);
  });

  it('says that the stream was made anew, reads it, and refuses a snapshot that does not belong to it', async () => {
    const { subjects, all } = await nodes(10);
    const [one] = all as [Participant, Participant, Participant];
    const bus = buses[0] as NatsBus;
    const { ledger: log, ledgerSnapshots } = streamsOf(subjects);
    for (let i = 0; i < 12; i++) await one.ledger.reserve(reserveOf(`r${i}`, 10, ALICE));
    await until(
      'a snapshot',
      async () => (await bus.last(ledgerSnapshots.name, `${subjects.prefix}.ledgersnap.*.head`)) !== null,
    );
    await bus.request(`$JS.API.STREAM.DELETE.${log.name}`, '', { timeoutMs: 2_000 });
    await bus.ensureStream(log);
    await until('it is noticed', () => one.lines.some(({ event }) => event === 'ledger.stream_lost'));
    await until(
      'the snapshot is refused',
      () => one.ledger.notReady()?.includes('Delete the stream of snapshots') === true,
    );
    expect(await codeOf(one.ledger.reserve(reserveOf('x', 10, ALICE)))).toBe('ledger_unavailable');
    await bus.request(`$JS.API.STREAM.DELETE.${ledgerSnapshots.name}`, '', { timeoutMs: 2_000 });
    await bus.ensureStream(ledgerSnapshots);
    await until('it begins anew', () => one.ledger.notReady() === null);
    expect((await one.ledger.reserve(reserveOf('y', 1_000, ALICE))).granted).toBe(true);
    await stop(all);
  });
});
