import fc from 'fast-check';
import { decide } from '../../supervisors/core.ts';
import { type ExitReason, failure, KILLED, NORMAL, SHUTDOWN, shutdownWith } from '../../supervisors/exit-reason.ts';
import type { Request } from '../../supervisors/requests.ts';
import type { Ref, SupervisorInput } from '../../supervisors/spec-types.ts';
import { type Command, dueAt, type Input, initialState, type SupervisorState } from '../../supervisors/state.ts';
import { readSupervisorSpec } from '../../supervisors/supervisor-spec.ts';

/** A supervisor that lives through random events: children that come up or not, die, obey or hang, and calls at any time. */

export interface Start {
  ref: Ref;
  slot: number;
}

export class RandomLife {
  state: SupervisorState;
  now = 1_000_000;
  readonly starts: Start[] = [];
  /** When the supervisor set about restarting something of its own accord. */
  readonly attempts: number[] = [];
  /** The slots of those that were asked to end, or killed, because the supervisor ends; in that order. */
  readonly lastStops: number[] = [];
  readonly starting = new Set<Ref>();
  readonly up = new Set<Ref>();
  /** Asked to end, and not ended. */
  readonly asked = new Set<Ref>();
  readonly ends = new Map<Ref, number>();
  readonly faults: string[] = [];
  readonly replies = new Map<number, number>();
  calls = 0;
  ended = false;
  private readonly all: Ref[] = [];

  constructor(spec: SupervisorInput) {
    this.state = initialState(readSupervisorSpec(spec), 's', 'parent', 7);
  }

  input(input: Input): void {
    const before = JSON.stringify(this.state.children.values());
    const previous = this.state;
    const { state, commands, reports } = decide(previous, input, this.now);
    const again = decide(previous, input, this.now);
    if (JSON.stringify(again.commands) !== JSON.stringify(commands)) this.faults.push('not the same twice');
    if (JSON.stringify(previous.children.values()) !== before) this.faults.push('an earlier state was changed');
    if (reports.some((report) => report.at !== this.now)) this.faults.push('a report of another time');
    const { work } = state;
    const restarting = work?.purpose.type === 'restart' && work.steps.some((step) => step.do === 'start');
    if (restarting && work.steps !== previous.work?.steps) this.attempts.push(this.now);
    this.state = state;
    for (const command of commands) this.carryOut(command);
  }

  /** The initial children come up. */
  comeUp(): void {
    for (let [ref] = this.starting; ref !== undefined; [ref] = this.starting) {
      this.starting.delete(ref);
      this.up.add(ref);
      this.input({ type: 'started', ref });
    }
  }

  /** What one random number makes happen. */
  move(kind: number, n: number): void {
    if (kind < 4) this.answerStart(n);
    else if (kind < 7) this.dies(n);
    else if (kind < 9) this.endsAsAsked(n);
    else if (kind < 11) this.call(n);
    else if (kind < 13) this.time(n);
    else this.nonsense(n);
  }

  /** The parent says stop and everything obeys: the supervisor has to end. */
  finish(): void {
    this.input({ type: 'stop', from: 'parent', reason: SHUTDOWN });
    for (let round = 0; round < 500 && !this.ended; round++) {
      for (const ref of [...this.starting]) this.failed(ref);
      for (const ref of [...this.asked]) this.gone(ref, SHUTDOWN);
      this.passTime(dueAt(this.state) ?? this.now);
    }
  }

  private carryOut(command: Command): void {
    switch (command.type) {
      case 'start': {
        if (this.all.includes(command.ref)) this.faults.push(`${command.ref} is started twice`);
        this.all.push(command.ref);
        const slot = slotOf(command.ref);
        this.starts.push({ ref: command.ref, slot });
        if ([...this.up, ...this.asked].some((ref) => slotOf(ref) === slot)) {
          this.faults.push(`two incarnations in slot ${slot}`);
        }
        this.starting.add(command.ref);
        break;
      }
      case 'shutdown':
        if (!this.up.delete(command.ref)) this.faults.push(`${command.ref} is asked to end, which is not up`);
        this.asked.add(command.ref);
        this.noteStop(command.ref);
        break;
      case 'kill': {
        const { ref } = command;
        if (this.up.has(ref)) this.noteStop(ref);
        if (this.starting.delete(ref)) this.count(ref);
        else this.gone(ref, KILLED);
        break;
      }
      case 'reply':
        this.replies.set(command.call, (this.replies.get(command.call) ?? 0) + 1);
        break;
      case 'ended':
      case 'init_failed':
        if (this.ended) this.faults.push('ended twice');
        this.ended = true;
        break;
      default:
    }
  }

  private noteStop(ref: Ref): void {
    const purpose = this.state.work?.purpose.type;
    if (purpose === 'end' || purpose === 'init_failed') this.lastStops.push(slotOf(ref));
  }

