import { AppError, toAppError } from '../../src/core/errors.ts';
import { type ExitReason, IGNORE, reasonText } from '../../supervisors/exit-reason.ts';
import type { Reply, Request } from '../../supervisors/requests.ts';
import type { Ref, SupervisorInput } from '../../supervisors/spec-types.ts';
import { type Command, type Input, recordById } from '../../supervisors/state.ts';
import { Supervisor } from '../../supervisors/supervisor.ts';
import { type Fixture, type FixtureChild, type FixtureTree, split } from './fixture.ts';
import { type LiveChild, type LiveChildren, liveActor, liveResource } from './live.ts';
import { Recorder } from './recorder.ts';
import { SteppedClock } from './stepped-clock.ts';
import { MOST_RETRIES, type StartResult, type World } from './world.ts';

/** The assembled tree: real supervisors, with children that are XState actors or plain resources, on a simulated clock. */

export type Kind = 'actor' | 'resource';

/** Whether supervisors are actors, or become one when a watcher comes and cease to be one when it goes, at every word. */
export type Life = 'actors' | 'bare' | 'watched';

export class TreeWorld implements World {
  readonly recorder: Recorder;
  private readonly kind: Kind;
  private readonly life: Life;
  private unwatch: (() => void) | null = null;
  private readonly clock = new SteppedClock();
  private readonly top: Supervisor;
  private readonly byRun = new Map<unknown, FixtureChild>();
  private readonly inputs = new Map<string, unknown>();
  private readonly live: LiveChildren = new Map();
  /** Every child that ever ran, for words of those that do not any more. */
  private readonly ever = new Map<Ref, LiveChild>();
  private readonly nestedRefs = new Set<Ref>();
  private result: StartResult | null = null;

  constructor(fixture: Fixture, seed: number, kind: Kind, life: Life) {
    this.kind = kind;
    this.life = life;
    this.recorder = new Recorder(() => this.clock.now());
    this.top = new Supervisor(this.treeOf(fixture.top) as () => SupervisorInput, {
      clock: this.clock,
      name: 'top',
      seed,
      onReport: (report) => this.recorder.report(report),
      observe: (supervisor, event) => this.observe(supervisor, event),
    });
  }

  now(): number {
    return this.clock.now();
  }

  start(): void {
    this.top.start().then(
      (outcome) => {
        this.result = { type: outcome === 'up' ? 'ok' : 'ignore' };
      },
      async (error: unknown) => {
        this.result = startFailed(error, await this.top.whenEnded);
      },
    );
  }

  startResult(): StartResult | null {
    return this.result;
  }

  async trySpec(spec: unknown): Promise<StartResult> {
    const supervisor = new Supervisor(spec as SupervisorInput, { clock: this.clock, name: 'other' });
    try {
      await supervisor.start();
      await supervisor.stop();
      return { type: 'ok' };
    } catch (error) {
      return startFailed(error, await supervisor.whenEnded);
    }
  }

  stop(from: string, reason: ExitReason): void {
    this.top.signal(from, reason);
  }

  kill(): void {
    this.top.kill();
  }

  die(name: string, reason: ExitReason): void {
    const ref = this.recorder.refOf(name);
    const supervisor = ref === null ? null : this.supervisor(ref);
    if (supervisor !== null) {
      if (reason.type === 'killed') supervisor.kill();
      else supervisor.signal(supervisor.state?.parent ?? '', reason);
      return;
    }
    const child = ref === null ? undefined : this.live.get(ref);
    if (ref === null || child === undefined) throw new Error(`${name} is not running`);
    this.recorder.died(ref);
    child.die(reason);
  }

  exitAgain(name: string, incarnation: number, reason: ExitReason): void {
    this.everOf(name, incarnation).die(reason);
  }

  speak(name: string, incarnation: number): void {
    this.everOf(name, incarnation).speak();
  }

  detach(name: string): void {
    const ref = this.recorder.refOf(name);
    if (ref !== null) this.live.get(ref)?.detach();
  }

  send(at: string, id: string): void {
    this.supervisorAt(at)?.send(id, { type: 'hello' });
  }

  call(at: string, request: Request, replied: (reply: Reply) => void): void {
    const supervisor = this.supervisorAt(at);
    if (supervisor === null) throw new Error(`there is no supervisor ${at}`);
    supervisor.call(request).then(replied, () => undefined);
  }

