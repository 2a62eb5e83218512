import { toAppError } from '../core/errors.ts';
import type { RunEvent, RunEventOf } from '../core/events.ts';
import type { InboxBody } from '../core/inbox-wire.ts';
import { streamsOf } from '../core/streams.ts';
import type { Delivery, Subscription } from '../ports/bus.ts';
import type { Activations } from './activations.ts';
import { judge, notTaken, refuse } from './approvals.ts';
import { carryOut } from './continuation.ts';
import { bury } from './dead-letters.ts';
import type { NodeDeps } from './deps.ts';
import { FailureLog } from './failure-log.ts';
import { endsRun, inboxEvent, judgedInboxEvent } from './inbox-message.ts';
import { removeMessage } from './remove.ts';
import { activationSubject, publishActivation } from './starting.ts';

/** Longest time that a message is left before it is looked at again, milliseconds. */
const MAX_NAK_MS = 3_600_000;
/** How soon a message that somebody else should have journalled is looked at again. */
const AGAIN_MS = 500;
const OFFER_TIMEOUT_MS = 500;
/** How often an order that ends a run has come when this node stops waiting for somebody to own the run. */
const PATIENCE = 3;

/**
 * Everything that reaches a run from outside. A message leaves the inbox only when the journal holds it or the run has
 * ended; until then it is offered to the owner, or an activation that carries it is queued, and it comes again.
 */
export class Inbox {
  private readonly deps: NodeDeps;
  private readonly activations: Activations;
  private readonly failures: FailureLog;

  constructor(deps: NodeDeps, activations: Activations) {
    this.deps = deps;
    this.activations = activations;
    this.failures = new FailureLog(deps, 'inbox.failed');
  }

  /** Never rejects. */
  async take(delivery: Delivery): Promise<void> {
    try {
      this.deps.faults.hit('inbox.taken');
      await this.route(delivery);
    } catch (thrown) {
      const error = toAppError(thrown);
      if (error.code === 'closed') return;
      this.failures.tell(delivery.subject, error);
      delivery.nak(1_000);
    }
  }

  private async route(delivery: Delivery): Promise<void> {
    const read = inboxEvent(this.deps.subjects, delivery);
    if (read.isDecision === true) return this.decide(delivery);
    if (read.order !== undefined && read.address !== undefined) {
      return this.letGoOn(read.address.run, read.order, delivery);
    }
    if (read.event === undefined || read.address === undefined) {
      return this.toDeadLetters(delivery, 'invalid_message', read.fault ?? 'invalid');
    }
    const { event } = read;
    const { run } = read.address;
    if (event.type === 'timer') {
      const early = event.due - this.deps.clock.now();
      if (early > 0) return delivery.nak(Math.min(early, MAX_NAK_MS));
    }
    if (await this.giveToOwnerHere(run, event, delivery)) return;
    const state = await this.inJournal(run, delivery.seq, delivery.deliveries > 1);
    if (state === 'unknown run' && (await this.deps.journal.exists(run))) return delivery.nak(AGAIN_MS);
    if (state === 'unknown run') return this.toDeadLetters(delivery, 'unknown_run', `no run ${run} was ever accepted`);
    if (state === 'settled') {
      if (endsRun(event)) await this.end(run, event);
      return delivery.ack();
    }
    await this.callForOwner(state, event, delivery);
  }

  /** Whether a decision counts is found out before the run hears of it; what does not is kept in the audit. */
  private async decide(delivery: Delivery): Promise<void> {
    const { deps } = this;
    const judged = await judge(deps, delivery);
    if ('refusal' in judged) {
      await refuse(deps, delivery, judged.refusal);
      return delivery.ack();
    }
    const run = deps.subjects.parseInbox(delivery.subject)?.run ?? '';
    const fold = this.activations.owners.get(run)?.fold ?? (await deps.journal.load(run));
    if (fold === null) return delivery.nak(AGAIN_MS);
    const { context, protocol } = fold;
    if (this.activations.owners.get(run)?.fold !== fold) fold.stop();
    if (protocol.inbox.includes(delivery.seq)) return delivery.ack();
    const refusal = notTaken(context, judged.event);
    if (refusal !== null) {
      await refuse(deps, delivery, refusal);
      return delivery.ack();
    }
    deps.faults.hit('approval.judged');
    if (await this.giveToOwnerHere(run, judged.event, delivery)) return;
    const state = await this.inJournal(run, delivery.seq, false);
    if (typeof state === 'string') return delivery.nak(AGAIN_MS);
    await this.callForOwner(state, judged.event, delivery);
  }

  private async letGoOn(run: string, order: InboxBody<'continue'>, delivery: Delivery): Promise<void> {
    const { journal } = this.deps;
    const accepted = (await journal.entry(run, 0))?.events.find((event) => event.type === 'accepted');
    if (accepted === undefined) {
      if (await journal.exists(run)) return delivery.nak(AGAIN_MS);
      return this.toDeadLetters(delivery, 'unknown_run', `no run ${run} was ever accepted`);
    }
    await carryOut(this.deps, accepted, order);
    delivery.ack();
  }

