import { LRUCache } from 'lru-cache';
import type { ExitReason } from '../../supervisors/exit-reason.ts';
import { ActivationBody } from '../core/activation-wire.ts';
import { AppError, toAppError } from '../core/errors.ts';
import type { RunEvent, RunEventOf } from '../core/events.ts';
import { JOURNAL_VERSION, type JournalEntry } from '../core/journal-entry.ts';
import { RUN_BUDGET } from '../core/restart-budget.ts';
import { laneKey, laneKeyOf } from '../core/run-queues.ts';
import { streamsOf } from '../core/streams.ts';
import type { Delivery, StoredMessage } from '../ports/bus.ts';
import { isUnwanted } from './delegate.ts';
import type { NodeDeps } from './deps.ts';
import { endAgain } from './ending.ts';
import { FailureLog } from './failure-log.ts';
import { isSpent, type RunFold } from './fold.ts';
import { endsRun, inboxEvent, judgedInboxEvent } from './inbox-message.ts';
import { LastTries } from './last-tries.ts';
import { removeMessage } from './remove.ts';
import { type Gone, type OwnerEnv, RunOwner } from './run-owner.ts';
import { telemetryOf } from './run-telemetry.ts';
import type { RunTree } from './run-tree.ts';
import { StatusFeed } from './status-feed.ts';
import { storeStatus } from './store-status.ts';
import { BACK_MS, SupervisedRun } from './supervised-run.ts';
import { countHit, orderFor, scopesOf } from './switched.ts';
import { Wheel } from './wheel.ts';

/**
 * How long a run that this node cannot take is left to others before it comes again, at least, milliseconds; up to half
 * as much more by chance, or it could come again each time in the moment in which this node asks first.
 */
const NOT_OURS_MS = 5_000;
/** The same for the first time that it comes, doubled each time: most likely a node that can is waiting for work. */
const NOT_OURS_AT_FIRST_MS = 100;
/** How soon a journal is read again that a replica does not have yet, milliseconds. */
const LAG_MS = 100;
/** How soon a run is offered again that came while this node may not act, milliseconds. */
const FROZEN_MS = 1_000;
/** The same for one whose last try waits for that of another. */
const LAST_TRY_MS = 1_000;
/** How often a live owner elsewhere is believed before this node takes over all the same. */
const MAX_DEFERRALS = 3;

/**
 * Takes activations and makes owners of them: read, decide, claim. The claim is the one entry that makes this node's
 * writes count; everything before it only reads.
 */
export class Activations {
  readonly owners = new Map<string, RunOwner>();
  /** Runs in the tree, those between two owners as well. */
  readonly supervised = new Map<string, SupervisedRun>();
  readonly drainMs: number;
  private readonly deps: NodeDeps;
  private readonly tree: RunTree;
  private readonly env: OwnerEnv;
  private readonly feed: StatusFeed;
  private readonly wheel: Wheel<RunOwner>;
  private readonly failures: FailureLog;
  private readonly lastTries: LastTries;
  private readonly deferred = new LRUCache<string, number>({ max: 10_000 });
  /** Runs whose activation is being dealt with: a second delivery waits for the first. */
  private readonly taking = new Map<string, Promise<unknown>>();
  private readonly changed: () => void;
  private readonly active = new Map<string, number>();
  /** Set once the node stops: what is taken or crashes from then on goes back to the queue. */
  leaving = false;

  /** @param changed called whenever a run has been let go, so that more work can be asked for */
  constructor(deps: NodeDeps, tree: RunTree, changed: () => void) {
    this.deps = deps;
    this.tree = tree;
    this.changed = changed;
    this.drainMs = deps.settings.drain_ms;
    this.failures = new FailureLog(deps, 'activation.failed');
    this.lastTries = new LastTries(deps.settings.claims_without_progress, this.owners);
    this.feed = new StatusFeed(deps);
    this.wheel = new Wheel<RunOwner>(deps.clock, (owner) => owner.tick());
    this.env = {
      deps,
      wheel: this.wheel,
      touched: (owner) => this.feed.touched(owner),
      gone: (owner, why, error) => this.gone(owner, why, error),
    };
  }

