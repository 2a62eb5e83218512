import { isMoment, type Want } from '../../machines/agent-run/wanted.ts';
import { type AppError, clip, toAppError } from '../core/errors.ts';
import { RunEvent, type RunEventOf } from '../core/events.ts';
import { modelOf } from '../core/fallback.ts';
import { encodeEntryOf, JOURNAL_VERSION, type JournalEntry } from '../core/journal-entry.ts';
import { byteLength } from '../core/json.ts';
import { modelScope, toolScope } from '../core/switch-scope.ts';
import type { Delivery } from '../ports/bus.ts';
import type { Log } from '../ports/telemetry.ts';
import type { WatchedRun } from '../ports/watchdog.ts';
import { askApproval, tellApprovers } from './approval-requests.ts';
import { call } from './call.ts';
import { mayNeedPerson, withPerson } from './degrade.ts';
import { delegate, stopMember } from './delegate.ts';
import type { NodeDeps } from './deps.ts';
import type { EffectScope, Permit } from './effects.ts';
import { Effort } from './effort.ts';
import { endRun } from './ending.ts';
import type { RunFold } from './fold.ts';
import type { OwnedRun } from './owned-run.ts';
import { parkRun } from './parking.ts';
import type { RunTelemetry } from './run-telemetry.ts';
import { Spending } from './spending.ts';
import { StepLog } from './step-log.ts';
import type { EntryReader } from './steps.ts';
import { concerns, countHit, orderFor, scopesOf, switchedOff } from './switched.ts';
import { think } from './think.ts';
import type { Wheel } from './wheel.ts';

/**
 * One incarnation of a run on this node: it holds the activation, and its claim is the newest in the journal.
 *
 * Events are taken one batch at a time: written, then folded, then acted upon. After each fold the wanted effects are
 * compared with the running ones. One write is in flight at any time; whoever finds another's entry where its own
 * should be is fenced and stops without a sound: no ack, no heartbeat.
 */

/** Why an owner let go. */
export type Gone = 'ended' | 'parked' | 'handed_over' | 'fenced' | 'crashed' | 'closed';

interface Pending {
  events: RunEvent[];
  texts: string[];
  bytes: number;
  settle: (stored: boolean) => void;
}

/** Most bytes of events in one entry; the bus takes 1 MB a message. */
const MAX_BATCH_BYTES = 600 * 1024;
const MAX_BATCH_EVENTS = 200;
/** Entries kept at hand: more than a window of steps has. */
const RECENT_ENTRIES = 64;

/** Made of parts that were parsed or bounded where they came in; all other events are parsed before they are written. */
const TRUSTED: ReadonlySet<RunEvent['type']> = new Set(['decided', 'call_started', 'call_done', 'timer', 'deadline']);

/** Bytes of a text, at most; only a long one is counted. */
function bytesOf(text: string): number {
  return text.length < 4_096 ? text.length * 3 : byteLength(text);
}

/** A call that must not be repeated, and may have been sent. */
function mustFinish(want: Want): boolean {
  return (want.kind === 'call' || want.kind === 'retry') && (want.call.status === 'started' || !want.call.idempotent);
}

/** Whether it acts on the world, rather than noting that a moment has come. */
function isEffect({ kind }: Want): boolean {
  return kind === 'think' || kind === 'call' || kind === 'retry' || kind === 'delegate';
}

/** `tool:mail` as people say it: `tool mail`. */
function nameOf(scope: string): string {
  return scope.replace(':', ' ');
}

export interface OwnerEnv {
  deps: NodeDeps;
  wheel: Wheel<RunOwner>;
  /** Its status changed. */
  touched(owner: RunOwner): void;
  gone(owner: RunOwner, why: Gone, error?: AppError): void;
}

/** A run whose claim this node has written and folded. */
export interface Claimed {
  fold: RunFold;
  accepted: RunEventOf<'accepted'>;
  delivery: Delivery;
  nonce: string;
  telemetry: RunTelemetry | null;
}

