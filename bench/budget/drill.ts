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
 * while their model calls are under way: those with most of them. What the budget bore is judged here from the entries of the log and from what
 * the models were asked, not by the ledger's own fold; at the end both must say the same.
 */

export interface BudgetDrillOptions {
  nodes: number;
  runs: number;
  sabotage: boolean;
}

/** Of all that the runs would cost. */
const BUDGET_SHARE = 0.4;
const USD_A_RUN = 0.001_05;
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
      onMessage: ({ data }) => book.read(LedgerEntry.parse(JSON.parse(data))),
    });
    let spent = 0;
    let calls = 0;
    const askedBy = new Map<string, string>();
    bus.subscribe(ASKED, ({ data }) => {
      const { run, node, nanos } = JSON.parse(data) as Asked;
      calls++;
      spent += nanos;
      askedBy.set(run, node);
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
    const byMost = names.map((name, i) => ({ child: children[i], held: holds(name) })).sort((a, b) => b.held - a.held);
    const victims = byMost.slice(0, Math.floor(nodes / 2)).flatMap(({ child }) => child ?? []);
    await Promise.all(victims.map((child) => child.end('SIGKILL')));
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
      calls,
      callsWithoutReservation: Math.max(0, calls - book.granted),
      budgetUsd: usd,
      spentUsd: spent / 1e9,
      ledgerUsd: account.spent.nanos / 1e9,
      overshoot: Math.max(0, spent - budget, book.mostBorne - budget) / 1e9,
      ledgerDifference: (Math.abs(account.spent.nanos - book.spent) + account.held.nanos) / 1e9,
      unaccounted: Math.max(0, spent - account.spent.nanos) / 1e9,
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

/** One account, kept by hand: what the log says was reserved, settled and lost. */
class Book {
  asked = 0;
  granted = 0;
  settled = 0;
  lost = 0;
  spent = 0;
  held = 0;
  mostBorne = 0;
  mostOpen = 0;
  readonly open = new Map<string, { run: string; nanos: number }>();
  private readonly budget: number;

  constructor(budget: number) {
    this.budget = budget;
  }

  read(entry: LedgerEntry): void {
    if (entry.kind === 'reserve') {
      this.asked++;
      if (this.spent + this.held + entry.amount.nanos > this.budget) return;
      this.granted++;
      this.held += entry.amount.nanos;
      this.open.set(entry.id, { run: entry.run, nanos: entry.amount.nanos });
      this.mostBorne = Math.max(this.mostBorne, this.spent + this.held);
      this.mostOpen = Math.max(this.mostOpen, this.open.size);
    } else if (entry.kind === 'settle' || entry.kind === 'lost') {
      const reserved = this.open.get(entry.id);
      if (reserved === undefined) return;
      this.open.delete(entry.id);
      this.held -= reserved.nanos;
      this.spent += entry.kind === 'lost' ? reserved.nanos : entry.amount.nanos;
      this.mostBorne = Math.max(this.mostBorne, this.spent + this.held);
      if (entry.kind === 'lost') this.lost++;
      else this.settled++;
    }
  }
}
