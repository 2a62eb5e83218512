import { z } from 'zod';
import { AppError, describeFaults, toAppError } from '../core/errors.ts';
import { type Amount, LedgerEntry, type LedgerEntryOf, type Reservation } from '../core/ledger-wire.ts';
import { streamsOf } from '../core/streams.ts';
import type { Subjects } from '../core/subjects.ts';
import { NOTHING, type Reserved } from '../policy/ledger/accounts.ts';
import type { Probed } from '../policy/ledger/breakers.ts';
import type { Taken } from '../policy/ledger/buckets.ts';
import { Ledger, type LedgerVerdict } from '../policy/ledger/ledger.ts';
import { isSame } from '../policy/slices.ts';
import type { Bus, StoredMessage, Subscription } from '../ports/bus.ts';
import type { Cancel, Clock } from '../ports/clock.ts';
import type { Ids } from '../ports/ids.ts';
import type { Log } from '../ports/telemetry.ts';
import { readSnapshot, storeSnapshot } from './ledger-snapshots.ts';

/**
 * The ledger as this node knows it. Whoever asks stores an entry and hears its verdict when the entry comes back in the
 * order of the stream: the fold of all entries before it, at the server's time of each. Nobody compares and sets, and
 * all nodes come to the same. Where the entry does not come back in time nobody knows the verdict, so it is a no.
 */

/** How long a verdict is waited for, milliseconds. */
const PATIENCE_MS = 5_000;
/** How soon a ledger that could not be read is read again, milliseconds. */
const AGAIN_MS = 1_000;
/** How often reservations are looked for that nobody can settle any more, milliseconds. */
const SWEEP_MS = 30_000;
/** A snapshot behind each so many entries. */
const SNAPSHOT_EVERY = 5_000;

export interface LedgerLogOptions {
  bus: Bus;
  subjects: Subjects;
  clock: Clock;
  ids: Ids;
  log: Log;
  /** Default 5,000. */
  snapshotEvery?: number;
}

/** What only a newer node can read: it may grant what this one would not. */
const Versioned = z.object({ v: z.int().min(2) });

type Asking = LedgerEntryOf<'reserve' | 'take' | 'draw' | 'probe'>;
type Telling = Exclude<LedgerEntry, Asking>;
type Answer = (verdict: LedgerVerdict, at: number) => void;

/** A reservation that an older claim left open. */
export interface Left {
  id: string;
  reservation: Reservation;
}

/** What is charged of each by its id, null for all of it, and who looks at the state behind that. */
export type Charge = (
  left: readonly Left[],
) => Promise<ReadonlyMap<string, { amount: Amount | null; look: (ledger: Ledger) => void }>>;

export class LedgerLog {
  private readonly options: LedgerLogOptions;
  private readonly stream: string;
  private readonly filter: string;
  /** Entries of ours that have not come back yet, by subject; null: nobody waits for the verdict. */
  private readonly sent = new Map<string, Answer | null>();
  /** Claims of the runs that this node owns, and what of older ones is charged. */
  private readonly claims = new Map<string, { epoch: number; charge: Charge }>();
  private state = new Ledger();
  private following: Subscription | null = null;
  private unreadable: string | null = null;
  private cancelAgain: Cancel = () => {};
  private cancelSweep: Cancel = () => {};
  private clock: Clock;
  private stopped = true;

  constructor(options: LedgerLogOptions) {
    this.options = options;
    this.stream = streamsOf(options.subjects).ledger.name;
    this.filter = `${options.subjects.prefix}.ledger.>`;
    this.clock = options.clock;
  }

  /** Reads the last snapshot and follows the log from there. May be started again after a stop. @param clock runs its timers */
  async start(clock: Clock): Promise<void> {
    this.clock = clock;
    this.stopped = false;
    await this.read();
    this.sweep();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.cancelAgain();
    this.cancelSweep();
    await this.following?.stop();
    this.following = null;
  }

  /** The state behind the last entry that was read. */
  get ledger(): Ledger {
    return this.state;
  }