export class RunOwner implements OwnedRun {
  readonly run: string;
  readonly fold: RunFold;
  readonly steps: StepLog;
  readonly accepted: RunEventOf<'accepted'>;
  readonly deps: NodeDeps;
  readonly log: Log;
  readonly telemetry: RunTelemetry | null;
  private readonly watched: WatchedRun;
  private readonly spending: Spending;
  delivery: Delivery;
  private readonly env: OwnerEnv;
  private readonly nonce: string;
  private phase: 'live' | 'handing_over' | 'closing' | 'gone' = 'live';
  private readonly queue: Pending[] = [];
  /** Inbox messages on their way to the journal, by sequence. */
  private readonly coming = new Map<number, Promise<boolean>>();
  /** Effects whose outcome is not folded yet; null once it is on its way to the journal. */
  private readonly running = new Map<string, Effort | null>();
  /** The newest entries: they are what models, results and statuses ask for. */
  private readonly recent = new Map<number, JournalEntry>();
  private pumping = false;
  private sinceSnapshot = 0;
  /** Calls that were open at the claim: the owner before may have sent them. */
  private readonly inherited: ReadonlySet<string>;
  /** All scopes of switches that hold this run. */
  private readonly scopes: string[];
  /** The last order of a switch that was passed on to the journal. */
  private heeded = '';
  /** Something is wanted that may not begin now, and nothing in the journal says so. */
  private heldBack = false;

  constructor(env: OwnerEnv, { fold, accepted, delivery, nonce, telemetry }: Claimed) {
    this.env = env;
    this.deps = env.deps;
    this.run = accepted.run;
    this.fold = fold;
    this.accepted = accepted;
    this.delivery = delivery;
    this.nonce = nonce;
    this.inherited = new Set(fold.context.calls.flatMap(({ c, status }) => (status === 'ready' ? [c] : [])));
    this.scopes = scopesOf(accepted);
    this.steps = new StepLog(accepted.run, env.deps.journal, this.read);
    this.telemetry = telemetry;
    this.watched = env.deps.watchdog.enter(accepted.run, accepted.agent.name);
    if (telemetry !== null) telemetry.read = this.read;
    this.log = env.deps.log.child({
      run_id: accepted.run,
      user_id: accepted.user,
      agent: accepted.agent.name,
      ...(telemetry?.traceId === undefined ? {} : { trace_id: telemetry.traceId }),
    });
    this.spending = new Spending(this, fold);
  }

  /** Called once, when the claim is written and folded. */
  start(carried: RunEvent[]): void {
    this.steps.resumeAt(this.fold.context.steps);
    this.spending.begin();
    this.env.touched(this);
    for (const event of carried) void this.enqueue(event);
    void this.pump();
  }

  /**
   * Journals an event that came from outside; false when this owner has begun to let go. A message that is offered
   * again before it is stored waits for the same entry: a second one would stand behind what came later.
   */
  enqueue(event: RunEvent): Promise<boolean> {
    if (this.phase !== 'live') return Promise.resolve(false);
    const seq = 'inbox' in event ? event.inbox : undefined;
    if (seq === undefined) return this.push([event]);
    if (this.fold.protocol.inbox.includes(seq)) return Promise.resolve(true);
    let stored = this.coming.get(seq);
    if (stored === undefined) {
      stored = this.push([event]).finally(() => this.coming.delete(seq));
      this.coming.set(seq, stored);
    }
    return stored;
  }

  /** Effects may finish what they began while the run is being handed over. */
  private push(events: RunEvent[]): Promise<boolean> {
    if (this.phase !== 'live' && this.phase !== 'handing_over') return Promise.resolve(false);
    if (events.length === 0) return Promise.resolve(true);
    for (const event of events) if (!TRUSTED.has(event.type)) RunEvent.parse(event);
    return new Promise((settle) => {
      const texts = events.map((event) => JSON.stringify(event));
      this.queue.push({ events, texts, bytes: texts.reduce((sum, text) => sum + bytesOf(text), 0), settle });
      void this.pump();
    });
  }

  private get gone(): boolean {
    return this.phase === 'gone';
  }

  readonly read: EntryReader = (n) => this.recent.get(n) ?? this.deps.journal.mustHave(this.run, n);

  /** The newest activation message stands for the lease from now on. */
  adopt(delivery: Delivery): void {
    const { seq, deliveries } = this.delivery;
    if (delivery.seq > seq || (delivery.seq === seq && delivery.deliveries >= deliveries)) this.delivery = delivery;
  }

  heartbeat(): void {
    if (this.phase !== 'gone') this.delivery.working();
  }

  /** After a silence longer than the lease: whether the journal is still ours. */
  async verify(): Promise<void> {
    const { n } = this.fold.protocol;
    if (this.pumping || this.phase === 'closing' || this.phase === 'gone') return;
    const next = await this.deps.journal.authoritative(this.run, n + 1);
    // What was written meanwhile is our own.
    if (next !== null && !this.pumping && this.phase === 'live' && n === this.fold.protocol.n) this.leave('fenced');
  }

  /** A moment on the wheel has come. */
  tick(): void {
    if (this.pumping) return;
    try {
      this.react();
    } catch (thrown) {
      this.leave('crashed', toAppError(thrown));
    }
  }

