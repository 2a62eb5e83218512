import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '../../src/adapters/clock/system-clock.ts';
import { cryptoIds } from '../../src/adapters/crypto/ids.ts';
import { connectBus } from '../../src/app.ts';
import { LedgerEntry } from '../../src/core/ledger-wire.ts';
import { RunResult } from '../../src/core/result.ts';
import { streamsOf } from '../../src/core/streams.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { LedgerLog } from '../../src/runtime/ledger-log.ts';
import { type Child, startChild } from '../support/children.ts';
import { silent } from '../support/log.ts';
import { progress } from '../support/report.ts';
import { startServer } from '../support/server.ts';
import { AGENT, ASKED, type Asked, type BudgetNodeOptions, USER } from './wire.ts';

/**
 * Many runs on several node processes spend from one budget, which is not enough for them. Half of the nodes are killed
 * while their model calls are under way: those with most of them. What the budget bore is judged here from the entries of
 * the log and from what the models were asked, not by the ledger's own fold; at the end both must say the same. Each call
 * must have been made while its run held a reservation, and all that was asked of one must be charged to that one.
 */

export interface BudgetDrillOptions {
  nodes: number;
  runs: number;
  sabotage: boolean;
}

/** Of all that the runs would cost. */
const BUDGET_SHARE = 0.4;
const USD_A_RUN = 0.004_2;
const PATIENCE_MS = 420_000;

export async function budgetDrill({ nodes, runs, sabotage }: BudgetDrillOptions) {
  const server = await startServer();
  const children: Child[] = [];
  try {
    const subjects = new Subjects('bench');
    const bus = await connectBus({ url: server.url }, 'bench', subjects, silent);
    const streams = streamsOf(subjects);
    await Promise.all(Object.values(streams).map((spec) => bus.ensureStream(spec)));
    const usd = Number((runs * USD_A_RUN * BUDGET_SHARE).toFixed(2));
    const budget = Math.round(usd * 1e9);
    const book = new Book(budget);
    bus.follow(streams.ledger.name, '>', 1, {
      onMessage: ({ data, at }) => book.read(LedgerEntry.parse(JSON.parse(data)), at),
    });
    const calls: Asked[] = [];
    const askedBy = new Map<string, string>();
    bus.subscribe(ASKED, ({ data }) => {
      const asked = JSON.parse(data) as Asked;
      calls.push(asked);
      askedBy.set(asked.run, asked.node);
    });
    const ended = new Map<string, RunResult>();
    bus.subscribe(`${subjects.prefix}.res.>`, ({ data }) => {
      const result = RunResult.parse(JSON.parse(data));
      ended.set(result.run, result);
    });
    await bus.flush();

    const names = Array.from({ length: nodes }, (_, i) => `n${i}`);
    for (const name of names) {
      const options: BudgetNodeOptions = {
        ...{ url: server.url, prefix: subjects.prefix },
        ...{ name, slots: runs, usd, sabotage },
      };
      children.push(startChild(import.meta.url, './node', options));
    }
    await Promise.all(children.map((child) => child.until((line) => (line === 'up' ? true : null))));
    progress(`${nodes} nodes are up; ${runs} runs want ${(runs * USD_A_RUN).toFixed(2)} USD, there are ${usd}`);
    const began = performance.now();
    const accepted: Promise<unknown>[] = [];
    for (let i = 0; i < runs; i++) accepted.push(bus.publish(subjects.task(AGENT, USER), '{"input":"x"}'));
    await Promise.all(accepted);

    const until = performance.now() + PATIENCE_MS;
    while (book.settled < runs * 0.05 && performance.now() < until) await delay(5);
    const inFlight = book.open.size;
    const holds = (name: string) => [...book.open.values()].filter(({ run }) => askedBy.get(run) === name).length;
    const byMost = names
      .map((name, i) => ({ name, child: children[i], held: holds(name) }))
      .sort((a, b) => b.held - a.held);
    const most = byMost.slice(0, Math.floor(nodes / 2));
    const victims = most.flatMap(({ child }) => child ?? []);
    await Promise.all(victims.map((child) => child.end('SIGKILL')));
    const dead = new Set(byMost.slice(0, victims.length).map(({ name }) => name));
    for (const held of book.open.values()) held.isLost = dead.has(askedBy.get(held.run) ?? '');
    progress(`killed ${victims.length} nodes with ${inFlight} reservations open, ${book.settled} settled`);
    while (ended.size < runs && performance.now() < until) await delay(50);
    // What was settled last is on its way.
    while (book.open.size > 0 && performance.now() < until) await delay(50);
    const seconds = (performance.now() - began) / 1_000;

    const ledger = new LedgerLog({ bus, subjects, clock: systemClock(), ids: cryptoIds, log: silent });
    await ledger.start(systemClock());
    const last = await bus.last(streams.ledger.name, '>', { authoritative: true });
    while (ledger.ledger.seq < (last?.seq ?? 0) && performance.now() < until) await delay(10);
    const account = ledger.ledger.accounts.read({ scope: `user:${USER}`, period: 'day' }, Date.now());
    await ledger.stop();
    const results = [...ended.values()];
    const spent = calls.reduce((sum, { nanos }) => sum + nanos, 0);
    const judged = book.judge(calls);
    await bus.close();
    return {
      processes: nodes,
      killed: victims.length,
      runs,
      reservations: book.asked,
      granted: book.granted,
      mostAtOnce: book.mostOpen,
      openAtKill: inFlight,
      settled: book.settled,
      lost: book.lost,
      lostUsd: judged.lostCharged / 1e9,
      lostAskedUsd: judged.lostAsked / 1e9,
      calls: calls.length,
      callsWithoutReservation: judged.without,
      overdrawn: judged.overdrawn / 1e9,
      budgetUsd: usd,
      spentUsd: spent / 1e9,
      ledgerUsd: account.spent.nanos / 1e9,
      overshoot: Math.max(0, spent - budget, book.mostBorne - budget) / 1e9,
      ledgerDifference: (Math.abs(account.spent.nanos - book.spent) + account.held.nanos) / 1e9,
      unaccounted: Math.max(judged.unaccounted, spent - account.spent.nanos, 0) / 1e9,
      completed: results.filter(({ status }) => status === 'completed').length,
      refused: results.filter(({ error }) => error?.code === 'budget_exceeded').length,
      withoutResult: runs - results.length,
      seconds: Number(seconds.toFixed(1)),
    };
  } finally {
    await Promise.all(children.map((child) => child.end('SIGKILL')));
    await server.stop();
  }
}

