import { toAppError } from '../core/errors.ts';
import type { RunEventOf } from '../core/events.ts';
import { laneQueue } from '../core/run-queues.ts';
import { readUnfinished, type StatusEvent } from '../core/status.ts';
import { streamsOf } from '../core/streams.ts';
import { laneOf } from '../core/subjects.ts';
import type { Backlog, StoredMessage } from '../ports/bus.ts';
import { childMessageId } from './delegate.ts';
import type { NodeDeps } from './deps.ts';
import type { RunFold } from './fold.ts';
import { inboxEvent } from './inbox-message.ts';
import { removeMessage } from './remove.ts';
import { activationSubject, publishActivation } from './starting.ts';
import { isOrphan } from './why.ts';

/**
 * Finds runs that nobody will ever move again, and queues them anew. Servers may lose an acknowledged message, or keep
 * it and hand it to nobody (a leader that was lost and came back, nats-server 2.9): the activation of a run, the timer
 * that would wake it, the answer that it waits for. What is done here follows from the journal and changes nothing by
 * itself: whoever takes the new activation claims the run, and a claim makes all other owners' writes void.
 */

/** What is younger may be on its way, milliseconds: longer than it takes until `proctor why` calls a run orphaned. */
const QUIET_MS = 90_000;
/** Last statuses that are read in one go, and runs that are looked at. */
const MOST_READ = 5_000;
const MOST_LOOKED_AT = 500;
const AT_ONCE = 16;
const ASK_MS = 1_000;
/** How long a lane is watched, milliseconds: nobody who gives a run back asks for a longer delay. */
const WATCH_MS = 10_000;
/** Inbox messages that one activation carries. */
const MOST_CARRIED = 64;

/** A run whose activation was handed out and came to nobody, while its lane has something in work. */
interface Suspect {
  accepted: RunEventOf<'accepted'>;
  fold: RunFold;
  queued: StoredMessage;
}

/** What an orphan was found to lack, in words; and what its activation carries. */
interface Finding {
  why: string;
  carry?: number[];
}

export class OrphanSearch {
  private readonly deps: NodeDeps;
  private readonly quietMs: number;
  private readonly lanes = new Map<string, Promise<Backlog | null>>();
  private readonly suspects: Suspect[] = [];
  private readonly madeAnew = new Set<string>();

  /** For one round: what it learns of lanes grows old. */
  constructor(deps: NodeDeps) {
    this.deps = deps;
    this.quietMs = Math.max(QUIET_MS, 3 * deps.settings.lease_ms);
  }

  /** One page of all last statuses, from a sequence on; where the next one begins, and how many runs were queued anew. */
  async page(from: number): Promise<{ next: number; found: number }> {
    const { bus, subjects, clock } = this.deps;
    const runs = new Map<string, StatusEvent | null>();
    let read = 0;
    let next = 1;
    for await (const { data, seq, at } of bus.scan(streamsOf(subjects).events.name, `${subjects.prefix}.evt.>`, {
      fromSequence: from,
    })) {
      // Oldest first: all behind it are as young.
      if (clock.now() - at < this.quietMs) break;
      if (++read > MOST_READ || runs.size >= MOST_LOOKED_AT) {
        next = seq;
        break;
      }
      const status = readUnfinished(data);
      if (status === null) continue;
      runs.set(status.run, status);
      // One that never had an owner has no status of its own; one that has ended may not have told its parent.
      for (const { run, status: stands } of status.members ?? [])
        if (run !== undefined && stands === 'child' && !runs.has(run)) runs.set(run, null);
    }
    let found = 0;
    const all = [...runs];
    for (let i = 0; i < all.length; i += AT_ONCE) {
      const some = all.slice(i, i + AT_ONCE).map(([run, status]) => this.see(run, status));
      found += (await Promise.all(some)).filter(Boolean).length;
    }
    return { next, found: found + (await this.watchLanes()) };
  }