  /** The effects that run now; `since` in epoch milliseconds, null for one whose outcome is on its way to the journal. */
  effects(): { id: string; uses: string | null; since: number | null }[] {
    return [...this.running].map(([id, effort]) => ({
      id,
      uses: effort?.uses ?? null,
      since: effort?.since ?? null,
    }));
  }

  /** Switches have changed, or may be read again. What a kill reaches is cut off before the journal says so. */
  switched(scopes: ReadonlySet<string> | null): void {
    if (this.phase === 'gone' || !concerns(scopes, this.scopes)) return;
    const { switches } = this.deps;
    const verdict = switches.over(this.scopes, this.fold.context.accepted_at);
    if (verdict?.mode === 'kill') {
      switches.hit(verdict.scope, 'calls', [...this.running.values()].filter((effort) => effort !== null).length);
      this.abortAll();
    } else {
      for (const effort of this.running.values()) {
        const off = effort?.uses == null ? null : switches.over([effort.uses]);
        if (off?.mode === 'kill') effort?.switchOff(switchedOff(nameOf(off.scope), off));
      }
    }
    this.tick();
  }

  private permit(uses: string | null): Permit {
    const { switches } = this.deps;
    if (switches.frozen || this.fold.context.hold === 'pause') return 'wait';
    if (switches.holds(uses === null ? this.scopes : [...this.scopes, uses])) return 'wait';
    const mode = switches.over(this.scopes, this.fold.context.accepted_at)?.mode;
    if (mode === 'kill' || mode === 'pause') return 'wait';
    const other = uses === null ? null : switches.over([uses]);
    if (other === null) return 'go';
    return other.mode === 'kill' ? { off: switchedOff(nameOf(other.scope), other) } : 'wait';
  }

  private async pump(): Promise<void> {
    if (this.pumping || this.phase === 'gone') return;
    this.pumping = true;
    try {
      do {
        while (this.queue.length > 0) {
          if (!(await this.writeBatch())) return;
        }
        this.react();
      } while (this.queue.length > 0);
    } catch (thrown) {
      this.leave('crashed', toAppError(thrown));
    } finally {
      this.pumping = false;
    }
  }

  private async writeBatch(): Promise<boolean> {
    const [first, ...more] = this.takeBatch();
    if (first === undefined) return true;
    const events = more.length === 0 ? first.events : [first, ...more].flatMap((pending) => pending.events);
    const texts = more.length === 0 ? first.texts : [first, ...more].flatMap((pending) => pending.texts);
    let stored = false;
    try {
      stored = mayNeedPerson(this, events)
        ? await this.write(await withPerson(this, this.entryOf(events)))
        : await this.write(events, texts);
    } finally {
      first.settle(stored);
      for (const pending of more) pending.settle(stored);
    }
    return stored;
  }

  private takeBatch(): Pending[] {
    let bytes = 0;
    let events = 0;
    let count = 0;
    for (const pending of this.queue) {
      bytes += pending.bytes;
      events += pending.events.length;
      if (count > 0 && (bytes > MAX_BATCH_BYTES || events > MAX_BATCH_EVENTS)) break;
      count++;
    }
    return this.queue.splice(0, count);
  }

  /** Writes one entry and folds it; false when this owner was fenced. */
  private async write(events: RunEvent[], texts = events.map((event) => JSON.stringify(event))): Promise<boolean> {
    const { deps, fold } = this;
    const entry = this.entryOf(events);
    deps.faults.hit('entry.before');
    const appended = await deps.journal.append(this.run, entry, encodeEntryOf(entry, texts));
    if (appended === 'fenced') {
      this.leave('fenced');
      return false;
    }
    deps.faults.hit('entry.written');
    // Let go of meanwhile: a fold that has stopped takes nothing more, and a snapshot of it would lack this entry.
    if (this.gone) return true;
    this.recent.set(entry.n, entry);
    this.recent.delete(entry.n - RECENT_ENTRIES);
    const before = fold.context.calls;
    this.watched.now('fold', () => fold.fold(entry));
    this.telemetry?.folded(entry, fold);
    for (const event of events) countHit(deps.switches, event);
    tellApprovers(this, events, before);
    if (fold.ended) deps.faults.hit('end.written');
    this.steps.note(fold.context);
    deps.faults.hit('entry.folded');
    this.snapshotWhenDue();
    this.env.touched(this);
    return true;
  }

