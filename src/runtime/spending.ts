import { AppError, toAppError } from '../core/errors.ts';
import type { RunEventOf } from '../core/events.ts';
import type { AccountRef, Amount, LedgerEntryOf } from '../core/ledger-wire.ts';
import type { Quotas } from '../core/quotas.ts';
import { NOTHING, plus, spanOf } from '../policy/ledger/accounts.ts';
import { accountsOf } from '../policy/quotas.ts';
import { amountCharged, callsOfSlice, fitsIn, isSame, leftOf, SLICE_MS, sliceId, times } from '../policy/slices.ts';
import type { Cancel } from '../ports/clock.ts';
import { refused, tellMarks } from './budget-words.ts';
import { type EffectScope, type Hold, SETTLE_MS, stepTime } from './effects.ts';
import { estimateFor, isPaid, type Spender, spenderOf } from './estimate.ts';
import type { RunFold } from './fold.ts';
import { chargeByJournal } from './left-open.ts';

/**
 * Money and tokens of the model calls of one owner of a run (COST-2). It reserves a slice in all accounts, calls draw
 * their estimates from it one after the other, and what they used is settled when the slice is used up, its time is
 * over, or the run is let go; a slice that would take too much from others is the estimate of one call.
 *
 * What makes it safe to lose: a slice stays open only as long as the journal tells of all of its calls but the last. It
 * is settled before anything is journalled that tells less than was charged, before a call is made that does not draw
 * from it, and before the run is parked, handed over or acked. So whoever owns the run next knows what to charge.
 */

/** How soon an account is asked again whose rest is held by other calls, milliseconds: doubled each time, at most the second. */
const AGAIN_MS = 250;
const LONGEST_AGAIN_MS = 4_000;
/** How long a call that was cut off may take to say what it used, milliseconds. */
export const WORDS_MS = 250;

/** A call that draws from a slice and is not over. */
interface Drawn {
  think: string;
  amount: Amount;
  /** Called when it is over; null as long as nobody waits for that. */
  isOver: (() => void) | null;
}

interface Slice {
  entry: LedgerEntryOf<'reserve'>;
  /** The server's time of its reservation, epoch milliseconds. */
  at: number;
  /** Until when calls may draw from it, epoch milliseconds. */
  drawUntil: number;
  isSingle: boolean;
  used: Amount;
  drawn: Drawn | null;
  /** The last call that is over. */
  last: { think: string; amount: Amount } | null;
  /** Resolves when it is settled; null as long as it is in use. */
  ended: Promise<void> | null;
  /** Something in `used` is an estimate. */
  isGuessed: boolean;
  cancel: Cancel;
}

interface Asked {
  amount: Amount;
  accounts: AccountRef[];
  /** When the call is over at the latest, epoch milliseconds. */
  until: number;
}

export class Spending {
  private readonly run: Spender;
  private readonly fold: RunFold;
  private slice: Slice | null = null;
  /** What older claims left open is being charged; null once it is. */
  private leftOver: Promise<void> | null = null;
  private over = false;
  /** Of the quotas that were asked last. */
  private known: { quotas: Quotas; refs: AccountRef[] } | null = null;

  constructor(run: Spender, fold: RunFold) {
    this.run = run;
    this.fold = fold;
  }

  /** Called once, when the claim is folded. */
  begin(): void {
    const { deps, accepted } = this.run;
    const { epoch } = this.fold.protocol;
    const charged = deps.ledger.claimed(accepted.run, epoch, chargeByJournal(this.run, this.fold));
    this.leftOver =
      charged?.then(() => {
        this.leftOver = null;
      }) ?? null;
  }