  /** A run that cannot be looked at now is looked at in the next round. */
  private async see(run: string, status: StatusEvent | null): Promise<boolean> {
    try {
      return await this.look(run, status);
    } catch (thrown) {
      const { code, message } = toAppError(thrown);
      if (code !== 'closed') this.deps.log.debug('orphan.not_seen', { run_id: run, code, message });
      return false;
    }
  }

  /** True when the run was queued anew. */
  private async look(run: string, status: StatusEvent | null): Promise<boolean> {
    const { bus, clock, journal, subjects } = this.deps;
    const inbox: StoredMessage[] = [];
    for await (const message of bus.scan(streamsOf(subjects).inbox.name, subjects.inboxOf(run))) inbox.push(message);
    const late = inbox.filter((message) => this.isLate(message));
    if (status !== null && late.length === 0 && waitsAsItShould(status, inbox.length)) return false;

    const accepted = (await journal.entry(run, 0))?.events.find((event) => event.type === 'accepted');
    if (accepted === undefined) return false;
    const queue = streamsOf(subjects).queue.name;
    const subject = activationSubject(this.deps, accepted);
    const queued = await bus.last(queue, subject, { authoritative: true });
    if (queued !== null && !(await this.wasHandedOut(queued, accepted))) return false;
    const fold = await journal.load(run);
    fold?.stop();
    if (fold === null || clock.now() - fold.protocol.at < this.quietMs) return false;
    if (queued !== null) {
      if (await this.isOwned(fold)) return false;
      if ((await this.laneOf(accepted))?.inWork === 0) return this.replace({ accepted, fold, queued });
      this.suspects.push({ accepted, fold, queued });
      return false;
    }
    const finding = await this.lacks(fold, inbox.length, late, status === null ? accepted.parent : undefined);
    if (finding === null || (await this.isOwned(fold))) return false;
    return this.queueAnew(accepted, fold, finding);
  }

  /**
   * Queues those anew whose lanes handed nothing out while nodes asked for it: what was given back, or whose owner died,
   * would have come again. Resolves with how many.
   */
  private async watchLanes(): Promise<number> {
    if (this.suspects.length === 0) return 0;
    const before = new Map(this.lanes);
    await new Promise<void>((resolve) => void this.deps.clock.after(WATCH_MS, resolve));
    this.lanes.clear();
    let found = 0;
    for (const suspect of this.suspects.splice(0)) {
      const was = await before.get(this.specOf(suspect.accepted).name);
      const is = await this.laneOf(suspect.accepted);
      if (was == null || is === null || was.asking === 0 || is.asking === 0 || was.deliveries !== is.deliveries)
        continue;
      if (await this.replace(suspect)) found++;
    }
    return found;
  }

  private async replace({ accepted, fold, queued }: Suspect): Promise<boolean> {
    if (!(await removeMessage(this.deps, streamsOf(this.deps.subjects).queue.name, queued))) return false;
    const why = 'its activation is in the queue, and the queue is past it and hands it to nobody';
    return this.queueAnew(accepted, fold, { why });
  }

  private async queueAnew(accepted: RunEventOf<'accepted'>, fold: RunFold, { why, carry }: Finding): Promise<boolean> {
    const { clock, log } = this.deps;
    if (!(await publishActivation(this.deps, accepted, carry === undefined ? {} : { carry }))) return false;
    log.warn('run.orphaned', {
      run_id: accepted.run,
      user_id: accepted.user,
      agent: accepted.agent.name,
      state: fold.path,
      last_entry: fold.protocol.n,
      silent_ms: clock.now() - fold.protocol.at,
      why,
      consequence: 'it is queued again and goes on from its journal; if this comes often, the servers lose messages',
    });
    return true;
  }

