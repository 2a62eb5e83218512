import type { LedgerEntry, LedgerSnapshot } from '../../core/ledger-wire.ts';
import { Accounts, type Reserved } from './accounts.ts';
import { Breakers, type Probed } from './breakers.ts';
import { Buckets, type Taken } from './buckets.ts';
import { Draws } from './draws.ts';
import { Lines } from './lines.ts';

/** What an entry is answered; `noted` for those that only tell. */
export type LedgerVerdict = Reserved | Taken | Probed | { noted: boolean };

/** How often what nobody needs any more is forgotten, in entries. */
const SWEEP_EVERY = 1_000;

/** The fold over the ledger: every node that folds the same entries comes to the same state and the same verdicts. */
export class Ledger {
  readonly accounts: Accounts;
  readonly buckets: Buckets;
  readonly draws: Draws;
  readonly breakers: Breakers;
  private folded: number;

  constructor(snapshot?: LedgerSnapshot) {
    this.accounts = new Accounts(structuredClone(snapshot?.accounts), structuredClone(snapshot?.open));
    this.buckets = new Buckets(snapshot?.buckets);
    this.draws = new Draws(this.buckets, structuredClone(snapshot?.draws), new Lines(snapshot?.lines));
    this.breakers = new Breakers(snapshot?.breakers);
    this.folded = snapshot?.seq ?? 0;
  }

  /** Sequence of the last entry that was folded. */
  get seq(): number {
    return this.folded;
  }

  /** @param at the server's time of the entry, epoch milliseconds */
  fold(entry: LedgerEntry, seq: number, at: number): LedgerVerdict {
    this.folded = seq;
    if (seq % SWEEP_EVERY === 0) {
      this.accounts.sweep(at);
      this.buckets.sweep(at);
      this.draws.sweep(at);
    }
    switch (entry.kind) {
      case 'reserve':
        return this.accounts.reserve(entry, at);
      case 'settle':
        return {
          noted: this.accounts.settle(entry.id, entry.amount) || this.draws.settle(entry.id, entry.amount.tokens, at),
        };
      case 'lost':
        return { noted: this.accounts.lose(entry.id) };
      case 'take':
        return this.buckets.take(entry.buckets, at);
      case 'draw':
        return this.draws.draw(entry, at);
      case 'probe':
        return this.breakers.probe(entry.id, entry.target, entry.rule, at);
      case 'outcome':
        this.breakers.outcome(entry.target, entry.ok, entry.probe, entry.rule, at);
        return { noted: true };
      case 'reset':
        this.breakers.reset(entry.target);
        return { noted: true };
    }
  }

  /** What stands there is no entry. */
  skip(seq: number): void {
    this.folded = seq;
  }

  snapshot(): LedgerSnapshot {
    const draws = structuredClone([...this.draws.open]);
    const lines = structuredClone([...this.draws.lines.lines]);
    const debts = [...this.buckets.buckets.values()].some(({ tokens }) => tokens < 0);
    return {
      v: draws.length > 0 || lines.length > 0 || debts ? 2 : 1,
      seq: this.folded,
      accounts: structuredClone([...this.accounts.accounts]),
      open: structuredClone([...this.accounts.open]),
      buckets: structuredClone([...this.buckets.buckets]),
      breakers: structuredClone([...this.breakers.breakers]),
      ...(draws.length === 0 ? {} : { draws }),
      ...(lines.length === 0 ? {} : { lines }),
    };
  }
}