  /** Why nothing is granted now; null when it may be. */
  notReady(): string | null {
    return this.unreadable === null
      ? null
      : `ledger: ${this.unreadable}; what costs money is not begun until it is read`;
  }

  /** @param look called with the state right behind the entry when it is granted */
  reserve(entry: LedgerEntryOf<'reserve'>, look?: (ledger: Ledger, at: number) => void): Promise<Reserved> {
    return this.ask(entry, entry.id, look) as Promise<Reserved>;
  }

  take(entry: LedgerEntryOf<'take'>): Promise<Taken> {
    return this.ask(entry, entry.id) as Promise<Taken>;
  }

  draw(entry: LedgerEntryOf<'draw'>): Promise<Taken> {
    return this.ask(entry, entry.id) as Promise<Taken>;
  }

  probe(entry: LedgerEntryOf<'probe'>): Promise<Probed> {
    return this.ask(entry, entry.id) as Promise<Probed>;
  }

  /**
   * Resolves when the entry is stored, however long the server is away.
   * @param look called with the state right behind the entry when it has changed something
   */
  async tell(entry: Telling, look?: (ledger: Ledger) => void): Promise<void> {
    const id = 'id' in entry ? entry.id : this.options.ids.random();
    const answer: Answer | null =
      look === undefined
        ? null
        : (verdict) => {
            if ('noted' in verdict && verdict.noted) look(this.state);
          };
    await this.publish(this.subject(entry, id), entry, answer);
  }

  /**
   * This node has claimed the run: what older claims of it left open is charged, now and when it comes in later.
   * Resolves when what is known now is charged, and never rejects; null when that is nothing.
   */
  claimed(run: string, epoch: number, charge: Charge): Promise<void> | null {
    this.claims.set(run, { epoch, charge });
    return this.chargeLeft(run, epoch, charge, `claim ${epoch} of the run found it open`);
  }

  /** This node has let go of the run. */
  left(run: string, epoch: number): void {
    if (this.claims.get(run)?.epoch === epoch) this.claims.delete(run);
  }

  /** Charges what claims of the run before `epoch` left open. As `claimed`, but only for what is known now. */
  chargeLeft(run: string, epoch: number, charge: Charge, why: string): Promise<void> | null {
    const left = this.state.accounts.leftBy(run, epoch).flatMap((id) => this.openOf(id));
    return left.length === 0 ? null : this.chargeAll(left, charge, why);
  }

  private subject(entry: LedgerEntry, id: string): string {
    return this.options.subjects.ledgerEntry(entry.kind, id);
  }

  private ask(entry: Asking, id: string, look?: (ledger: Ledger, at: number) => void): Promise<LedgerVerdict> {
    if (this.unreadable !== null || this.stopped) return Promise.reject(unavailable(this.unreadable ?? 'not started'));
    const subject = this.subject(entry, id);
    return new Promise((resolve, reject) => {
      const giveUp = new AbortController();
      const refuse = (error: AppError): void => {
        cancel();
        giveUp.abort(error);
        // It may be stored, and granted, all the same: but nobody acts on it.
        if (this.sent.has(subject)) this.sent.set(subject, null);
        if (entry.kind === 'reserve' || entry.kind === 'draw') this.release(entry.id);
        reject(error);
      };
      const cancel = this.options.clock.after(PATIENCE_MS, () => {
        const text = `no verdict within ${PATIENCE_MS} ms, read up to entry ${this.state.seq}`;
        refuse(unavailable(this.unreadable ?? text));
      });
      const answer = (verdict: LedgerVerdict, at: number): void => {
        cancel();
        if ('granted' in verdict && verdict.granted) look?.(this.state, at);
        resolve(verdict);
      };
      this.publish(subject, entry, answer, giveUp.signal).catch((thrown: unknown) => {
        const error = toAppError(thrown);
        if (error.code === 'closed') refuse(error);
        else if (!giveUp.signal.aborted) refuse(unavailable(error.message));
      });
    });
  }