  private async giveToOwnerHere(run: string, event: RunEvent, delivery: Delivery): Promise<boolean> {
    const owner = this.activations.owners.get(run);
    if (owner === undefined) return false;
    if (owner.fold.protocol.inbox.includes(delivery.seq)) delivery.ack();
    else if (await owner.enqueue(event)) {
      this.deps.faults.hit('inbox.journalled');
      delivery.ack();
    } else delivery.nak(AGAIN_MS);
    return true;
  }

  /** What the journal says of the message. Only entry 0 is read the first time; afterwards the whole run is folded. */
  private async inJournal(
    run: string,
    seq: number,
    whole: boolean,
  ): Promise<'unknown run' | 'settled' | RunEventOf<'accepted'>> {
    const entry = await this.deps.journal.entry(run, 0);
    const accepted = entry?.events.find((event) => event.type === 'accepted');
    if (accepted === undefined) return 'unknown run';
    if (whole) {
      const fold = await this.deps.journal.load(run);
      if (fold !== null && (fold.ended || fold.protocol.inbox.includes(seq))) return 'settled';
    }
    return accepted;
  }

  /** Nobody owns the run, or who ended it died before its result was stored. */
  private async end(run: string, order: RunEvent): Promise<void> {
    const accepted = (await this.deps.journal.mustHave(run, 0)).events.find((event) => event.type === 'accepted');
    if (accepted === undefined) return;
    const { bus, subjects } = this.deps;
    const subject = activationSubject(this.deps, accepted);
    const queued = await bus.last(streamsOf(subjects).queue.name, subject, { authoritative: true });
    if (queued !== null) await this.activations.end(run, order, queued);
  }

  private async callForOwner(accepted: RunEventOf<'accepted'>, event: RunEvent, delivery: Delivery): Promise<void> {
    const { bus, subjects } = this.deps;
    const { run } = accepted;
    if (await publishActivation(this.deps, accepted, { carry: [delivery.seq] })) {
      this.deps.faults.hit('inbox.activated');
      return delivery.nak(AGAIN_MS);
    }
    // The queue refuses a second activation: the run is queued already, or some node owns it.
    try {
      const offer = JSON.stringify({
        subject: delivery.subject,
        seq: delivery.seq,
        at: delivery.at,
        data: delivery.data,
      });
      await bus.request(subjects.offer(run), offer, { timeoutMs: OFFER_TIMEOUT_MS });
      delivery.ack();
    } catch {
      if (delivery.deliveries > 1) await this.removeSpent(run, activationSubject(this.deps, accepted));
      if (delivery.deliveries > PATIENCE && endsRun(event)) await this.end(run, event);
      delivery.nak(AGAIN_MS);
    }
  }

  /**
   * A server that was killed brings back messages that were acked shortly before, and hands them to nobody (nats-server
   * 2.9). An activation that the journal names as spent would then bar the next one for ever.
   */
  private async removeSpent(run: string, subject: string): Promise<void> {
    const { bus, journal, subjects } = this.deps;
    const fold = await journal.load(run);
    fold?.stop();
    const parked = fold?.protocol.released === true ? fold.protocol.parked : null;
    if (parked === null) return;
    const stream = streamsOf(subjects).queue.name;
    const queued = await bus.last(stream, subject, { authoritative: true });
    if (queued === null || queued.seq > parked.seq) return;
    if (!(await removeMessage(this.deps, stream, queued))) return;
    this.deps.log.warn('activation.came_back', { run_id: run, seq: queued.seq, consequence: 'it is removed again' });
  }

  private async toDeadLetters(delivery: Delivery, code: string, message: string): Promise<void> {
    await bury(this.deps, 'inbox', `${delivery.created}-${delivery.seq}`, delivery, {
      code,
      message,
      retryable: false,
    });
    this.deps.log.warn('inbox.dead_letter', { subject: delivery.subject.slice(0, 300), code, message });
    delivery.ack();
  }

  /** Answers offers of other nodes for runs that this node owns; silent for all others. */
  serveOffers(): Subscription {
    const { bus, subjects } = this.deps;
    return bus.serve(`${subjects.prefix}.offer.*`, async (request) => {
      const run = request.subject.split('.').at(-1) ?? '';
      const owner = this.activations.owners.get(run);
      if (owner === undefined) return null;
      const offered = JSON.parse(request.data) as { subject: string; seq: number; at: number; data: string };
      if (owner.fold.protocol.inbox.includes(offered.seq)) return 'journalled';
      const read = await judgedInboxEvent(this.deps, {
        ...offered,
        headers: {},
        bytes: () => new TextEncoder().encode(offered.data),
      });
      if (read.event === undefined || read.address?.run !== run) return null;
      // Whoever offers it looks at the journal again, and keeps it in the audit.
      if (read.event.type === 'approval_decided' && notTaken(owner.fold.context, read.event) !== null) return null;
      if (!(await owner.enqueue(read.event))) return null;
      this.deps.faults.hit('inbox.journalled');
      return 'journalled';
    });
  }
}