  specOf(child: FixtureChild): unknown {
    if (child.nested !== null) {
      const supervisor = child.init(this.treeOf(child.nested));
      this.byRun.set(supervisor, child);
      return { ...child.fields, supervisor };
    }
    if (this.kind === 'actor') {
      const actor = liveActor(child, this.live);
      this.byRun.set(actor.logic, child);
      return { ...child.fields, ...actor };
    }
    const start = liveResource(child, this.live, this.clock);
    this.byRun.set(start, child);
    return { ...child.fields, start };
  }

  treeOf(tree: FixtureTree): () => unknown {
    return () => {
      const [word, inside] = split(tree.init ?? '');
      if (word === 'ignore') return IGNORE;
      if (word === 'garbage') return 'garbage';
      if (word === 'throw') throw new AppError(inside ?? 'error', inside ?? 'error');
      return {
        actor: this.life === 'actors',
        ...tree.fields,
        children: tree.children.map((child) => this.specOf(child)),
      };
    };
  }

  suspend(at: string): void {
    this.supervisorAt(at)?.suspend();
  }

  resume(at: string): void {
    this.supervisorAt(at)?.resume();
  }

  async rest(retries: number): Promise<void> {
    const all = await this.clock.rest(retries);
    for (const [ref, child] of this.live) this.ever.set(ref, child);
    if (!all && retries >= MOST_RETRIES) throw new Error('the case does not come to rest');
  }

  async advance(ms: number, retries: number): Promise<void> {
    const end = this.clock.now() + ms;
    await this.rest(retries);
    while (await this.clock.moveOn(end)) await this.rest(retries);
  }

  lastInput(name: string): unknown {
    return this.inputs.get(name);
  }

  keepsStart(at: string, id: string): boolean | null {
    const state = this.supervisorAt(at)?.state ?? null;
    const record = state === null ? undefined : recordById(state, id);
    return record === undefined ? null : record.spec.run !== null || record.spec.input !== undefined;
  }

  audit(): string | null {
    const shown = this.recorder.up().filter((ref) => !this.nestedRefs.has(ref));
    const missing = shown.filter((ref) => !this.live.has(ref));
    const surplus = [...this.live.keys()].filter((ref) => !this.recorder.isUp(ref));
    if (missing.length === 0 && surplus.length === 0) return null;
    return `the log and the real children differ: not running ${missing.join(', ')}; running ${surplus.join(', ')}`;
  }

  async close(): Promise<void> {
    this.top.kill();
    await this.clock.rest(MOST_RETRIES);
  }

  private everOf(name: string, incarnation: number): LiveChild {
    const ref = this.recorder.incarnation(name, incarnation);
    const child = ref === null ? undefined : this.ever.get(ref);
    if (child === undefined) throw new Error(`${name} has had no incarnation ${incarnation}`);
    return child;
  }

  private supervisorAt(at: string): Supervisor | null {
    return at === 'top' ? this.top : this.supervisor(this.recorder.refOf(at) ?? at);
  }

  /** The nested supervisor that runs as `ref`. */
  private supervisor(ref: Ref, below = this.top): Supervisor | null {
    const own = below.nested(ref);
    if (own !== null) return own;
    for (const { ref: other } of below.state?.children.values() ?? []) {
      const nested = other === null ? null : below.nested(other);
      const found = nested === null ? null : this.supervisor(ref, nested);
      if (found !== null) return found;
    }
    return null;
  }

  private turnWatch(): void {
    const end = this.unwatch;
    this.unwatch = end === null ? this.top.inspect(() => {}) : null;
    end?.();
  }

  private observe(supervisor: string, event: Input | Command): void {
    if (this.life === 'watched') this.turnWatch();
    if (event.type === 'start' && 'run' in event) {
      const { run, ref, input } = event;
      const key = run.kind === 'actor' ? run.logic : run.kind === 'resource' ? run.start : run.supervisor;
      const child = this.byRun.get(key);
      if (child === undefined) return;
      if (child.nested !== null) {
        child.nextStart();
        this.nestedRefs.add(ref);
      }
      this.inputs.set(child.name, input);
      this.recorder.starting(ref, child.name, child.nested !== null);
      return;
    }
    if (event.type === 'ended' && supervisor === 'top') this.recorder.topEnded(reasonText(event.reason));
    if (isCommand(event)) this.recorder.command(event);
    else this.recorder.input(event);
  }
}

function isCommand(event: Input | Command): event is Command {
  return event.type === 'shutdown' || (event.type === 'kill' && 'ref' in event);
}

function startFailed(error: unknown, reason: ExitReason): StartResult {
  return { type: 'error', code: reasonText(reason), message: toAppError(error).message };
}
