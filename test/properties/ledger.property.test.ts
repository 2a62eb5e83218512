import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/clock/system-clock.ts';
import type { NatsBus } from '../../src/adapters/nats/bus.ts';
import type { BreakerRule, BucketRef, LedgerEntry } from '../../src/core/ledger-wire.ts';
import { streamsOf } from '../../src/core/streams.ts';
import { Subjects } from '../../src/core/subjects.ts';
import type { LedgerLog } from '../../src/runtime/ledger-log.ts';
import { connectTo, until } from '../adapters/nats/support.ts';
import { ensureLedger, participant } from '../runtime/ledger-support.ts';
import { type NatsServer, startNatsServer } from '../support/nats-server.ts';

/**
 * Four nodes on a real server ask for tokens, estimates and probes as they like. What they were granted is judged by the log
 * alone, with the server's times: not by the fold that granted it.
 */

const NODES = 4;
const TARGET = 'tool:mail';
const DRAWN = 'model:m tokens';

interface Granted {
  id: string;
  at: number;
  seq: number;
}

type Act = { node: number } & (
  | { act: 'take'; take: number }
  /** `used` is null for one that is never settled, as its node died; what goes on is settled after the next pause. */
  | { act: 'draw'; estimate: number; used: number | null; goesOn: boolean }
  | { act: 'call'; ok: boolean }
  | { act: 'pause' }
);

const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ node: nodes(), act: fc.constant('take' as const), take: fc.integer({ min: 1, max: 2 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      node: nodes(),
      act: fc.constant('draw' as const),
      estimate: fc.integer({ min: 1, max: 7 }),
      used: fc.option(fc.integer({ min: 0, max: 9 }), { freq: 5 }),
      goesOn: fc.boolean(),
    }),
  },
  { weight: 6, arbitrary: fc.record({ node: nodes(), act: fc.constant('call' as const), ok: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ node: nodes(), act: fc.constant('pause' as const) }) },
);

/** Tokens run in faster than calls do. */
function drawnFrom({ capacity, every_ms }: Pick<BucketRef, 'capacity' | 'every_ms'>) {
  return { capacity: capacity * 4, every_ms: every_ms / 10 };
}

function nodes() {
  return fc.integer({ min: 0, max: NODES - 1 });
}

describe('four nodes on one ledger', () => {
  let server: NatsServer;
  let buses: NatsBus[];
  let count = 0;

  beforeAll(async () => {
    server = await startNatsServer();
    buses = await Promise.all(Array.from({ length: NODES }, () => connectTo(server)));
  });
  afterAll(async () => {
    await Promise.all(buses.map((bus) => bus.close()));
    await server.stop();
  });

  it('TOOL-7, TOOL-8: never get more tokens or probes than are configured', async () => {
    let tokens = 0;
    let drawn = 0;
    let probes = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(act, { minLength: 1, maxLength: 12 }), { minLength: 3, maxLength: 8 }),
        fc.record({ capacity: fc.integer({ min: 2, max: 5 }), every_ms: fc.integer({ min: 5, max: 50 }) }),
        fc.record({
          failures: fc.integer({ min: 1, max: 3 }),
          open_ms: fc.integer({ min: 5, max: 30 }),
          successes: fc.integer({ min: 1, max: 3 }),
        }),
        async (waves, bucket, rule) => {
          const subjects = new Subjects(`p${++count}`);
          await ensureLedger(buses[0] as NatsBus, subjects);
          const all = await Promise.all(buses.map((bus) => participant(bus, systemClock(), subjects)));
          const ledgers = all.map(({ ledger }) => ledger);
          const owed: (() => Promise<void>)[] = [];
          const granted = { take: new Set<string>(), draw: new Set<string>(), probe: new Set<string>() };
          try {
            for (const wave of waves) {
              await Promise.all(wave.map((one, i) => perform(ledgers, one, `${i}`, bucket, rule, granted, owed)));
            }
            for (const settle of owed.splice(0)) await settle();
            const log = await entries(buses[0] as NatsBus, subjects);
            tokens += judgeTokens(log, granted.take, bucket);
            drawn += judgeDraws(log, granted.draw, drawnFrom(bucket));
            probes += judgeProbes(log, granted.probe, rule);
            await until('all have read all', () => ledgers.every(({ ledger }) => ledger.seq === log.at(-1)?.seq));
            expect(new Set(ledgers.map(({ ledger }) => JSON.stringify(ledger.snapshot()))).size).toBe(1);
          } finally {
            await Promise.all(ledgers.map((ledger) => ledger.stop()));
          }
        },
      ),
      { numRuns: 40 },
    );
    // Otherwise nothing was tried.
    expect(tokens).toBeGreaterThan(50);
    expect(drawn).toBeGreaterThan(50);
    expect(probes).toBeGreaterThan(10);
  }, 120_000);
});

let ids = 0;