interface Held {
  run: string;
  nanos: number;
  /** When it was reserved and settled, by the server's clock, epoch milliseconds. */
  from: number;
  to: number;
  charged: number;
  /** Its owner was killed over it. */
  isLost: boolean;
}

/** The clock of a process may be read so much later than the server's, milliseconds. */
const CLOCKS_MS = 20;

/** One account, kept by hand: what the log says was reserved, settled and lost. */
class Book {
  asked = 0;
  granted = 0;
  settled = 0;
  /** Charged by others than who reserved them. */
  lost = 0;
  spent = 0;
  held = 0;
  mostBorne = 0;
  mostOpen = 0;
  readonly open = new Map<string, Held>();
  private readonly byRun = new Map<string, Held[]>();
  private readonly budget: number;

  constructor(budget: number) {
    this.budget = budget;
  }

  read(entry: LedgerEntry, at: number): void {
    if (entry.kind === 'reserve') {
      this.asked++;
      const { id, run, amount } = entry;
      if (this.spent + this.held + amount.nanos > this.budget) return;
      this.granted++;
      this.held += amount.nanos;
      const to = Number.POSITIVE_INFINITY;
      const held: Held = { run, nanos: amount.nanos, from: at, to, charged: 0, isLost: false };
      this.open.set(id, held);
      this.byRun.set(run, [...(this.byRun.get(run) ?? []), held]);
      this.mostBorne = Math.max(this.mostBorne, this.spent + this.held);
      this.mostOpen = Math.max(this.mostOpen, this.open.size);
    } else if (entry.kind === 'settle' || entry.kind === 'lost') {
      const reserved = this.open.get(entry.id);
      if (reserved === undefined) return;
      this.open.delete(entry.id);
      reserved.to = at;
      reserved.charged = entry.kind === 'lost' ? reserved.nanos : entry.amount.nanos;
      this.held -= reserved.nanos;
      this.spent += reserved.charged;
      this.mostBorne = Math.max(this.mostBorne, this.spent + this.held);
      if (reserved.isLost) this.lost++;
      else this.settled++;
    }
  }

  /** Puts each call to the reservation that its run held when it was made. */
  judge(calls: readonly Asked[]) {
    const askedOf = new Map<Held, number>();
    let without = 0;
    for (const { run, nanos, at } of calls) {
      const held = this.byRun.get(run)?.findLast(({ from }) => from <= at + CLOCKS_MS);
      if (held === undefined || held.to < at - CLOCKS_MS) without++;
      else askedOf.set(held, (askedOf.get(held) ?? 0) + nanos);
    }
    const sum = (of: (held: Held, asked: number) => number) =>
      [...askedOf].reduce((total, [held, asked]) => total + of(held, asked), 0);
    return {
      without,
      overdrawn: sum((held, asked) => Math.max(0, asked - held.nanos)),
      unaccounted: sum((held, asked) => Math.max(0, asked - held.charged)),
      lostAsked: sum((held, asked) => (held.isLost ? asked : 0)),
      lostCharged: sum((held) => (held.isLost ? held.charged : 0)),
    };
  }
}
