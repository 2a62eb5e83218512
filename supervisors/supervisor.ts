import { type Actor, createActor, type InspectionEvent } from 'xstate';
import { AppError, fromInfo } from '../src/core/errors.ts';
import { type Decision, decide } from './core.ts';
import { type ExitReason, exitOf, failureOf, NORMAL, reasonText, SHUTDOWN } from './exit-reason.ts';
import { Alarm } from './host/alarm.ts';
import { Children } from './host/children.ts';
import { Inbox } from './host/inbox.ts';
import type { Incarnation, TreeEnv, Voice } from './host/incarnation.ts';
import { supervisorMachine } from './host/machine.ts';
import { envOf, harmless, type SupervisorOptions } from './host/options.ts';
import { hash } from './partition.ts';
import type { Reply, Request } from './requests.ts';
import type { Ref, SupervisorInit, SupervisorInput } from './spec-types.ts';
import { type Command, dueAt, type Input, initialState, phaseOf, recordById, type SupervisorState } from './state.ts';
import { readSupervisorSpec } from './supervisor-spec.ts';
import { type SupervisorTree, type TreeWindow, treeOf } from './tree.ts';

/**
 * A supervisor that runs: an XState actor whose chart asks the decision core, and this host that carries out what is
 * decided on children. One child record is one root actor, resource or supervisor per incarnation, kept in our own map:
 * `spawnChild` copies the map of all children for each of them.
 */

/** Whose stop signals a supervisor at the top obeys. */
const PARENT = 'parent';

type StartOutcome = { type: 'up' } | { type: 'ignored' } | { type: 'failed'; reason: ExitReason };

/** How a supervisor's own parent hears it. */
interface Listener {
  started(outcome: StartOutcome): void;
  ended(reason: ExitReason): void;
}

export class Supervisor {
  readonly name: string;
  /** Resolves when the supervisor has ended, whatever ended it, with the reason; also when it did not come up. */
  readonly whenEnded: Promise<ExitReason>;
  private readonly init: unknown;
  private readonly parent: string;
  private readonly env: TreeEnv;
  private readonly seed: number;
  private readonly listener: Listener;
  private readonly children: Children;
  /** Children that are supervisors. */
  private readonly below = new Map<Ref, Supervisor>();
  private readonly replies = new Map<number, (reply: Reply) => void>();
  private readonly inbox: Inbox;
  private readonly alarm: Alarm;
  private readonly decided: Decision[] = [];
  private machine: Actor<typeof supervisorMachine> | null = null;
  /** The state of one that decides without an actor. */
  private bare: SupervisorState | null = null;
  /** Who watches one that has an actor only because of them. */
  private guests = 0;
  private over = false;
  /** What the parent is told once the ends of all children have been dealt with. */
  private lastWord: (() => void) | null = null;
  private calls = 0;
  private outcome: ((outcome: StartOutcome) => void) | null = null;

  /** @param init the specification, or a function that gives it; read when the supervisor is started */
  constructor(init: SupervisorInput | SupervisorInit, options: SupervisorOptions);
  constructor(init: unknown, options: SupervisorOptions, nested?: { parent: string; env: TreeEnv; listener: Listener });
  constructor(
    init: unknown,
    options: SupervisorOptions,
    nested?: { parent: string; env: TreeEnv; listener: Listener },
  ) {
    this.init = init;
    this.name = options.name ?? 'root';
    this.parent = nested?.parent ?? PARENT;
    this.seed = options.seed ?? 0;
    this.env = nested?.env ?? envOf(options);
    this.inbox = new Inbox((input) => this.deal(input));
    this.alarm = new Alarm(this.env.clock, () => this.hear({ type: 'tick' }));
    this.children = new Children(
      this.env,
      (input) => this.hear(input),
      (nestedInit, ref, voice) => this.nest(nestedInit, ref, voice),
    );
    let ended: (reason: ExitReason) => void = () => undefined;
    this.whenEnded = new Promise((resolve) => {
      ended = resolve;
    });
    this.listener = {
      started: (outcome) => {
        this.outcome?.(outcome);
        if (outcome.type === 'failed') ended(outcome.reason);
        else if (outcome.type === 'ignored') ended(NORMAL);
        nested?.listener.started(outcome);
      },
      ended: (reason) => {
        ended(reason);
        nested?.listener.ended(reason);
      },
    };
  }