  /** The next entry, as of now. */
  private entryOf(events: RunEvent[]): JournalEntry {
    const { n, at: last, epoch } = this.fold.protocol;
    const at = Math.max(this.deps.clock.now(), last);
    return { v: JOURNAL_VERSION, n: n + 1, epoch, writer: this.nonce, at, events };
  }

  private snapshotWhenDue(): void {
    if (++this.sinceSnapshot < this.deps.settings.snapshot_every) return;
    this.sinceSnapshot = 0;
    const snapshot = this.fold.snapshot();
    if (snapshot === null) return;
    this.deps.journal.saveSnapshot(this.run, snapshot).then(
      () => this.deps.faults.hit('snapshot.written'),
      (error: unknown) => this.log.warn('snapshot.failed', { message: toAppError(error).message }),
    );
  }

  /** Compares what the run wants with what runs, and acts on the difference. */
  private react(): void {
    if (this.phase === 'gone' || this.phase === 'closing' || this.queue.length > 0) return;
    if (this.fold.ended) {
      this.close('ended', (settled) => endRun(this, settled));
      return;
    }
    const { poison } = this.fold;
    if (poison !== null) {
      this.log.error('run.quarantined', {
        entry: poison.entry,
        message: poison.error.message,
        todo: 'proctor quarantine retry|fail',
      });
      void this.push([{ type: 'quarantined', entry: poison.entry, error: poison.error.toInfo() }]);
      return;
    }
    if (this.heed()) return;
    const nearest = this.reconcile();
    if (this.queue.length > 0 || this.running.size > 0) return;
    if (this.phase === 'handing_over') {
      this.close('handed_over', (settled) => settled.then(() => this.letGo()));
      return;
    }
    const wait = nearest === null ? Number.POSITIVE_INFINITY : nearest - this.deps.clock.now();
    if (wait > this.deps.settings.park_after_ms && !this.heldBack)
      this.close('parked', (settled) => settled.then(() => parkRun(this, nearest)));
  }

  /** Passes on what the switches say of this run; true when something was. */
  private heed(): boolean {
    const order = orderFor(this.deps.switches, this.fold, this.scopes);
    const key = order === null ? '' : `${order.type} ${order.scope}`;
    const repeated = key === this.heeded;
    this.heeded = key;
    if (order === null || repeated) return false;
    if (order.type === 'kill') this.abortAll();
    void this.push([order]);
    return true;
  }

  /** Starts and aborts effects; returns the nearest moment that the run waits for, epoch ms. */
  private reconcile(): number | null {
    const wants = this.fold.wants();
    const now = this.deps.clock.now();
    let nearest: number | null = null;
    const ids = new Set<string>();
    this.heldBack = false;
    for (const want of wants) {
      if (isMoment(want)) {
        const at = want.kind === 'unknown' ? want.at + this.deps.settings.clock_tolerance_ms : want.at;
        if (at > now) {
          nearest = nearest === null ? at : Math.min(nearest, at);
          continue;
        }
      }
      ids.add(want.id);
      if (!this.running.get(want.id) && !this.mayBegin(want, now)) {
        // A run that is paused says so in its journal, and is woken when it may go on.
        if (this.fold.context.hold !== 'pause') this.heldBack = true;
        continue;
      }
      // Null: its outcome is folded and changed nothing, as when the clock of the entry was behind the one that began it.
      if (!this.running.get(want.id) && (this.phase === 'live' || (isMoment(want) && want.kind !== 'retry')))
        this.begin(want, now);
    }
    for (const [id, effort] of this.running) {
      if (ids.has(id) && effort !== null) continue;
      this.running.delete(id);
      effort?.giveUp();
    }
    this.env.wheel.set(this, nearest);
    return nearest;
  }

  /** Nothing is begun once the run is out of time: its end is on the way to the journal. */
  private mayBegin(want: Want, now: number): boolean {
    if (!isEffect(want)) return true;
    const { deadline_at, clock_stopped_at } = this.fold.context;
    if (deadline_at !== null && clock_stopped_at === null && deadline_at <= now) return false;
    return this.permit(this.uses(want)) !== 'wait';
  }

  /** Scope of the tool or model that it uses. */
  private uses(want: Want): string | null {
    if (want.kind === 'think') return modelScope(modelOf(this.accepted.agent, this.fold.context));
    return want.kind === 'call' || want.kind === 'retry' ? toolScope(want.call.tool) : null;
  }

  private begin(want: Want, now: number): void {
    const effort = new Effort(this.uses(want), now);
    this.running.set(want.id, effort);
    this.perform(want, effort)
      .then((events) => {
        if (effort.notWanted) return;
        this.running.set(want.id, null);
        void this.push(events);
      })
      // Also of an outcome that is no event: a fault of ours ends this owner, not the process.
      .catch((thrown: unknown) => {
        if (!effort.notWanted) this.leave('crashed', toAppError(thrown));
      });
  }

