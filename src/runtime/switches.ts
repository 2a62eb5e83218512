import { AppError, toAppError } from '../core/errors.ts';
import { streamsOf } from '../core/streams.ts';
import type { Subjects } from '../core/subjects.ts';
import { readSwitchOrder, type SwitchEntry, type SwitchHits } from '../core/switch-wire.ts';
import { SwitchTable, type SwitchVerdict } from '../policy/switches.ts';
import type { Bus, StoredMessage, Subscription } from '../ports/bus.ts';
import type { Cancel, Clock } from '../ports/clock.ts';
import type { Ids } from '../ports/ids.ts';
import type { Log } from '../ports/telemetry.ts';
import { HeardOrders } from './heard-orders.ts';

/**
 * The switches as this node knows them (SUP-6, SUP-7). The stream is the truth: it is read from its beginning at the
 * start, then each second through its leader, and at once when an order is heard as it is published. A kill or a pause
 * that was heard holds its scope until it is read.
 *
 * After each reading the node stores its presence with the revision that it has read. Who waits for an order to be
 * known everywhere waits for those records. A node whose last stored reading is older than `staleMs` is frozen: it
 * begins nothing, so nobody has to wait for it.
 */

const REREAD_MS = 1_000;
/** How long a stored reading may take before it is tried anew, milliseconds. */
const ATTEMPT_MS = 2_000;
/** An order is heard before it can be read: looked for at once, then again after 1, 2, 4, 8 ... ms, at most this. */
const CHASE_MS = 512;

export interface SwitchesOptions {
  bus: Bus;
  subjects: Subjects;
  clock: Clock;
  ids: Ids;
  log: Log;
  node: string;
  /** After so long without a stored reading the node is frozen, milliseconds. */
  staleMs: number;
}

interface Reading {
  /** Epoch milliseconds. */
  began: number;
  /** Something new. */
  found: boolean;
  /** Up to which order it came. */
  revision: number;
}

/** @param scopes those that orders were read about; null when it may be any */
export type SwitchListener = (scopes: ReadonlySet<string> | null) => void;

export class Switches {
  private readonly options: SwitchesOptions;
  private readonly stream: string;
  private readonly filter: string;
  private readonly table = new SwitchTable();
  private readonly heard = new HeardOrders();
  private readonly listeners = new Set<SwitchListener>();
  private readonly hits = new Map<number, SwitchHits>();
  private readonly uncounted = new Set<number>();
  private readonly counter: string;
  /** Revision of the last order that was read. */
  private seen = 0;
  /** When the last reading began whose record is stored; epoch milliseconds. */
  private readAt = Number.NEGATIVE_INFINITY;
  private wasFrozen = false;
  private reading: Promise<unknown> = Promise.resolve();
  private chasing = false;
  private queued: Promise<void> | null = null;
  private hints: Subscription | null = null;
  private cancelTick: Cancel = () => {};
  private cancelChase: Cancel | null = null;
  private chases = 0;
  private stopped = false;
  private clock: Clock;

  constructor(options: SwitchesOptions) {
    this.options = options;
    this.stream = streamsOf(options.subjects).switches.name;
    this.filter = `${options.subjects.prefix}.switch.>`;
    this.counter = options.ids.random();
    this.clock = options.clock;
  }

  /**
   * Reads what is there and follows it; the node is known to those who give orders before it reads. May be started
   * again after a stop. @param clock runs its timers
   */
  async start(clock: Clock): Promise<void> {
    const { bus } = this.options;
    this.clock = clock;
    this.stopped = false;
    this.hints = bus.subscribe(this.filter, (message) => this.hear(message));
    await this.storePresence(0);
    await this.refresh();
    this.tick();
  }

  /** Nobody waits for this node any more. */
  async stop(): Promise<void> {
    const { bus, subjects, node } = this.options;
    this.quit();
    if (!bus.connected) return;
    bus.emit(subjects.presence(node), JSON.stringify({ v: 1, node, revision: this.seen, gone: true }));
    this.countOut();
  }