  private answerStart(n: number): void {
    const [ref] = this.starting;
    if (ref === undefined) return;
    if (n % 4 === 0) this.failed(ref);
    else {
      this.starting.delete(ref);
      if (n % 11 === 1) {
        this.count(ref);
        this.input({ type: 'ignored', ref });
      } else {
        this.up.add(ref);
        this.input({ type: 'started', ref });
      }
    }
  }

  private failed(ref: Ref): void {
    this.starting.delete(ref);
    this.count(ref);
    this.input({ type: 'start_failed', ref, reason: failure('x') });
  }

  private dies(n: number): void {
    const ref = [...this.up][n % Math.max(1, this.up.size)];
    if (ref !== undefined) this.gone(ref, REASONS[n % REASONS.length] ?? NORMAL);
  }

  private endsAsAsked(n: number): void {
    const ref = [...this.asked][n % Math.max(1, this.asked.size)];
    if (ref !== undefined) this.gone(ref, n % 3 === 0 ? (REASONS[n % REASONS.length] ?? SHUTDOWN) : SHUTDOWN);
  }

  private gone(ref: Ref, reason: ExitReason): void {
    if (!this.up.delete(ref) && !this.asked.delete(ref)) return;
    this.count(ref);
    this.input({ type: 'exited', ref, reason });
  }

  private count(ref: Ref): void {
    this.ends.set(ref, (this.ends.get(ref) ?? 0) + 1);
  }

  private call(n: number): void {
    const id = String(n % 7);
    const ref = this.all[n % Math.max(1, this.all.length)] ?? id;
    const restart = (['permanent', 'transient', 'temporary'] as const)[n % 3] ?? 'permanent';
    const requests: Request[] = [
      { type: 'start_child', spec: { id, start: () => ({}), restart } },
      { type: 'terminate_child', id },
      { type: 'terminate_ref', ref },
      { type: 'restart_child', id },
      { type: 'delete_child', id },
      { type: 'which_children' },
      { type: 'count_children' },
      { type: 'get_childspec', id },
      { type: 'resize', size: n % 9 },
      { type: 'which_partition', key: n },
      { type: 'reload', spec: { intensity: -1 } },
    ];
    const request = requests[n % requests.length];
    if (request === undefined) return;
    this.calls += 1;
    this.input({ type: 'call', call: { call: this.calls, request } });
  }

  private time(n: number): void {
    this.passTime(n % 3 === 0 ? (dueAt(this.state) ?? this.now) : this.now + (n % 700));
  }

  private passTime(to: number): void {
    this.now = Math.max(this.now, to);
    this.input({ type: 'tick' });
  }

  /** Late, unknown and repeated words. */
  private nonsense(n: number): void {
    const ref = this.all[n % Math.max(1, this.all.length)] ?? 'unknown';
    const known = this.up.has(ref) || this.asked.has(ref) || this.starting.has(ref);
    const old = known ? `${ref}9` : ref;
    const inputs: unknown[] = [
      { type: 'exited', ref: old, reason: failure('late') },
      { type: 'started', ref: old },
      { type: 'start_failed', ref: old, reason: NORMAL },
      { type: 'stop', from: 'stranger', reason: SHUTDOWN },
      { type: 'message', id: String(n % 7), message: n },
      { type: 'message' },
      { type: 'exited' },
      { type: 'call', call: { call: -1 } },
      { type: 'start' },
      { type: 'what' },
      null,
      n,
    ];
    this.input(inputs[n % inputs.length] as Input);
  }
}

const REASONS = [NORMAL, SHUTDOWN, shutdownWith('i'), KILLED, failure('x'), failure('y')];

function slotOf(ref: Ref): number {
  return Number(ref.slice(2).split('.')[0]);
}

export const moves = fc.array(fc.tuple(fc.nat(14), fc.nat(10_000)), { maxLength: 150, size: 'max' });

const child = fc.record({
  restart: fc.constantFrom('permanent' as const, 'transient' as const, 'temporary' as const),
  shutdown: fc.constantFrom(0, 100, 1_000, 'infinity' as const, 'brutal_kill' as const),
  backoff: fc.option(fc.constant({ minMs: 50, maxMs: 400, jitter: 0.5 }), { nil: undefined, freq: 3 }),
});

/** Supervisors of every kind, without significant children. */
export const specs: fc.Arbitrary<SupervisorInput> = fc
  .record({
    strategy: fc.constantFrom(
      'one_for_one' as const,
      'one_for_all' as const,
      'rest_for_one' as const,
      'dynamic' as const,
    ),
    intensity: fc.nat(8),
    periodMs: fc.constantFrom(500, 2_000),
    reviveStopped: fc.boolean(),
    children: fc.array(child, { maxLength: 6, size: 'max' }),
  })
  .map(({ children, ...flags }) => ({
    ...flags,
    children:
      flags.strategy === 'dynamic'
        ? []
        : children.map(({ backoff, ...each }, index) => ({
            ...each,
            ...(backoff === undefined ? {} : { backoff }),
            id: String(index),
            start: () => ({}),
          })),
  }));