  /** The actor, for watching; null before the start, and of a supervisor without one (`actor: false`). */
  get actor(): Actor<typeof supervisorMachine> | null {
    return this.machine;
  }

  /**
   * Resolves when all children are up, with `ignored` when the init function did not want to run.
   * @throws AppError `bad_supervisor_spec`, `bad_child_spec`, `duplicate_child_id`, what the init function threw, or
   * `failed_to_start` when a child did not start; then those before it have been stopped
   */
  async start(): Promise<'up' | 'ignored'> {
    const outcome = await new Promise<StartOutcome>((resolve) => {
      this.outcome = resolve;
      this.open();
    });
    if (outcome.type !== 'failed') return outcome.type;
    const { reason } = outcome;
    if (reason.type === 'error') throw fromInfo(reason.error);
    const behind = reason.type === 'shutdown' && reason.error !== undefined ? `: ${reason.error.message}` : '';
    throw new AppError('failed_to_start', `${reasonText(reason)}${behind}`);
  }

  /** Stops the children in reverse start order, then ends with `reason`. Resolves when that is done. */
  stop(reason: ExitReason = SHUTDOWN): Promise<ExitReason> {
    if (this.state === null) {
      this.over = true;
      this.listener.ended(reason);
    } else this.signal(PARENT, reason);
    return this.whenEnded;
  }

  /** A stop signal from `from`; only the parent's is obeyed. */
  signal(from: string, reason: ExitReason): void {
    this.hear({ type: 'stop', from, reason });
  }

  /** Ends at once, and all children with it, without asking them. */
  kill(): void {
    this.hear({ type: 'kill' });
  }

  /** One of OTP's calls; answered in the order they came. */
  call(request: Request): Promise<Reply> {
    return new Promise((resolve) => {
      if (this.over || this.state === null) {
        resolve({ ok: false, error: 'stopping' });
        return;
      }
      this.calls += 1;
      this.replies.set(this.calls, resolve);
      this.hear({ type: 'call', call: { call: this.calls, request } });
    });
  }

  /** A message to a running child by its id or ref; dropped, and reported so, while the child is not running. */
  send(id: string, message: unknown): void {
    this.hear({ type: 'message', id, message });
  }

  /** The supervisor that the child with that id, or ref, is; null when none runs. */
  nested(id: string): Supervisor | null {
    const found = this.below.get(id);
    if (found !== undefined || this.state === null) return found ?? null;
    return this.below.get(recordById(this.state, id)?.ref ?? '') ?? null;
  }

  /** The state of the decision core; null before the start. */
  get state(): SupervisorState | null {
    return this.machine?.getSnapshot().context.core ?? this.bare;
  }

  /** This supervisor and everything below it, as data; null before the start. */
  tree(window?: TreeWindow): SupervisorTree | null {
    const { state } = this;
    if (state === null) return null;
    return treeOf(state, this.env.clock.now(), (ref) => this.children.tree(ref, window), window);
  }