  /** Stops following, without a word: the node counts as there until its record is old. */
  quit(): void {
    this.stopped = true;
    this.cancelTick();
    this.cancelChase?.();
    void this.hints?.stop();
  }

  get revision(): number {
    return this.seen;
  }

  /** Whether the node must begin nothing, as it may have missed an order. */
  get frozen(): boolean {
    return this.options.clock.now() - this.readAt > this.options.staleMs;
  }

  /** Nothing that begins until then needs a newer reading; epoch milliseconds. */
  get validUntil(): number {
    return this.readAt + this.options.staleMs;
  }

  /** Why the node begins nothing now; null when it does. */
  notReady(): string | null {
    if (!this.frozen) return null;
    return `kill switches: not read for more than ${this.options.staleMs / 1_000} s, nothing new is begun until they are`;
  }

  over(scopes: readonly string[], acceptedAt?: number): SwitchVerdict | null {
    return this.table.over(scopes, acceptedAt);
  }

  /** Nothing new may begin in the scopes: an order was heard that is not read yet. */
  holds(scopes: readonly string[]): boolean {
    return this.heard.holds(scopes);
  }

  /** The last order about a scope. */
  readonly last = (scope: string): SwitchEntry | null => this.table.get(scope);

  inForce(): SwitchVerdict[] {
    return this.table.inForce();
  }