  private async publish(
    subject: string,
    entry: LedgerEntry,
    answer: Answer | null,
    signal?: AbortSignal,
  ): Promise<void> {
    this.sent.set(subject, answer);
    try {
      const text = JSON.stringify(LedgerEntry.parse(entry));
      await this.options.bus.publish(subject, text, signal === undefined ? {} : { signal });
    } catch (thrown) {
      // Stored before, by us whose acknowledgement was lost, or by another node that said the same.
      if (toAppError(thrown).code === 'taken') return;
      this.sent.delete(subject);
      throw thrown;
    }
  }

  private release(id: string): void {
    this.tell({ v: 1, kind: 'settle', id, amount: NOTHING }).catch((thrown: unknown) => {
      this.notTold('settle', id, thrown);
    });
  }

  private openOf(id: string): Left[] {
    const reservation = this.state.accounts.open.get(id);
    return reservation === undefined ? [] : [{ id, reservation }];
  }

  private async chargeAll(left: readonly Left[], charge: Charge, why: string): Promise<void> {
    let charges: Awaited<ReturnType<Charge>> = new Map();
    try {
      charges = await charge(left);
    } catch (thrown) {
      const { code, message } = toAppError(thrown);
      if (code === 'closed') return;
      this.options.log.warn('ledger.not_reckoned', { why, code, message, consequence: 'all is charged that was held' });
    }
    await Promise.all(
      left.map(async ({ id, reservation }) => {
        // Its owner may be alive, and have settled it meanwhile.
        if (this.openOf(id).length === 0) return;
        const { amount = null, look } = charges.get(id) ?? {};
        if (amount === null || isSame(amount, reservation.amount)) return this.lose(id, why, look);
        const consequence = 'charged: what the journal tells of, and the estimate of a call that may be under way';
        const { nanos, tokens } = amount;
        this.options.log.warn('ledger.reservation_lost', { id, why, consequence, nanos, tokens });
        await this.tell({ v: 1, kind: 'settle', id, amount }, look).catch((thrown: unknown) =>
          this.notTold('settle', id, thrown),
        );
      }),
    );
  }

  private async lose(id: string, why: string, look?: (ledger: Ledger) => void): Promise<void> {
    this.options.log.warn('ledger.reservation_lost', { id, why, consequence: 'all of it is charged' });
    await this.tell({ v: 1, kind: 'lost', id, why }, look).catch((thrown: unknown) => this.notTold('lost', id, thrown));
  }

  private notTold(kind: string, id: string, thrown: unknown): void {
    const { code, message } = toAppError(thrown);
    if (code === 'closed') return;
    this.options.log.warn('ledger.not_told', {
      kind,
      id,
      code,
      message,
      consequence: 'it is charged when it is overdue',
    });
  }

  /** From the last snapshot on, anew. */
  private async read(): Promise<void> {
    await this.following?.stop();
    const { bus } = this.options;
    const snapshot = await readSnapshot(this.options);
    const last = await bus.last(this.stream, '>', { authoritative: true });
    if (snapshot !== null && (last?.seq ?? 0) < snapshot.seq) {
      const text = `its snapshot stands behind entry ${snapshot.seq}, and stream ${this.stream} ends at ${last?.seq ?? 0}: it was made anew. Delete the stream of snapshots as well if all accounts are to begin at nothing`;
      throw new AppError('ledger_unreadable', text);
    }
    if (this.stopped) return;
    this.state = new Ledger(snapshot ?? undefined);
    this.unreadable = null;
    const following = bus.follow(this.stream, this.filter, this.state.seq + 1, {
      onMessage: (message) => {
        if (this.following === following) this.hear(message);
      },
      onBreak: (why) => {
        if (why === 'stream_lost' && this.following === following) this.lost();
      },
    });
    this.following = following;
  }