  /** Resolves when the run has an owner here, or the activation is dealt with otherwise. Never rejects. */
  async take(delivery: Delivery): Promise<void> {
    try {
      this.deps.faults.hit('activation.taken');
      await this.decide(delivery);
    } catch (thrown) {
      const error = toAppError(thrown);
      if (error.code === 'closed') return;
      this.failures.tell(delivery.subject, error);
      delivery.nak(this.notOurs(NOT_OURS_MS));
    }
  }

  private async decide(delivery: Delivery): Promise<void> {
    const { log } = this.deps;
    const body = parseActivation(delivery.data);
    if (body === null) {
      log.error('activation.invalid', { subject: delivery.subject, consequence: 'it is removed from the queue' });
      delivery.ack();
      return;
    }
    await this.inTurn(body.run, () => this.settle(delivery, body));
  }

  private async inTurn(run: string, work: () => Promise<void>): Promise<void> {
    const before = this.taking.get(run);
    const turn = Promise.resolve(before).then(work);
    const settled = turn.catch(() => {});
    this.taking.set(run, settled);
    try {
      await turn;
    } finally {
      if (this.taking.get(run) === settled) this.taking.delete(run);
    }
  }

  private async settle(delivery: Delivery, body: ActivationBody): Promise<void> {
    const carried = await this.carried(body.run, body.carry ?? []);
    const here = this.supervised.get(body.run);
    if (here !== undefined) here.adopt(delivery, carried);
    else await this.own(delivery, body, carried, null);
  }

  /** Claims the run unless there is a reason not to; `again` when it is in the tree already and has lost its owner. */
  private async own(delivery: Delivery, body: ActivationBody, carried: RunEvent[], again: SupervisedRun | null) {
    const { log, journal } = this.deps;
    const { run } = body;
    let isNew = body.first === true && delivery.deliveries === 1;
    for (;;) {
      const fold = await (isNew ? journal.loadNew(run) : journal.load(run));
      isNew = false;
      this.deps.faults.hit('activation.read');
      if (fold === null) {
        if (await journal.exists(run)) return delivery.nak(LAG_MS);
        log.error('activation.without_journal', { run_id: run, consequence: 'it is removed from the queue' });
        delivery.ack();
        return;
      }
      if (fold.ended || isSpent(delivery, fold.protocol.parked)) {
        if (fold.ended) await endAgain(this.deps, fold, await this.acceptedOf(run), delivery);
        else await this.leaveParked(delivery, fold);
        return;
      }
      if (this.leaving) return delivery.nak(BACK_MS);
      if (this.deps.switches.frozen) return delivery.nak(FROZEN_MS);
      if (await this.ownedElsewhere(delivery, fold, run)) return;
      if (!this.lastTries.begin(fold)) return delivery.nak(LAST_TRY_MS);
      if (await this.claim(delivery, fold, carried, again).finally(() => this.lastTries.claimed(fold))) return;
    }
  }

  /** A fault of the runtime or of an effect, not of the journal: the run goes on under a new claim. Never rejects. */
  async resume(run: SupervisedRun): Promise<void> {
    const { delivery } = run;
    try {
      await this.inTurn(run.run, () => this.own(delivery, { v: 1, run: run.run }, run.carried.splice(0), run));
    } catch (thrown) {
      const error = toAppError(thrown);
      if (error.code !== 'closed') {
        this.failures.tell(delivery.subject, error);
        delivery.nak(this.notOurs(NOT_OURS_MS));
      }
    }
    run.waits = false;
    if (run.owner === null) run.left();
  }

