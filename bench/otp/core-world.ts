import { toAppError } from '../../src/core/errors.ts';
import { decide } from '../../supervisors/core.ts';
import { type ExitReason, exitOf, failureOf, IGNORE, reasonText } from '../../supervisors/exit-reason.ts';
import type { Reply, Request } from '../../supervisors/requests.ts';
import type { Ref } from '../../supervisors/spec-types.ts';
import {
  type Command,
  dueAt,
  type Input,
  initialState,
  recordById,
  type SupervisorState,
} from '../../supervisors/state.ts';
import { readSupervisorSpec } from '../../supervisors/supervisor-spec.ts';
import type { Fixture, FixtureChild, FixtureTree } from './fixture.ts';
import { split } from './fixture.ts';
import { Recorder } from './recorder.ts';
import { type Opened, SimulatedChildren } from './simulated-children.ts';
import { MOST_RETRIES, type StartResult, type World } from './world.ts';

/** The decision core alone: children are entries in a table that do what their scripts say when commands ask it. */

interface Supervisor {
  state: SupervisorState;
  /** Present while suspended: what came meanwhile. */
  held: Input[] | null;
  parent: { name: string; ref: Ref } | null;
}

interface Timer {
  at: number;
  action: () => void;
}

const START = 1_000_000;

export class CoreWorld implements World {
  readonly recorder: Recorder;
  private time = START;
  private readonly fixture: Fixture;
  private readonly seed: number;
  private readonly supervisors = new Map<string, Supervisor>();
  private readonly children: SimulatedChildren;
  private readonly byRun = new Map<unknown, FixtureChild>();
  private readonly inputs = new Map<string, unknown>();
  private readonly queue: { to: string; input: Input }[] = [];
  private readonly timers = new Set<Timer>();
  private readonly replies = new Map<number, (reply: Reply) => void>();
  private result: StartResult | null = null;
  private calls = 0;

  constructor(fixture: Fixture, seed: number) {
    this.fixture = fixture;
    this.seed = seed;
    this.recorder = new Recorder(() => this.time);
    this.children = new SimulatedChildren(this.recorder, {
      feed: (to, input) => this.feed(to, input),
      give: (to, input) => this.give(to, input),
      open: (name, init, parent) => this.open(name, init, parent),
      after: (ms, action) => this.after(ms, action),
      isEnded: (name) => (this.supervisors.get(name)?.state.ended ?? null) !== null,
    });
  }

  now(): number {
    return this.time;
  }

  start(): void {
    const fault = this.open('top', this.treeOf(this.fixture.top), null);
    if (fault === 'ignore') this.result = { type: 'ignore' };
    else if (fault !== null) this.result = fault;
  }

  startResult(): StartResult | null {
    return this.result;
  }

  trySpec(spec: unknown): Promise<StartResult> {
    try {
      readSupervisorSpec(spec);
      return Promise.resolve({ type: 'ok' });
    } catch (error) {
      return Promise.resolve(errorResult(error));
    }
  }

  /** Reads the spec and begins the start; a start that fails at once is told. */
  private open(name: string, given: unknown, parent: Supervisor['parent']): Opened {
    try {
      const input: unknown = typeof given === 'function' ? given() : given;
      if (exitOf(input) === 'ignore') return 'ignore';
      const state = initialState(readSupervisorSpec(input), name, parent?.name ?? 'parent', this.seed);
      this.supervisors.set(name, { state, held: null, parent });
      this.feed(name, { type: 'start' });
      return null;
    } catch (error) {
      return errorResult(error);
    }
  }

  stop(from: string, reason: ExitReason): void {
    this.feed('top', { type: 'stop', from, reason });
  }

  kill(): void {
    this.feed('top', { type: 'kill' });
  }

  die(name: string, reason: ExitReason): void {
    const ref = this.recorder.refOf(name);
    if (ref === null) throw new Error(`${name} is not running`);
    this.children.die(ref, reason);
  }

  exitAgain(name: string, incarnation: number, reason: ExitReason): void {
    this.children.exitAgain(this.incarnation(name, incarnation), reason);
  }

  speak(name: string, incarnation: number): void {
    this.children.speak(this.incarnation(name, incarnation));
  }

  private incarnation(name: string, number: number): Ref {
    const ref = this.recorder.incarnation(name, number);
    if (ref === null) throw new Error(`${name} has had no incarnation ${number}`);
    return ref;
  }

  detach(): void {
    // The exits of simulated children are always told: that is what a monitor is for.
  }

  send(at: string, id: string): void {
    this.feed(this.nameAt(at), { type: 'message', id, message: 'hello' });
  }

  call(at: string, request: Request, replied: (reply: Reply) => void): void {
    this.calls += 1;
    this.replies.set(this.calls, replied);
    this.feed(this.nameAt(at), { type: 'call', call: { call: this.calls, request } });
  }

  specOf(child: FixtureChild): unknown {
    const run = child.nested === null ? (): object => ({}) : child.init(this.treeOf(child.nested));
    this.byRun.set(run, child);
    return { ...child.fields, ...(child.nested === null ? { start: run } : { supervisor: run }) };
  }

  treeOf(tree: FixtureTree): () => unknown {
    return () => {
      const [word, inside] = split(tree.init ?? '');
      if (word === 'ignore') return IGNORE;
      if (word === 'garbage') return 'garbage';
      if (word === 'throw') throw toAppError(inside ?? 'error', inside);
      return { ...tree.fields, children: tree.children.map((child) => this.specOf(child)) };
    };
  }