  /** Calls back when orders were read, when one that was heard holds no more, and when the node may act again. */
  onChange(listener: SwitchListener): Cancel {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** Counts what an order has hit here; told to others within a second. */
  hit(scope: string, what: keyof SwitchHits, times = 1): void {
    const revision = this.table.get(scope)?.revision;
    if (revision === undefined || times === 0) return;
    const counts = this.hits.get(revision) ?? { runs: 0, calls: 0, tasks: 0 };
    counts[what] += times;
    this.hits.set(revision, counts);
    this.uncounted.add(revision);
  }

  /** What was acknowledged before the call is known, and said to be known, after it. */
  refresh(): Promise<void> {
    // Told each time, though nothing was read: that is what proves that this node is there and up to date.
    this.queued ??= this.look(() => {
      this.queued = null;
    }).then((reading) => this.told(reading));
    return this.queued;
  }

  /** Reads; looks wait for each other only, not until what they found is told. */
  private look(begins = () => {}): Promise<Reading> {
    const look = this.reading.then(async () => {
      begins();
      const began = this.options.clock.now();
      const found = await this.read(began);
      return { began, found, revision: this.seen };
    });
    this.reading = look.catch(() => undefined);
    return look;
  }

  /** Stores how far this node has read. */
  private async told({ began, revision }: Reading): Promise<void> {
    const { log, staleMs } = this.options;
    await this.storePresence(revision);
    this.readAt = Math.max(this.readAt, began);
    if (this.wasFrozen && !this.frozen) {
      this.wasFrozen = false;
      log.info('switches.read_again', { stale_ms: staleMs, consequence: 'the node acts again' });
      this.tell(null);
    }
  }

  /** True when there was anything new. */
  private async read(began: number): Promise<boolean> {
    const { bus, log } = this.options;
    const head = await bus.last(this.stream, this.filter, { authoritative: true });
    const newest = head?.seq ?? 0;
    const changed = new Set<string>();
    const known = this.seen;
    if (newest < known) {
      const consequence = 'what is known here stays in force until it is revived';
      log.error('switches.stream_lost', { known, found: newest, consequence });
      this.seen = 0;
    }
    try {
      if (head !== null && newest === this.seen + 1) this.apply(head, changed);
      else if (newest > this.seen) {
        for await (const message of bus.scan(this.stream, this.filter, { fromSequence: this.seen + 1 })) {
          this.apply(message, changed);
        }
      }
      this.giveUp(began, changed);
    } finally {
      // Also of what came before the reading broke off: the next one goes on behind it.
      if (changed.size > 0) this.tell(changed);
    }
    return newest !== known;
  }

  /** Lifts what was heard and is not there to be read. */
  private giveUp(began: number, changed: Set<string>): void {
    for (const { scope, order, holds } of this.heard.giveUp(began)) {
      if (!holds || scope === null) continue;
      changed.add(scope);
      const consequence = 'it is not in the stream and holds nothing any more; give it again if it should be in force';
      this.options.log.warn('switch.not_stored', {
        scope,
        mode: order.mode,
        by: order.by,
        why: order.why,
        consequence,
      });
    }
  }

  private apply(message: StoredMessage, changed: Set<string>): void {
    const { subjects, log } = this.options;
    this.seen = message.seq;
    this.heard.read(message.subject, message.data);
    const scope = subjects.parseSwitch(message.subject);
    if (scope === null) {
      const subject = message.subject.slice(0, 300);
      log.error('switch.unknown_scope', { subject, consequence: 'the order has no effect; see docs/kill-switches.md' });
      return;
    }
    const { mode, by, why } = readSwitchOrder(message.data);
    this.table.apply({ scope, mode, by, why, at: message.at, revision: message.seq });
    changed.add(scope);
    log.warn('switch.set', { scope, mode, by, why, revision: message.seq });
  }

  private tell(scopes: ReadonlySet<string> | null): void {
    for (const listener of this.listeners) listener(scopes);
  }

  private async storePresence(revision: number): Promise<void> {
    const { bus, subjects, node, clock } = this.options;
    const giveUp = new AbortController();
    const cancel = clock.after(ATTEMPT_MS, () => giveUp.abort(new AppError('timeout', 'the record was not stored')));
    try {
      const record = JSON.stringify({ v: 1, node, revision });
      await bus.publish(subjects.presence(node), record, { signal: giveUp.signal });
    } finally {
      cancel();
    }
  }

  private hear({ subject, data }: { subject: string; data: string }): void {
    const { subjects, clock, log } = this.options;
    if (this.stopped) return;
    const held = this.heard.hear(subject, data, subjects.parseSwitch(subject), clock.now());
    this.chases = 0;
    if (!this.chasing) {
      this.cancelChase?.();
      this.chase();
    }
    if (held === null) return;
    const { scope, order } = held;
    const consequence = 'nothing new begins in the scope; the order itself is carried out when it is read';
    log.info('switch.heard', { scope, mode: order.mode, by: order.by, why: order.why, consequence });
  }

  /** Looks until everything that was heard is read, or known not to be there. */
  private chase(): void {
    this.cancelChase = null;
    this.chasing = true;
    const again = (): void => {
      this.chasing = false;
      if (this.stopped || !this.heard.unread) return;
      this.cancelChase = this.clock.after(Math.min(2 ** this.chases++, CHASE_MS), () => this.chase());
    };
    this.look().then((reading) => {
      // That nothing new was found need not be stored each time.
      if (reading.found && !this.stopped) this.told(reading).catch(() => undefined);
      again();
    }, again);
  }

  private tick(): void {
    const { bus, log, staleMs } = this.options;
    if (this.stopped) return;
    this.cancelTick = this.clock.after(Math.min(REREAD_MS, staleMs / 4), () => this.tick());
    if (this.frozen && !this.wasFrozen) {
      this.wasFrozen = true;
      const consequence = 'the node begins nothing new until it can read them: it may have missed a kill';
      log.error('switches.stale', { stale_ms: staleMs, connected: bus.connected, consequence });
    }
    this.countOut();
    if (!bus.connected) return;
    this.refresh().catch((thrown: unknown) => {
      const { code, message } = toAppError(thrown);
      if (code !== 'closed') log.warn('switches.not_read', { code, message, consequence: 'asked again in a second' });
    });
  }

  private countOut(): void {
    const { bus, subjects } = this.options;
    if (!bus.connected) return;
    for (const revision of this.uncounted) {
      bus.emit(subjects.switchHits(revision, this.counter), JSON.stringify(this.hits.get(revision)));
    }
    this.uncounted.clear();
  }
}