  /**
   * Carries out an order that ends a run which is queued and which nobody owns: that must wait neither for a free slot
   * nor for a node that can run its agent. The activation stays in the queue until the result is stored.
   */
  async end(run: string, order: RunEvent, queued: StoredMessage): Promise<void> {
    await this.inTurn(run, async () => {
      const { clock, journal, settings, subjects } = this.deps;
      const queue = streamsOf(subjects).queue.name;
      if (this.leaving || this.supervised.has(run)) return;
      const fold = await journal.load(run);
      if (fold === null) return;
      const { at, node, parked, released } = fold.protocol;
      const delivery: Delivery = {
        ...queued,
        stream: queue,
        created: parked?.created ?? '',
        // Never as good as one that the queue handed out.
        deliveries: 0,
        behind: 0,
        ack: () => void removeMessage(this.deps, queue, queued).catch(() => undefined),
        nak: () => {},
        working: () => {},
      };
      if (fold.ended) return endAgain(this.deps, fold, await this.acceptedOf(run), delivery);
      if (parked !== null && queued.seq <= parked.seq) return;
      if (node !== null && !released && clock.now() - at < settings.lease_ms) return;
      if (await this.ownedElsewhere(delivery, fold, run)) return;
      await this.claim(delivery, fold, [order], null, true);
    });
  }

  /** The owner died between `parked` and its ack: what it may not have told is told, and the activation is done with. */
  private async leaveParked(delivery: Delivery, fold: RunFold): Promise<void> {
    const accepted = await this.acceptedOf(fold.context.run);
    if (fold.protocol.released) await storeStatus(this.deps, accepted, fold, []);
    delivery.ack();
  }

  /** The inbox messages that the activation carries, as events; what is gone from the inbox was journalled before. */
  private async carried(run: string, sequences: number[]): Promise<RunEvent[]> {
    const stream = streamsOf(this.deps.subjects).inbox.name;
    const messages = await Promise.all(sequences.map((seq) => this.deps.bus.bySequence(stream, seq)));
    const read = await Promise.all(
      messages.map((message) => (message === null ? null : judgedInboxEvent(this.deps, message))),
    );
    return read.flatMap((one) => (one?.event !== undefined && one.address?.run === run ? [one.event] : []));
  }

  private async ownedElsewhere(delivery: Delivery, fold: RunFold, run: string): Promise<boolean> {
    const { deps } = this;
    const { node, released, epoch } = fold.protocol;
    // One that comes for the first time while the journal names an owner stands for a lost one.
    if (epoch < 0 || released || node === null || node === deps.node) return false;
    const times = this.deferred.get(run) ?? 0;
    if (times >= MAX_DEFERRALS) return false;
    try {
      const answer = await deps.bus.request(deps.subjects.node(node, 'owns'), JSON.stringify({ run }), {
        timeoutMs: 500,
      });
      if (answer.data !== 'true') return false;
    } catch {
      return false;
    }
    this.deferred.set(run, times + 1);
    delivery.nak(Math.ceil(deps.settings.lease_ms / 2));
    return true;
  }