  /** As `EffectScope` says. */
  async hold(scope: EffectScope, think: string, maxOutputTokens: number): Promise<Hold | RunEventOf<'limit'> | null> {
    const { deps } = this.run;
    const accounts = isPaid(this.run, scope.context) ? this.accounts() : [];
    if (accounts.length === 0) {
      await this.end();
      return null;
    }
    const amount = estimateFor(this.run, scope.context, maxOutputTokens);
    if (this.leftOver !== null) await this.leftOver;
    const asked: Asked = { amount, accounts, until: deps.clock.now() + stepTime(scope) };
    if (this.slice !== null && !this.mayDraw(this.slice, think, asked)) await this.end();
    if (this.slice === null) {
      const refused = await this.reserve(scope, asked);
      if (refused !== null) return refused;
    }
    return this.draw(think, amount);
  }

  /** The owner lets go of the run on purpose: resolves when everything that it reserved is settled. */
  async close(): Promise<void> {
    this.over = true;
    await Promise.all([this.leftOver, this.end()]);
  }

  /** The owner has lost the run, or crashed. */
  leave(): void {
    const { deps, accepted } = this.run;
    this.close().catch((thrown: unknown) => this.notTold(thrown));
    deps.ledger.left(accepted.run, this.fold.protocol.epoch);
  }

  /** The same list as long as the quotas say the same. */
  private accounts(): AccountRef[] {
    const { deps, accepted } = this.run;
    const quotas = deps.quotas();
    if (this.known?.quotas !== quotas) {
      const refs = accountsOf(quotas, spenderOf(accepted));
      const unchanged = JSON.stringify(refs) === JSON.stringify(this.known?.refs);
      this.known = { quotas, refs: unchanged && this.known !== null ? this.known.refs : refs };
    }
    return this.known.refs;
  }

  private mayDraw(slice: Slice, think: string, { amount, accounts, until }: Asked): boolean {
    const { bus, clock, ledger } = this.run.deps;
    // The call before was charged, and the journal has not heard of it.
    const isTorn = slice.last?.think === think && !isSame(slice.last.amount, NOTHING);
    return (
      slice.ended === null &&
      slice.drawn === null &&
      !isTorn &&
      clock.now() < slice.drawUntil &&
      until + SETTLE_MS <= slice.entry.until &&
      fitsIn(amount, leftOf(slice.entry.amount, slice.used)) &&
      accounts === slice.entry.accounts &&
      bus.connected &&
      ledger.notReady() === null &&
      ledger.ledger.accounts.open.has(slice.entry.id)
    );
  }

  /** Null when there is a slice now. */
  private async reserve(scope: EffectScope, { amount, accounts, until }: Asked): Promise<RunEventOf<'limit'> | null> {
    const { deps, accepted } = this.run;
    const { accounts: known } = deps.ledger.ledger;
    const rooms = accounts.map((ref) => ({ ref, account: known.read(ref, deps.clock.now()) }));
    let calls = callsOfSlice(amount, rooms);
    for (let wait = AGAIN_MS; ; ) {
      const entry: LedgerEntryOf<'reserve'> = {
        v: 1,
        kind: 'reserve',
        id: sliceId(accepted.run, this.fold.protocol.n, deps.ids.random()),
        run: accepted.run,
        epoch: this.fold.protocol.epoch,
        until: until + SETTLE_MS + (calls > 1 ? SLICE_MS : 0),
        amount: times(amount, calls),
        accounts,
      };
      let at = 0;
      const verdict = await deps.ledger.reserve(entry, (_, when) => {
        at = when;
      });
      if (verdict.granted) {
        this.begun(entry, at, calls === 1);
        deps.faults.hit('budget.reserved');
        if (!this.over) return null;
        await this.end();
        throw new AppError('aborted', 'the run was let go while it reserved what its next model call may cost');
      }
      if (calls > 1) {
        calls = 1;
        continue;
      }
      // What others hold may come back: they settle less than they reserved.
      const mayFit = verdict.left + verdict.held >= amount[verdict.unit];
      if (!mayFit || deps.clock.now() + wait > until || scope.effort.notWanted)
        return refused(scope.log, accepted.user, verdict, amount);
      const moment = Math.round(wait * (0.5 + deps.ids.fraction()));
      await new Promise<void>((resolve) => void deps.clock.after(moment, resolve));
      wait = Math.min(2 * wait, LONGEST_AGAIN_MS);
    }
  }