  /** Null when the run lacks nothing. */
  private async lacks(
    fold: RunFold,
    inbox: number,
    late: StoredMessage[],
    parent: RunEventOf<'accepted'>['parent'],
  ): Promise<Finding | null> {
    const { bus, clock, subjects } = this.deps;
    if (fold.ended && parent !== undefined) {
      const told = subjects.inbox({ run: parent.run, kind: 'child', id: childMessageId(parent) });
      // What the parent does not hear although it is there is looked at with the parent.
      if ((await bus.last(streamsOf(subjects).inbox.name, told, { authoritative: true })) !== null) return null;
    }
    if (fold.ended) return { why: 'it has ended, and who was to be told of it was not' };
    const open: number[] = [];
    for (const message of late) {
      if (!fold.protocol.inbox.includes(message.seq)) open.push(message.seq);
      // Its acknowledgement was lost: it bars nothing, and would look like something that wakes the run.
      else await removeMessage(this.deps, streamsOf(subjects).inbox.name, message);
    }
    if (open.length > 0) {
      return { why: `${open.length} messages of its inbox are given to nobody`, carry: open.slice(0, MOST_CARRIED) };
    }
    if (!isOrphan(fold, { activation: false, inbox: inbox > late.length }, clock.now())) return null;
    return {
      why: 'no node owns it, it is not queued, and nothing stored will wake it: its activation or timer is gone',
    };
  }

  /** A message of the inbox that should have been dealt with long ago. */
  private isLate(message: StoredMessage): boolean {
    const { clock, subjects } = this.deps;
    const { event } = inboxEvent(subjects, message);
    const due = event?.type === 'timer' ? Math.max(event.due, message.at) : message.at;
    return clock.now() - due > this.quietMs;
  }

  /** Long ago, to somebody: it waits for no free place. A lane that will never hand it out is made anew. */
  private async wasHandedOut({ seq, at }: StoredMessage, accepted: RunEventOf<'accepted'>): Promise<boolean> {
    if (this.deps.clock.now() - at < this.quietMs) return false;
    const lane = await this.laneOf(accepted);
    if (lane === null) return false;
    if (seq > lane.handedOut && lane.messages === 0) await this.makeAnew(accepted);
    return seq <= lane.handedOut;
  }

  /**
   * A consumer that says that nothing waits while this message lies before it hands out nothing any more. Made anew, it
   * hands out all that is not acked; runs that are at work elsewhere stay there, as their owners are asked.
   */
  private async makeAnew(accepted: RunEventOf<'accepted'>): Promise<void> {
    const { bus, log, settings } = this.deps;
    const spec = this.specOf(accepted);
    if (this.madeAnew.has(spec.name)) return;
    this.madeAnew.add(spec.name);
    await bus.removeQueue(spec.stream, spec.name);
    await bus.ensureQueue({ ...spec, ackWaitMs: settings.lease_ms });
    log.warn('lane.made_anew', {
      stream: spec.stream,
      consumer: spec.name,
      run_id: accepted.run,
      why: 'the server says that nothing waits in it, and a run does: it would hand out nothing any more',
      consequence: 'its runs are handed out again, those that nobody owns go on',
    });
  }

  /** How the lane of a run stands; null when its consumer is gone, which whoever pulls makes again. */
  private laneOf(accepted: RunEventOf<'accepted'>): Promise<Backlog | null> {
    const spec = this.specOf(accepted);
    let asked = this.lanes.get(spec.name);
    if (asked === undefined) {
      asked = this.deps.bus.backlog(spec).catch(() => null);
      this.lanes.set(spec.name, asked);
    }
    return asked;
  }

  private specOf({ agent, task, user }: RunEventOf<'accepted'>) {
    const lane = { agent: agent.name, priority: task.priority, lane: laneOf(user) };
    return laneQueue(this.deps.subjects, lane, 0);
  }

  private async isOwned({ context, protocol }: RunFold): Promise<boolean> {
    const { bus, subjects } = this.deps;
    if (protocol.node === null || protocol.released) return false;
    const asked = bus.request(subjects.node(protocol.node, 'owns'), JSON.stringify({ run: context.run }), {
      timeoutMs: ASK_MS,
    });
    return asked.then(
      ({ data }) => data === 'true',
      () => false,
    );
  }
}

/** Parked, and what will wake it is stored, or only a person can. */
function waitsAsItShould({ node, state, requires, budget }: StatusEvent, inbox: number): boolean {
  if (node !== undefined || state === 'idle.accepted') return false;
  if (inbox > 0) return true;
  return requires !== undefined && requires.kind !== 'approval' && budget?.deadline_at === null;
}
