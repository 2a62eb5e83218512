import type { Account, AccountRef, Amount, LedgerEntryOf, Period, Reservation } from '../../core/ledger-wire.ts';

/**
 * Money, tokens and counts, reserved before and settled after. A reservation holds its estimate in all of its accounts,
 * or in none; settling puts what was really spent in its place. So whatever is in flight was counted when it began, and
 * an account is passed by no more than that.
 */

export type Reserved =
  | { granted: true }
  /** The account that has no room, what it has left and what is held of it, and when it begins anew. */
  | { granted: false; account: AccountRef; unit: Unit; left: number; held: number; until: number | null };

export type Unit = 'nanos' | 'tokens' | 'count';
const LIMITS = { nanos: 'max_nanos', tokens: 'max_tokens', count: 'max_count' } as const;
const UNITS = Object.keys(LIMITS) as Unit[];

export const NOTHING: Amount = { nanos: 0, tokens: 0, count: 0 };
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** An account without an end is forgotten when nothing was reserved in it for so long. */
const UNUSED_MS = 90 * DAY_MS;

export class Accounts {
  readonly accounts: Map<string, Account>;
  readonly open: Map<string, Reservation>;
  /** Ids of open reservations by run. */
  private readonly byRun = new Map<string, Set<string>>();

  constructor(accounts: Iterable<[string, Account]> = [], open: Iterable<[string, Reservation]> = []) {
    this.accounts = new Map(accounts);
    this.open = new Map(open);
    for (const [id, { run }] of this.open) this.index(run, id);
  }

  reserve({ id, run, epoch, until, amount, accounts }: LedgerEntryOf<'reserve'>, at: number): Reserved {
    if (this.open.has(id)) return { granted: true };
    const keyed = accounts.map((ref) => ({ ref, ...this.at(ref, at) }));
    for (const { ref, account } of keyed) {
      for (const unit of UNITS) {
        const most = ref[LIMITS[unit]];
        if (most === undefined || amount[unit] === 0) continue;
        const left = most - account.spent[unit] - account.held[unit];
        if (amount[unit] > left) {
          return {
            granted: false,
            account: ref,
            unit,
            left: Math.max(0, left),
            held: account.held[unit],
            until: account.until,
          };
        }
      }
    }
    for (const { key, account } of keyed) {
      this.accounts.set(key, { ...account, held: plus(account.held, amount), used_at: at });
    }
    this.open.set(id, { run, epoch, until, amount, keys: keyed.map(({ key }) => key), at });
    this.index(run, id);
    return { granted: true };
  }

  /** False when nothing is open under that name: it was settled before, or never granted. */
  settle(id: string, amount: Amount): boolean {
    const reservation = this.open.get(id);
    if (reservation === undefined) return false;
    this.open.delete(id);
    const others = this.byRun.get(reservation.run);
    others?.delete(id);
    if (others?.size === 0) this.byRun.delete(reservation.run);
    for (const key of reservation.keys) {
      const account = this.accounts.get(key);
      if (account === undefined) continue;
      const held = minus(account.held, reservation.amount);
      this.accounts.set(key, { ...account, held, spent: plus(account.spent, amount) });
    }
    return true;
  }

  lose(id: string): boolean {
    const reservation = this.open.get(id);
    return reservation !== undefined && this.settle(id, reservation.amount);
  }

  /** What the account of the period at that moment holds. */
  read(ref: Pick<AccountRef, 'scope' | 'period'>, at: number): Account {
    return this.at(ref, at).account;
  }

  /** Reservations of a run that an older claim than `epoch` made. */
  leftBy(run: string, epoch: number): string[] {
    return [...(this.byRun.get(run) ?? [])].filter((id) => (this.open.get(id)?.epoch ?? epoch) < epoch);
  }

  /** Reservations that nobody can settle any more. */
  overdue(at: number): string[] {
    return [...this.open].filter(([, { until }]) => until < at).map(([id]) => id);
  }

  /** Forgets the accounts of periods that are over, once nothing is held in them. */
  sweep(at: number): void {
    for (const [key, { until, held, used_at }] of this.accounts) {
      const over = until === null ? used_at + UNUSED_MS <= at : until <= at;
      if (over && UNITS.every((unit) => held[unit] === 0)) this.accounts.delete(key);
    }
  }

  private index(run: string, id: string): void {
    const ids = this.byRun.get(run) ?? new Set();
    this.byRun.set(run, ids.add(id));
  }

  private at({ scope, period }: Pick<AccountRef, 'scope' | 'period'>, at: number): { key: string; account: Account } {
    const { name, until } = spanOf(period, at);
    const key = `${scope} ${name}`;
    return { key, account: this.accounts.get(key) ?? { spent: NOTHING, held: NOTHING, until, used_at: at } };
  }
}

interface Span {
  name: string;
  until: number | null;
}

/** Spans of the hour that was asked for last: each entry asks for those of all of its accounts, and formatting a date is slow. */
const spans = { hour: Number.NaN, of: new Map<Period, Span>() };

/** The period that a moment lies in: a name that no other has (with its year), and its end. UTC. */
export function spanOf(period: Period, at: number): Span {
  const hour = Math.floor(at / HOUR_MS);
  if (hour !== spans.hour) {
    spans.hour = hour;
    spans.of.clear();
  }
  let span = spans.of.get(period);
  if (span === undefined) {
    span = spanWith(period, at);
    spans.of.set(period, span);
  }
  return span;
}

function spanWith(period: Period, at: number): Span {
  const iso = new Date(at).toISOString();
  switch (period) {
    case 'hour':
      return { name: iso.slice(0, 13), until: (Math.floor(at / HOUR_MS) + 1) * HOUR_MS };
    case 'day':
      return { name: iso.slice(0, 10), until: Math.floor(at / DAY_MS) * DAY_MS + DAY_MS };
    case 'month':
      return { name: iso.slice(0, 7), until: Date.UTC(Number(iso.slice(0, 4)), Number(iso.slice(5, 7)), 1) };
    case 'ever':
      return { name: 'ever', until: null };
  }
}

export function plus(a: Amount, b: Amount): Amount {
  return { nanos: a.nanos + b.nanos, tokens: a.tokens + b.tokens, count: a.count + b.count };
}

function minus(a: Amount, b: Amount): Amount {
  return { nanos: a.nanos - b.nanos, tokens: a.tokens - b.tokens, count: a.count - b.count };
}