  private begun(entry: LedgerEntryOf<'reserve'>, at: number, isSingle: boolean): void {
    const { clock } = this.run.deps;
    const now = clock.now();
    const ends = entry.accounts.map(({ period }) => spanOf(period, at).until ?? Number.POSITIVE_INFINITY);
    const drawUntil = Math.min(now + SLICE_MS, ...ends);
    const idle = { used: NOTHING, drawn: null, last: null, ended: null, isGuessed: false };
    const slice: Slice = { entry, at, drawUntil, isSingle, ...idle, cancel: () => {} };
    const isOver = (): void => {
      // A call that is not over ends it itself.
      if (slice.drawn === null) this.end(slice).catch((thrown: unknown) => this.notTold(thrown));
    };
    if (!isSingle) slice.cancel = clock.after(Math.max(0, drawUntil - now), isOver);
    this.slice = slice;
  }

  private draw(think: string, amount: Amount): Hold {
    const { slice } = this;
    if (slice === null) throw new Error('a call draws from a slice that is not there');
    const drawn: Drawn = { think, amount, isOver: null };
    slice.drawn = drawn;
    return {
      settle: async (usage, told) => {
        // Charged meanwhile: it was waited for, and did not say what it used.
        if (slice.drawn !== drawn) return;
        if (usage === null) this.guess(slice, amount);
        const used = usage === null ? amount : amountCharged(usage);
        slice.used = plus(slice.used, used);
        slice.last = { think, amount: used };
        slice.drawn = null;
        drawn.isOver?.();
        const goesOn =
          !slice.isSingle &&
          usage !== null &&
          (told || isSame(used, NOTHING)) &&
          this.run.deps.clock.now() < slice.drawUntil &&
          fitsIn(amount, leftOf(slice.entry.amount, slice.used));
        if (!goesOn) await this.end(slice);
      },
    };
  }

  /** Resolves when the slice, if there is one, is settled; where that fails it may be tried again. */
  private async end(slice = this.slice): Promise<void> {
    if (slice === null) return;
    slice.ended ??= this.settle(slice).catch((thrown: unknown) => {
      slice.ended = null;
      throw thrown;
    });
    await slice.ended;
  }

  private async settle(slice: Slice): Promise<void> {
    const { deps, log } = this.run;
    const { clock, ledger, faults } = deps;
    slice.cancel();
    const cut = slice.drawn;
    if (cut !== null) {
      await new Promise<void>((resolve) => {
        cut.isOver = resolve;
        clock.after(WORDS_MS, resolve);
      });
    }
    const { id, accounts, amount: reserved } = slice.entry;
    const { drawn } = slice;
    if (drawn !== null) {
      slice.used = plus(slice.used, drawn.amount);
      slice.drawn = null;
      this.guess(slice, drawn.amount);
    }
    const amount = slice.used;
    const isLost = slice.isGuessed && isSame(amount, reserved);
    const why = 'what the model call used is not known';
    await ledger.tell(isLost ? { v: 1, kind: 'lost', id, why } : { v: 1, kind: 'settle', id, amount }, (now) =>
      tellMarks(log, now, accounts, slice.at, amount),
    );
    faults.hit('budget.settled');
    if (this.slice === slice) this.slice = null;
  }

  private guess(slice: Slice, { nanos, tokens }: Amount): void {
    slice.isGuessed = true;
    this.run.log.warn('ledger.reservation_lost', {
      id: slice.entry.id,
      why: 'what the model call used is not known',
      consequence: 'it is charged at its estimate',
      nanos,
      tokens,
    });
  }

  private notTold(thrown: unknown): void {
    const { code, message } = toAppError(thrown);
    if (code === 'closed') return;
    const consequence = 'it is charged by the next owner of the run, or when it is overdue';
    this.run.log.warn('ledger.not_told', { kind: 'settle', code, message, consequence });
  }
}