  suspend(at: string): void {
    const supervisor = this.supervisors.get(this.nameAt(at));
    if (supervisor !== undefined) supervisor.held ??= [];
  }

  resume(at: string): void {
    const name = this.nameAt(at);
    const supervisor = this.supervisors.get(name);
    const held = supervisor?.held ?? [];
    if (supervisor !== undefined) supervisor.held = null;
    for (const input of held) this.feed(name, input);
  }

  rest(retries: number): Promise<void> {
    this.settle(retries);
    return Promise.resolve();
  }

  advance(ms: number, retries: number): Promise<void> {
    const end = this.time + ms;
    this.settle(retries);
    for (let next = this.nextTime(); next !== null && next <= end; next = this.nextTime()) {
      this.time = Math.max(this.time, next);
      for (const timer of [...this.timers]) {
        if (timer.at > this.time) continue;
        this.timers.delete(timer);
        timer.action();
        this.drain();
      }
      this.settle(retries);
    }
    this.time = end;
    return Promise.resolve();
  }

  lastInput(name: string): unknown {
    return this.inputs.get(name);
  }

  keepsStart(at: string, id: string): boolean | null {
    const state = this.supervisors.get(this.nameAt(at))?.state;
    const record = state === undefined ? undefined : recordById(state, id);
    return record === undefined ? null : record.spec.run !== null || record.spec.input !== undefined;
  }

  audit(): string | null {
    const shown = this.recorder.up();
    const real = this.children.alive();
    const nested = new Set(this.supervisors.keys());
    const wrong = shown.filter((ref) => !nested.has(ref) && !real.includes(ref));
    return wrong.length === 0 ? null : `the log shows ${wrong.join(', ')} as running, which are not`;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  private nameAt(at: string): string {
    return at === 'top' ? 'top' : (this.recorder.refOf(at) ?? at);
  }

  private feed(to: string, input: Input): void {
    this.queue.push({ to, input });
  }

  private drain(): void {
    for (let next = this.queue.shift(); next !== undefined; next = this.queue.shift()) this.give(next.to, next.input);
  }

  private give(to: string, input: Input): void {
    const supervisor = this.supervisors.get(to);
    if (supervisor === undefined) return;
    if (supervisor.held !== null && input.type !== 'kill') {
      supervisor.held.push(input);
      return;
    }
    this.recorder.input(input);
    const { state, commands, reports } = decide(supervisor.state, input, this.time);
    supervisor.state = state;
    for (const report of reports) this.recorder.report(report);
    for (const command of commands) this.carryOut(to, supervisor, command);
  }

  private settle(retries: number): void {
    this.drain();
    for (let left = retries; left > 0; left--) {
      if (!this.tickDue()) return;
      this.drain();
      if (left === 1 && retries >= MOST_RETRIES) throw new Error('the case does not come to rest');
    }
  }

  private tickDue(): boolean {
    for (const [name, { state, held }] of this.supervisors) {
      const due = held === null ? dueAt(state) : null;
      if (due === null || due > this.time) continue;
      this.feed(name, { type: 'tick' });
      return true;
    }
    return false;
  }

  private nextTime(): number | null {
    const times = [...this.timers].map((timer) => timer.at);
    for (const { state, held } of this.supervisors.values()) {
      const due = held === null ? dueAt(state) : null;
      if (due !== null && due > this.time) times.push(due);
    }
    return times.length === 0 ? null : Math.min(...times);
  }

  private after(ms: number, action: () => void): void {
    this.timers.add({ at: this.time + ms, action });
  }

  private carryOut(to: string, supervisor: Supervisor, command: Command): void {
    this.recorder.command(command);
    switch (command.type) {
      case 'start':
        this.startChild(to, command);
        break;
      case 'shutdown':
        this.children.shutdown(to, command.ref);
        break;
      case 'kill':
        this.children.kill(to, command.ref);
        break;
      case 'reply':
        this.replies.get(command.call)?.(command.reply);
        break;
      case 'up':
        this.tellParent(supervisor, (ref) => ({ type: 'started', ref }));
        if (supervisor.parent === null) this.result = { type: 'ok' };
        break;
      case 'init_failed':
        this.tellParent(supervisor, (ref) => ({ type: 'start_failed', ref, reason: command.reason }));
        if (supervisor.parent === null) {
          this.result = { type: 'error', code: reasonText(command.reason), message: reasonText(command.reason) };
        }
        break;
      case 'ended':
        this.tellParent(supervisor, (ref) => ({ type: 'exited', ref, reason: command.reason }));
        if (supervisor.parent === null) this.recorder.topEnded(reasonText(command.reason));
        break;
      default:
    }
  }

  private startChild(to: string, command: Command & { type: 'start' }): void {
    const { run } = command;
    const key = run.kind === 'resource' ? run.start : run.kind === 'supervisor' ? run.supervisor : null;
    const child = this.byRun.get(key) ?? null;
    if (child !== null) {
      this.recorder.starting(command.ref, child.name, child.nested !== null);
      this.inputs.set(child.name, command.input);
    }
    this.children.start(to, command, child);
  }

  private tellParent({ parent }: Supervisor, input: (ref: Ref) => Input): void {
    if (parent !== null) this.children.said(parent.ref, input(parent.ref));
  }
}

function errorResult(error: unknown): StartResult & { type: 'error' } {
  const reason = failureOf(error);
  const message = reason.type === 'error' ? reason.error.message : reasonText(reason);
  return { type: 'error', code: reasonText(reason), message };
}