  /** Writes the claim and starts the owner, or leaves the run to others; false when somebody else wrote first and all has to be read again. */
  private async claim(
    delivery: Delivery,
    fold: RunFold,
    carried: RunEvent[],
    again: SupervisedRun | null,
    ending = false,
  ): Promise<boolean> {
    const { deps } = this;
    const { run } = fold.context;
    const accepted = await this.acceptedOf(run);
    const order = orderFor(deps.switches, fold, scopesOf(accepted));
    // It began with a version that only other nodes can run; what ends it, any node can do.
    const foreign = deps.agents.unusable(accepted.agent) !== null;
    if (foreign && order?.type !== 'kill' && !carried.some(endsRun)) {
      const end = await this.endingOf(fold);
      if (end === null) {
        const wait = Math.min(NOT_OURS_MS, NOT_OURS_AT_FIRST_MS * 2 ** Math.min(16, delivery.deliveries - 1));
        delivery.nak(this.notOurs(wait));
        return true;
      }
      carried.push(end);
    }
    const nonce = deps.ids.random();
    const n = fold.protocol.n + 1;
    const activation = { created: delivery.created, seq: delivery.seq };
    const events: RunEvent[] = [{ type: 'claimed', node: deps.node, nonce, activation }];
    if (order?.type === 'kill') events.push({ ...order, type: 'kill' });
    // One that has not begun does not begin, drained or paused: its first step would be a new one.
    else if (order !== null && fold.protocol.epoch < 0) events.push({ ...order, type: 'pause' });
    else if (fold.protocol.epoch < 0 && (await this.isOrphan(accepted))) {
      const why = 'the run that delegated this one does not wait for it any more';
      events.push({ type: 'cancel', by: `run ${accepted.parent?.run}`, why });
    }
    const tries = fold.protocol.claims;
    if (tries >= deps.settings.claims_without_progress) {
      events.push({
        type: 'limit',
        code: 'crash_limit',
        detail: `${tries} owners in a row died before the run made any progress`,
      });
    }
    const entry: JournalEntry = {
      v: JOURNAL_VERSION,
      n,
      epoch: n,
      writer: nonce,
      at: Math.max(deps.clock.now(), fold.protocol.at),
      events,
    };
    if ((await deps.journal.append(run, entry)) === 'fenced') return false;
    deps.faults.hit('claim.written');
    for (const event of events) if (event.type === 'kill' || event.type === 'pause') countHit(deps.switches, event);
    const already = fold.protocol.inbox;
    const telemetry = telemetryOf(deps, accepted, fold);
    telemetry?.claimed(entry, fold);
    fold.fold(entry);
    telemetry?.folded(entry, fold);
    const owner = new RunOwner(this.env, { fold, accepted, delivery, nonce, telemetry });
    this.owners.set(run, owner);
    this.deferred.delete(run);
    owner.log.info('agent.start', { epoch: n, deliveries: delivery.deliveries, state: fold.path });
    // A run that is killed hears nothing else; what was on its way is acked as it has ended.
    const heard = (order?.type === 'kill' ? [] : carried).filter(
      (event) => !('inbox' in event) || event.inbox === undefined || !already.includes(event.inbox),
    );
    if (again === null) await this.supervise(new SupervisedRun(this, owner, heard), ending || foreign);
    else again.resumed(owner, heard);
    if (this.leaving) owner.handOver(true);
    return true;
  }

  /** @param ending it only runs in order to end, which waits neither for a slot nor for a node that can run its agent */
  private async supervise(run: SupervisedRun, ending: boolean): Promise<void> {
    this.supervised.set(run.run, run);
    const counts = !ending;
    if (counts) this.count(run.accepted, 1);
    const over = (reason: ExitReason): void => {
      this.supervised.delete(run.run);
      if (counts) this.count(run.accepted, -1);
      if (reason.type === 'error' && run.waits) this.giveUp(run);
      else if (run.waits) run.delivery.nak(BACK_MS);
      this.changed();
    };
    try {
      await this.tree.begin(run, ending, over);
    } catch (thrown) {
      run.owner?.stop();
      over({ type: 'shutdown' });
      throw thrown;
    }
  }

  /** What ends the run now, whoever owns it: its deadline, or an order that waits in its inbox. */
  private async endingOf({ context }: RunFold): Promise<RunEvent | null> {
    const { bus, clock, subjects } = this.deps;
    const { run, deadline_at, clock_stopped_at } = context;
    if (deadline_at !== null && clock_stopped_at === null && deadline_at <= clock.now()) return { type: 'deadline' };
    for await (const message of bus.scan(streamsOf(subjects).inbox.name, subjects.inboxOf(run))) {
      const { event } = inboxEvent(subjects, message);
      if (event !== undefined && endsRun(event)) return event;
    }
    return null;
  }

  /** A child that was started late, by a node that did not know that the parent did not want it any more. */
  private async isOrphan({ parent }: RunEventOf<'accepted'>): Promise<boolean> {
    if (parent === undefined) return false;
    const fold = await this.deps.journal.load(parent.run);
    fold?.stop();
    return fold !== null && isUnwanted({ context: fold.context, n: fold.protocol.n }, parent.c, parent.attempt);
  }

  private async acceptedOf(run: string) {
    const entry = await this.deps.journal.mustHave(run, 0);
    const accepted = entry.events.find((event) => event.type === 'accepted');
    if (accepted === undefined)
      throw new AppError('journal_corrupt', `entry 0 of run ${run} does not say what was accepted`);
    return accepted;
  }