  /**
   * XState's inspection events of this supervisor alone, until the function returned is called; before the start none. One
   * that decides without an actor has one for as long as it is watched. What the observer throws is dropped.
   */
  inspect(observer: (event: InspectionEvent) => void): () => void {
    if (this.bare !== null) {
      const core = this.bare;
      this.bare = null;
      const snapshot = supervisorMachine.resolveState({ value: phaseOf(core), context: { core } });
      this.machine = this.hosted(createActor(supervisorMachine, { snapshot, input: { core }, id: this.name }));
      this.guests = 1;
    } else if (this.guests > 0) this.guests++;
    const watching = this.machine?.system.inspect(harmless(observer));
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      watching?.unsubscribe();
      if (this.guests === 0 || --this.guests > 0 || this.over) return;
      // What it knows is kept: the actor is over, the supervisor is not.
      const { state, machine } = this;
      this.bare = state;
      this.machine = null;
      machine?.stop();
    };
  }

  /** Until `resume` everything that comes waits, as in OTP's `sys:suspend`. */
  suspend(): void {
    this.inbox.suspend();
  }

  resume(): void {
    this.inbox.resume();
  }

  private open(): void {
    try {
      if (this.over || this.state !== null) throw new AppError('started_before', 'a supervisor is started once only');
      const input: unknown = typeof this.init === 'function' ? this.init() : this.init;
      if (exitOf(input) === 'ignore') {
        this.listener.started({ type: 'ignored' });
        return;
      }
      const core = initialState(readSupervisorSpec(input), this.name, this.parent, this.seed);
      if (!core.flags.actor && this.env.inspect === null) {
        this.bare = core;
        this.hear({ type: 'start' });
        return;
      }
      const { inspect } = this.env;
      const machine = createActor(supervisorMachine, {
        input: { core },
        id: this.name,
        ...(inspect === null ? {} : { inspect }),
      });
      this.machine = this.hosted(machine);
    } catch (error) {
      this.listener.started({ type: 'failed', reason: failureOf(error) });
      return;
    }
    this.hear({ type: 'start' });
  }

  private hosted(machine: Actor<typeof supervisorMachine>): Actor<typeof supervisorMachine> {
    machine.on('decided', ({ decision }) => this.decided.push(decision));
    machine.subscribe({ error: (error) => this.crashed(error) });
    return machine.start();
  }

  private hear(input: Input): void {
    this.inbox.put(input);
    if (this.inbox.isDealing) return;
    const { lastWord } = this;
    this.lastWord = null;
    lastWord?.();
  }

  private deal(input: Input): void {
    this.env.observe(this.name, input);
    const now = this.env.clock.now();
    if (!this.over && this.bare !== null) {
      const decision = decide(this.bare, input, now);
      this.bare = decision.state;
      this.carryOut(decision);
    } else if (!this.over) {
      this.machine?.send({ ...input, now });
      // Carried out after the step, not inside its action: a child's code must not run within a transition of ours.
      for (let next = this.decided.shift(); next !== undefined; next = this.decided.shift()) this.carryOut(next);
    } else if (this.state !== null) {
      // The actor has ended; what is left to say about a late word is a report.
      for (const report of decide(this.state, input, now).reports) this.env.onReport(report);
    }
  }

  private carryOut({ state, commands, reports }: Decision): void {
    for (const report of reports) this.env.onReport(report);
    for (const command of commands) this.perform(command);
    this.alarm.set(dueAt(state));
  }

  private perform(command: Command): void {
    this.env.observe(this.name, command);
    switch (command.type) {
      case 'start':
        this.children.start(command);
        break;
      case 'shutdown':
        this.children.shutdown(command.ref);
        break;
      case 'kill':
        this.children.kill(command.ref);
        break;
      case 'deliver':
        this.children.deliver(command.ref, command.message);
        break;
      case 'reply':
        this.replies.get(command.call)?.(command.reply);
        this.replies.delete(command.call);
        break;
      case 'up':
        this.listener.started({ type: 'up' });
        break;
      case 'init_failed':
        this.over = true;
        this.lastWord = () => this.listener.started({ type: 'failed', reason: command.reason });
        break;
      case 'ended':
        this.over = true;
        this.lastWord = () => this.listener.ended(command.reason);
        break;
      default:
    }
  }

  private nest(init: unknown, ref: Ref, voice: Voice): Incarnation {
    let silent = false;
    const listener: Listener = {
      started: (outcome) => {
        if (outcome.type !== 'up') this.below.delete(ref);
        if (silent) return;
        if (outcome.type === 'up') voice.started();
        else if (outcome.type === 'ignored') voice.ignored();
        else voice.failed(outcome.reason);
      },
      ended: (reason) => {
        this.below.delete(ref);
        if (!silent) voice.exited(reason);
      },
    };
    // A seed of its own: siblings that fail together must not come back together.
    const options = { clock: this.env.clock, name: ref, seed: (this.seed + hash(ref)) | 0 };
    const supervisor = new Supervisor(init, options, { parent: this.name, env: this.env, listener });
    this.below.set(ref, supervisor);
    supervisor.open();
    return {
      shutdown: () => supervisor.signal(this.name, SHUTDOWN),
      kill: () => {
        silent = true;
        supervisor.kill();
      },
      deliver: () => undefined,
      tree: (window) => supervisor.tree(window),
    };
  }

  /** The supervisor itself is at fault: its children go with it, and its parent hears of it. */
  private crashed(error: unknown): void {
    if (this.over) return;
    this.over = true;
    this.alarm.set(null);
    this.children.killAll();
    for (const reply of this.replies.values()) reply({ ok: false, error: 'stopping' });
    const reason = failureOf(error, 'supervisor_crashed');
    if (this.state?.started === true) this.listener.ended(reason);
    else this.listener.started({ type: 'failed', reason });
  }
}
