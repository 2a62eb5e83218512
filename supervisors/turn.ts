import { type ExitReason, failure, KILLED } from './exit-reason.ts';
import { type ErrorContext, offenderOf, type Report } from './reports.ts';
import type { Reply } from './requests.ts';
import { Slots } from './slots.ts';
import type { Ref } from './spec-types.ts';
import type { ChildRecord, Command, Input, Purpose, Queued, Step, SupervisorState } from './state.ts';

/** An input as it is queued: its key is given when it is. */
export type Unqueued = Queued extends infer Each ? (Each extends Queued ? Omit<Each, 'key'> : never) : never;

/**
 * One decision being made: the state it has come to, and the commands and reports gathered. The state
 * before stays as it was.
 */
export class Turn {
  state: SupervisorState;
  private isCopy = false;
  readonly now: number;
  readonly commands: Command[] = [];
  readonly reports: Report[] = [];

  constructor(state: SupervisorState, now: number) {
    this.state = state;
    this.now = now;
  }

  patch(change: Partial<SupervisorState>): void {
    // Copied once a turn: nobody else has seen the copy yet.
    if (this.isCopy) Object.assign(this.state, change);
    else this.state = { ...this.state, ...change };
    this.isCopy = true;
  }

  update(record: ChildRecord, change: Partial<ChildRecord>): ChildRecord {
    const next = { ...record, ...change };
    this.patch({ children: this.state.children.set(record.slot, next) });
    return next;
  }

  /** The child is down for good: a dynamic or temporary one is forgotten, of another the spec is kept. */
  settle(record: ChildRecord, resting: boolean): void {
    this.cancelRetry(record);
    if (this.state.flags.strategy === 'dynamic' || record.spec.restart === 'temporary') {
      this.patch({ children: this.state.children.delete(record.slot) });
    } else this.update(record, { status: 'stopped', exit: null, retry: null, resting });
  }

  cancelRetry(record: ChildRecord): void {
    if (record.retry !== null) this.patch({ retries: this.state.retries.delete(record.retry) });
  }

  enqueue(what: Unqueued): void {
    const { inbox, nextKey } = this.state;
    this.patch({ inbox: inbox.set(nextKey, { ...what, key: nextKey }), nextKey: nextKey + 1 });
  }

  begin(purpose: Purpose, steps: readonly Step[]): void {
    this.patch({ work: { purpose, steps, next: 0, waiting: null } });
  }

  command(command: Command): void {
    this.commands.push(command);
  }

  reply(call: number, reply: Reply): void {
    this.command({ type: 'reply', call, reply });
  }

  report(context: ErrorContext, record: ChildRecord, reason: ExitReason, ref: Ref | null = record.ref): void {
    const offender = offenderOf(record.spec, ref);
    this.reports.push({ context, supervisor: this.state.name, reason, offender, at: this.now });
  }

  zombie({ ref, spec, what }: Input & { type: 'spoke' }): void {
    const reason = failure('zombie', `an incarnation that does not count any more: ${what}; it was ignored`);
    const offender = offenderOf(spec, ref);
    this.reports.push({ context: 'zombie', supervisor: this.state.name, reason, offender, at: this.now });
  }

  drop(record: ChildRecord): void {
    this.report(
      'dropped',
      record,
      failure('not_running', `the child ${record.spec.id} is not running; the message is lost`),
    );
  }

  progress(record: ChildRecord): void {
    const started = offenderOf(record.spec, record.ref);
    this.reports.push({ context: 'progress', supervisor: this.state.name, started, at: this.now });
  }

  /** The supervisor is to end with `reason`: static children one by one in reverse start order, dynamic ones together. */
  end(reason: ExitReason): void {
    this.refuseCalls();
    for (const record of this.state.children.values()) {
      if (record.status === 'restarting') this.update(record, { status: 'stopped', retry: null });
    }
    this.patch({ inbox: Slots.empty(), retries: Slots.empty() });
    this.begin({ type: 'end', reason }, this.stopAll());
  }

  /** Steps that stop whatever runs. */
  stopAll(): Step[] {
    const slots = this.state.children.values().flatMap(({ slot, status }) => (status === 'running' ? [slot] : []));
    if (this.state.flags.strategy === 'dynamic') return slots.length === 0 ? [] : [{ do: 'stop', slots }];
    return slots.toReversed().map((slot) => ({ do: 'stop', slots: [slot] }));
  }

  /** The supervisor is killed: its children with it, all at once. */
  kill(): void {
    const { work, started } = this.state;
    if (work !== null && 'call' in work.purpose) this.reply(work.purpose.call, { ok: false, error: 'stopping' });
    if (work?.waiting?.for === 'start') this.command({ type: 'kill', ref: work.waiting.ref });
    for (const { ref, status } of this.state.children.values()) {
      if (ref !== null && (status === 'running' || status === 'stopping')) this.command({ type: 'kill', ref });
    }
    this.over(KILLED);
    this.command(started ? { type: 'ended', reason: KILLED } : { type: 'init_failed', reason: KILLED });
  }

  /** Nothing is left to do. */
  over(reason: ExitReason): void {
    this.refuseCalls();
    this.patch({
      ended: reason,
      work: null,
      children: Slots.empty(),
      inbox: Slots.empty(),
      retries: Slots.empty(),
      stamps: [],
    });
  }

  private refuseCalls(): void {
    for (const queued of this.state.inbox.values()) {
      if (queued.type === 'call') this.reply(queued.call.call, { ok: false, error: 'stopping' });
    }
    this.patch({ waitingCalls: 0 });
  }
}