  private gone(owner: RunOwner, why: Gone, error?: AppError): void {
    // What it told last may have arrived when another node had taken the run.
    const late = this.deps.clock.now() - owner.fold.protocol.at > this.deps.settings.lease_ms;
    if (why === 'fenced' || (why === 'parked' && late)) this.correctStatus(owner);
    else this.feed.forget(owner);
    if (this.owners.get(owner.run) === owner) this.owners.delete(owner.run);
    this.supervised.get(owner.run)?.gone(owner, why, error);
  }

  private notOurs(atLeastMs: number): number {
    return Math.round(atLeastMs * (1 + this.deps.ids.fraction() / 2));
  }

  private correctStatus(owner: RunOwner): void {
    this.feed.correct(owner).catch((thrown: unknown) => {
      owner.log.warn('status.not_corrected', { message: toAppError(thrown).message });
    });
  }

  private count({ agent, user }: RunEventOf<'accepted'>, change: number): void {
    for (const key of [laneKey(agent.name), laneKeyOf(agent.name, user)]) {
      this.active.set(key, (this.active.get(key) ?? 0) + change);
    }
  }

  /** It crashed more often than its run-supervisor restarts it. */
  private giveUp({ run, accepted, delivery }: SupervisedRun): void {
    const { journal, ids, clock, node } = this.deps;
    const log = this.deps.log.child({ run_id: run, user_id: accepted.user, agent: accepted.agent.name });
    log.error('run.restart_intensity_reached', {
      restarts: RUN_BUDGET.intensity,
      period_ms: RUN_BUDGET.periodMs,
      consequence: 'the run ends crash_limit; see proctor trace',
    });
    const work = this.inTurn(run, async () => {
      const fold = await journal.load(run);
      if (fold === null || fold.ended) return;
      const n = fold.protocol.n + 1;
      const nonce = ids.random();
      const activation = { created: delivery.created, seq: delivery.seq };
      const at = Math.max(clock.now(), fold.protocol.at);
      const detail = `restarted ${RUN_BUDGET.intensity} times within ${RUN_BUDGET.periodMs / 1000} s`;
      const events: RunEvent[] = [
        { type: 'claimed', node, nonce, activation },
        { type: 'limit', code: 'crash_limit', detail },
      ];
      await journal.append(run, { v: JOURNAL_VERSION, n, epoch: n, writer: nonce, at, events });
    });
    work
      .catch((thrown: unknown) => log.error('run.give_up_failed', { message: toAppError(thrown).message }))
      .finally(() => delivery.nak(1_000));
  }

  /** Runs of an agent type that this node owns; with `lane`, of users in that lane. */
  activeOf(agent: string, lane?: number): number {
    return this.active.get(laneKey(agent, lane)) ?? 0;
  }

  /** Resolves when no activation is being dealt with any more. */
  async settled(): Promise<void> {
    while (this.taking.size > 0) await Promise.all(this.taking.values());
  }

  /** Switches over the scopes have changed; null when it may be any, as when they may be read again. */
  switched(scopes: ReadonlySet<string> | null): void {
    for (const owner of [...this.owners.values()]) owner.switched(scopes);
  }

  heartbeat(): void {
    for (const run of this.supervised.values()) run.heartbeat();
  }

  /** After this process stood still for longer than the lease. */
  async verifyAll(): Promise<void> {
    await Promise.all([...this.owners.values()].map((owner) => owner.verify()));
  }

  /** Runs are kept again, those that come and those that are not handed over yet. */
  keep(): void {
    this.leaving = false;
  }

  /** @param cut as for one owner */
  handOverAll(cut: boolean): void {
    this.leaving = true;
    for (const owner of [...this.owners.values()]) owner.handOver(cut);
  }

  /** What is taken from now on goes back to the queue. */
  leave(): void {
    this.leaving = true;
  }

  /** When no run is left. */
  stop(): void {
    this.feed.stop();
    this.wheel.stop();
  }
}

function parseActivation(data: string): ActivationBody | null {
  try {
    const parsed = ActivationBody.safeParse(JSON.parse(data));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