  private hear(message: StoredMessage): void {
    if (message.seq !== this.state.seq + 1) {
      const text = `entry ${message.seq} follows on entry ${this.state.seq}: those between are removed`;
      this.readAgain(text);
      return;
    }
    const entry = this.parsed(message);
    if (entry === 'newer') {
      this.readAgain(`entry ${message.seq} is of a newer version: upgrade this node`);
      return;
    }
    const waits = this.sent.get(message.subject);
    this.sent.delete(message.subject);
    if (entry === null) {
      this.state.skip(message.seq);
      return;
    }
    const verdict = this.state.fold(entry, message.seq, message.at);
    if (waits !== undefined && entry.kind === 'outcome' && !entry.ok) this.tellOpened(entry.target);
    if (entry.kind === 'reserve') this.chargeLate(entry);
    waits?.(verdict, message.at);
    // One node does it: that whose entry it is.
    const every = this.options.snapshotEvery ?? SNAPSHOT_EVERY;
    if (waits !== undefined && message.seq % every === 0) this.store();
  }

  /** What an older claim of a run of ours reserved that has only now come in. */
  private chargeLate({ id, run, epoch }: LedgerEntryOf<'reserve'>): void {
    const claim = this.claims.get(run);
    if (claim === undefined || epoch >= claim.epoch) return;
    void this.chargeAll(this.openOf(id), claim.charge, `it came after claim ${claim.epoch} of the run`);
  }

  /** By the node whose call was the last straw. */
  private tellOpened(target: string): void {
    const { state, until } = this.state.breakers.get(target);
    if (state !== 'open') return;
    const consequence = `nothing is sent to it until ${new Date(until).toISOString()}, then a probe`;
    this.options.log.warn('breaker.opened', { target, consequence, todo: 'proctor breakers ls' });
  }

  /** Null for what is no entry: no node can read it, so for all it changes nothing. */
  private parsed(message: StoredMessage): LedgerEntry | 'newer' | null {
    const { log } = this.options;
    let value: unknown;
    try {
      value = JSON.parse(message.data);
    } catch {
      value = null;
    }
    const parsed = LedgerEntry.safeParse(value);
    if (parsed.success) return parsed.data;
    if (Versioned.safeParse(value).success) return 'newer';
    const faults = describeFaults(parsed.error, 'entry').message;
    log.error('ledger.invalid_entry', { seq: message.seq, faults, consequence: 'it counts for nothing' });
    return null;
  }

  private lost(): void {
    const consequence = 'what is not stored any more counts no more: accounts are as the stream and its snapshots say';
    this.options.log.error('ledger.stream_lost', { known: this.state.seq, stream: this.stream, consequence });
    this.readAgain('the stream was made anew, or has lost its end');
  }

  private readAgain(why: string): void {
    if (this.unreadable !== null) return;
    this.unreadable = why;
    this.options.log.warn('ledger.behind', { why, consequence: 'nothing is granted here until it is read again' });
    const again = (): void => {
      if (this.stopped) return;
      this.read().catch((thrown: unknown) => {
        const { code, message } = toAppError(thrown);
        if (code === 'closed') return;
        this.unreadable = message;
        this.options.log.error('ledger.not_read', { code, message, consequence: `tried again in ${AGAIN_MS} ms` });
        this.cancelAgain = this.clock.after(AGAIN_MS, again);
      });
    };
    // Not at once: whoever trims stores the snapshot first, but a replica may not have it yet.
    this.cancelAgain = this.clock.after(AGAIN_MS, again);
  }

  private store(): void {
    storeSnapshot(this.options, this.state.snapshot()).catch((thrown: unknown) => {
      const { code, message } = toAppError(thrown);
      if (code === 'closed') return;
      this.options.log.warn('ledger.no_snapshot', { code, message, consequence: 'the next one is stored later' });
    });
  }

  /** Charges what was to be settled long ago: its run was ended from outside while its node died. */
  private sweep(): void {
    if (this.stopped) return;
    this.cancelSweep = this.clock.after(SWEEP_MS, () => {
      for (const id of this.state.accounts.overdue(this.options.clock.now())) {
        void this.lose(id, 'it was not settled in its time');
      }
      this.sweep();
    });
  }
}

function unavailable(why: string): AppError {
  const text = `the ledger gave no answer (${why}): what needs a budget, a rate or a breaker is not begun without it`;
  return new AppError('ledger_unavailable', text, { retryable: true });
}