  private perform(want: Want, effort: Effort): Promise<RunEvent[]> {
    switch (want.kind) {
      case 'think':
        return think(this.scope(effort), want);
      case 'call':
        return call(this.scope(effort), want);
      case 'retry':
        return call(this.scope(effort), { ...want, kind: 'call' });
      case 'delegate':
        return delegate(this.scope(effort), want);
      case 'stop':
        return stopMember(this.scope(effort), want);
      case 'timer':
        return Promise.resolve([{ type: 'timer', due: want.at }]);
      case 'deadline':
        return Promise.resolve([{ type: 'deadline' }]);
      case 'approval_request':
      case 'approval_escalation':
        return askApproval(this.scope(effort), want);
      case 'approval_expiry':
        return Promise.resolve([{ type: 'approval_expired', c: want.c }]);
      case 'unknown': {
        const message = 'the node that made the call died before its outcome was stored';
        return Promise.resolve([
          { type: 'outcome_unknown', c: want.c, error: { code: 'outcome_unknown', message, retryable: false } },
        ]);
      }
    }
  }

  private scope(effort: Effort): EffectScope {
    const scope: EffectScope = {
      deps: this.deps,
      accepted: this.accepted,
      context: this.fold.context,
      epoch: this.fold.protocol.epoch,
      loops: this.fold.loops,
      read: this.read,
      write: (events) => this.push(events),
      effort,
      hold: (think, maxOutputTokens) => this.spending.hold(scope, think, maxOutputTokens),
      inherited: (c) => this.inherited.has(c),
      permit: (uses) => this.permit(uses),
      log: this.log,
      telemetry: this.telemetry,
      watched: this.watched,
    };
    return scope;
  }

  /**
   * Lets the run go on purpose: what runs is waited for, and nothing new begun. @param cut what may be cut off is, to be
   * made again elsewhere; also after a call without it
   */
  handOver(cut: boolean): void {
    if (this.phase !== 'live' && this.phase !== 'handing_over') return;
    this.phase = 'handing_over';
    if (cut) this.giveUpWhatMay();
    this.tick();
  }

  private giveUpWhatMay(): void {
    // One that is not journalled as started yet may be at any moment.
    const open = new Set(this.fold.wants().flatMap((want) => (mustFinish(want) ? [want.id] : [])));
    for (const [id, effort] of this.running) {
      if (open.has(id)) continue;
      this.running.delete(id);
      effort?.giveUp();
    }
  }

  private async letGo(): Promise<boolean> {
    if (!(await this.write([{ type: 'handed_over' }]))) return false;
    const snapshot = this.fold.snapshot();
    if (snapshot !== null) await this.deps.journal.saveSnapshot(this.run, snapshot);
    this.delivery.nak(20);
    return true;
  }

  /** One more entry, written by whoever closes the run. */
  writeClosing(events: RunEvent[]): Promise<boolean> {
    return this.write(events);
  }

  /** @param work told when all that its model calls used is settled: before that the run must not leave this node's hands */
  private close(why: Gone, work: (settled: Promise<void>) => Promise<boolean>): void {
    this.phase = 'closing';
    this.env.wheel.set(this, null);
    this.abortAll();
    const settled = this.spending.close();
    // The work hears of it, but perhaps only later.
    settled.catch(() => {});
    work(settled).then(
      (done) => {
        if (done) this.leave(why);
      },
      (thrown: unknown) => this.leave('crashed', toAppError(thrown)),
    );
  }

  /** Stops at once, without a word to the journal or the queue. */
  stop(): void {
    this.leave('closed');
  }

  private abortAll(): void {
    for (const effort of this.running.values()) effort?.giveUp();
    this.running.clear();
  }

  private leave(reason: Gone, error?: AppError): void {
    if (this.phase === 'gone') return;
    const why = error?.code === 'closed' ? 'closed' : reason;
    this.phase = 'gone';
    this.watched.leave();
    this.abortAll();
    this.spending.leave();
    this.env.wheel.set(this, null);
    for (const pending of this.queue.splice(0)) pending.settle(false);
    this.fold.stop();
    if (why === 'crashed')
      this.log.error('run.crashed', { code: error?.code, message: clip(error?.message ?? '', 500) });
    if (why === 'fenced')
      this.log.warn('run.fenced', { consequence: 'another node owns the run; this one stopped acting for it' });
    this.env.gone(this, why, error);
  }
}