async function perform(
  ledgers: LedgerLog[],
  one: Act,
  name: string,
  bucket: Pick<BucketRef, 'capacity' | 'every_ms'>,
  rule: BreakerRule,
  granted: { take: Set<string>; draw: Set<string>; probe: Set<string> },
  owed: (() => Promise<void>)[],
): Promise<void> {
  const ledger = ledgers[one.node] as LedgerLog;
  const id = `${name}-${++ids}`;
  if (one.act === 'pause') {
    // Time must go by on the server for tokens and open breakers to come back; how much does not matter.
    await new Promise((resolve) => setTimeout(resolve, 10));
    for (const settle of owed.splice(0)) await settle();
    return;
  }
  if (one.act === 'take') {
    const verdict = await ledger.take({
      v: 1,
      kind: 'take',
      id,
      buckets: [{ scope: TARGET, ...bucket, take: one.take }],
    });
    if (verdict.granted) granted.take.add(id);
    return;
  }
  if (one.act === 'draw') {
    const estimated = [{ scope: DRAWN, ...drawnFrom(bucket), take: one.estimate }];
    const who = `node-${one.node}`;
    const until = Number.MAX_SAFE_INTEGER;
    const verdict = await ledger.draw({ v: 2, kind: 'draw', id, who, until, buckets: [], estimated });
    if (!verdict.granted) return;
    granted.draw.add(id);
    if (one.used === null) return;
    const amount = { nanos: 0, tokens: one.used, count: 0 };
    const settle = () => ledger.tell({ v: 1, kind: 'settle', id, amount });
    if (one.goesOn) owed.push(settle);
    else await settle();
    return;
  }
  const asks = ledger.ledger.breakers.get(TARGET).state !== 'closed';
  if (asks) {
    const verdict = await ledger.probe({ v: 1, kind: 'probe', id, target: TARGET, rule });
    if (!verdict.granted) return;
    granted.probe.add(id);
  }
  await ledger.tell({ v: 1, kind: 'outcome', target: TARGET, ok: one.ok, rule, ...(asks ? { probe: id } : {}) });
}

async function entries(bus: NatsBus, subjects: Subjects): Promise<{ entry: LedgerEntry; at: number; seq: number }[]> {
  const log: { entry: LedgerEntry; at: number; seq: number }[] = [];
  for await (const { data, at, seq } of bus.scan(streamsOf(subjects).ledger.name, '>')) {
    log.push({ entry: JSON.parse(data) as LedgerEntry, at, seq });
  }
  return log;
}

type Log = Awaited<ReturnType<typeof entries>>;

/** Between any two moments no more than the bucket holds and gets meanwhile. */
function judgeTokens(log: Log, granted: Set<string>, { capacity, every_ms }: { capacity: number; every_ms: number }) {
  const taken = log.flatMap(({ entry, at }) =>
    entry.kind === 'take' && granted.has(entry.id) ? [{ at, take: entry.buckets[0]?.take ?? 0 }] : [],
  );
  expect(taken).toHaveLength(granted.size);
  for (let from = 0; from < taken.length; from++) {
    let sum = 0;
    for (let to = from; to < taken.length; to++) {
      sum += taken[to]?.take ?? 0;
      const ms = (taken[to]?.at ?? 0) - (taken[from]?.at ?? 0);
      expect(sum).toBeLessThanOrEqual(capacity + ms / every_ms + 1e-9);
    }
  }
  return taken.length;
}

/** The same of what was used, at the moment at which it was drawn; beyond it only what no estimate knew. */
function judgeDraws(log: Log, granted: Set<string>, { capacity, every_ms }: { capacity: number; every_ms: number }) {
  const used = new Map(
    log.flatMap(({ entry }) => (entry.kind === 'settle' ? [[entry.id, entry.amount.tokens] as const] : [])),
  );
  const drawn = log.flatMap(({ entry, at }) => {
    if (entry.kind !== 'draw' || !granted.has(entry.id)) return [];
    const estimate = entry.estimated[0]?.take ?? 0;
    return [{ at, estimate, used: used.get(entry.id) ?? estimate }];
  });
  expect(drawn).toHaveLength(granted.size);
  for (let from = 0; from < drawn.length; from++) {
    let sum = 0;
    let unknown = 0;
    for (const one of drawn.slice(from)) {
      sum += one.used;
      unknown += Math.max(0, one.used - Math.min(one.estimate, capacity));
      const ms = one.at - (drawn[from]?.at ?? 0);
      expect(sum).toBeLessThanOrEqual(capacity + ms / every_ms + unknown + 1e-9);
    }
  }
  return drawn.length;
}

/** Walks the log by the rules of TOOL-7 alone, and counts who is let through where nobody may be, or too many. */
function judgeProbes(log: Log, granted: Set<string>, rule: BreakerRule): number {
  let failures = 0;
  let openedAt: number | null = null;
  let successes = 0;
  let inFlight: Granted[] = [];
  let judged = 0;
  for (const { entry, at, seq } of log) {
    if (entry.kind === 'probe') {
      if (openedAt === null) continue;
      inFlight = inFlight.filter((one) => one.at + rule.open_ms > at);
      if (!granted.has(entry.id)) continue;
      judged++;
      expect(at).toBeGreaterThanOrEqual(openedAt + rule.open_ms);
      inFlight.push({ id: entry.id, at, seq });
      expect(inFlight.length + successes).toBeLessThanOrEqual(rule.successes);
    } else if (entry.kind === 'outcome') {
      if (openedAt === null) {
        failures = entry.ok ? 0 : failures + 1;
        if (failures < rule.failures) continue;
        [openedAt, successes, failures, inFlight] = [at, 0, 0, []];
        continue;
      }
      const known = inFlight.some(({ id }) => id === entry.probe);
      if (!known) continue;
      inFlight = inFlight.filter(({ id }) => id !== entry.probe);
      if (!entry.ok) [openedAt, successes, inFlight] = [at, 0, []];
      else if (++successes >= rule.successes) [openedAt, failures] = [null, 0];
    }
  }
  return judged;
}
