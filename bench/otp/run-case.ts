import type { Reply, Request } from '../../supervisors/requests.ts';
import type { ChildInput, SupervisorInput } from '../../supervisors/spec-types.ts';
import type { Case, SimpleStep, Step } from './case-file.ts';
import { CoreWorld } from './core-world.ts';
import { compareEntries, comparePart, compareTexts, compareWord, replyWords, startWords } from './expect.ts';
import { canActor, Fixture, parseReason } from './fixture.ts';
import type { Entry } from './recorder.ts';
import { type Kind, type Life, TreeWorld } from './tree-world.ts';
import { MOST_RETRIES, type StartResult, type World } from './world.ts';

/** Runs one case in a world, and says everything that was not as expected. */

export interface CaseResult {
  /** Expectations that were compared. */
  checks: number;
  faults: string[];
}

async function runCase(one: Case, makeWorld: (fixture: Fixture, seed: number) => World): Promise<CaseResult> {
  let run: CaseRun | null = null;
  try {
    const fixture = new Fixture(one);
    run = new CaseRun(one, fixture, makeWorld(fixture, one.seed ?? 1));
    await run.all();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return { checks: run?.checks ?? 0, faults: [...(run?.faults ?? []), text] };
  } finally {
    await run?.world.close();
  }
  if (run.checks === 0) run.faults.push('the case expects nothing');
  return { checks: run.checks, faults: run.faults };
}

/** In the decision core alone. */
export function runInCore(one: Case): Promise<CaseResult> {
  return runCase(one, (fixture, seed) => new CoreWorld(fixture, seed));
}

/** In the assembled tree, with children of every kind that can do what the case says, and without actors, watched and not. */
export async function runInTree(one: Case): Promise<CaseResult> {
  const total: CaseResult = { checks: 0, faults: [] };
  const kinds = kindsOf(one);
  const worlds = kinds.map((kind) => ({ kind, life: 'actors' as Life, name: `with ${kind}s` }));
  if (kinds.includes('resource')) {
    worlds.push({ kind: 'resource', life: 'bare', name: 'without actors' });
    worlds.push({ kind: 'resource', life: 'watched', name: 'with watchers that come and go' });
  }
  for (const { kind, life, name } of worlds) {
    const { checks, faults } = await runCase(one, (fixture, seed) => new TreeWorld(fixture, seed, kind, life));
    total.checks += checks;
    total.faults.push(...faults.map((fault) => `${name}: ${fault}`));
  }
  return total;
}

function kindsOf(one: Case): Kind[] {
  if (one.as !== undefined) return [one.as];
  const starts = Object.values(one.children).flatMap((child) => child.starts ?? []);
  const steps = one.steps.flatMap((step) => (step.do === 'queue' ? step.steps : [step]));
  const beyondActors =
    starts.some((start) => !canActor(start)) || steps.some((step) => step.do === 'speak' || step.do === 'exit');
  return beyondActors ? ['resource'] : ['actor', 'resource'];
}

/** What a step made known: a call's reply, or the result of a start. */
type Answer = { of: 'call'; reply: Reply | null } | { of: 'start'; result: StartResult | null } | null;

class CaseRun {
  checks = 0;
  readonly faults: string[] = [];
  readonly world: World;
  private readonly one: Case;
  private readonly fixture: Fixture;
  private readonly eventsFrom = { at: 0 };
  private readonly reportsFrom = { at: 0 };
  private readonly fullFrom = { at: 0 };
  private readonly zombiesFrom = { at: 0 };
  private refs = new Map<string, string | null>();
  private began: number;
  private where = '';

  constructor(one: Case, fixture: Fixture, world: World) {
    this.one = one;
    this.fixture = fixture;
    this.world = world;
    this.began = world.now();
  }

  async all(): Promise<void> {
    const { steps } = this.one;
    if (steps[0]?.do !== 'start' && steps[0]?.do !== 'start_supervisor') {
      this.world.start();
      await this.world.rest(MOST_RETRIES);
      for (const cursor of [this.eventsFrom, this.reportsFrom, this.fullFrom, this.zombiesFrom]) {
        cursor.at = this.world.recorder.entries.length;
      }
    }
    for (const [index, step] of steps.entries()) {
      this.where = `step ${index + 1} (${step.do})`;
      await this.step(step);
    }
    this.where = 'after the last step';
    this.check(compareEntries('log', [], this.entriesFrom(this.eventsFrom, 'event'), this.began));
    this.checks -= 1;
  }

  private async step(step: Step): Promise<void> {
    this.refs = new Map([...this.fixture.children.keys()].map((name) => [name, this.refOf(name)]));
    this.began = this.world.now();
    const retries = step.retries ?? MOST_RETRIES;
    const answers: { step: SimpleStep; answer: () => Answer }[] = [];
    let own: () => Answer = () => null;
    if (step.do === 'queue') {
      this.world.suspend(step.at ?? 'top');
      for (const inner of step.steps) {
        answers.push({ step: inner, answer: await this.act(inner) });
        if (inner.do === 'advance') await this.world.advance(inner.ms, 0);
        else await this.world.rest(0);
      }
      this.world.resume(step.at ?? 'top');
    } else own = await this.act(step);
    if (step.do === 'advance') await this.world.advance(step.ms, retries);
    else await this.world.rest(retries);
    for (const { step: inner, answer } of answers) await this.expectations(inner, answer());
    await this.expectations(step, own());
    const audit = this.world.audit();
    if (audit !== null) this.faults.push(`${this.where}: ${audit}`);
  }

  private async act(step: SimpleStep): Promise<() => Answer> {
    const { world } = this;
    switch (step.do) {
      case 'start':
        world.start();
        return () => ({ of: 'start', result: world.startResult() });
      case 'start_supervisor': {
        const result = await world.trySpec(revive(step.spec));
        return () => ({ of: 'start', result });
      }
      case 'stop':
        world.stop(step.from ?? 'parent', parseReason(step.reason ?? 'shutdown'));
        break;
      case 'kill':
        world.kill();
        break;
      case 'die':
        world.die(step.child, parseReason(step.reason));
        break;
      case 'exit':
        world.exitAgain(step.child, step.incarnation, parseReason(step.reason));
        break;
      case 'speak':
        world.speak(step.child, step.incarnation);
        break;
      case 'detach':
        world.detach(step.child);
        break;
      case 'send':
        world.send('top', this.idOf(step.child));
        break;
      case 'start_many':
      case 'terminate_many':
        await this.many(step);
        break;
      case 'advance':
      case 'look':
        break;
      case 'stored': {
        const keeps = world.keepsStart(step.at ?? 'top', this.idOf(step.child));
        const word = keeps === null ? 'not_found' : keeps ? 'kept' : 'nothing';
        if (typeof step.reply === 'string') this.check(compareWord('stored', step.reply, [word]));
        break;
      }
      default:
        return this.ask(step.at ?? 'top', this.requestOf(step));
    }
    return () => null;
  }

  private ask(at: string, request: Request): () => Answer {
    let reply: Reply | null = null;
    this.world.call(at, request, (got) => {
      reply = got;
    });
    return () => ({ of: 'call', reply });
  }

  private async many(step: SimpleStep & { do: 'start_many' | 'terminate_many' }): Promise<void> {
    const at = step.at ?? 'top';
    const { recorder } = this.world;
    const child = this.fixture.child(step.child);
    const refs = recorder.up().filter((ref) => recorder.nameOf(ref) === child.name);
    for (let index = 0; index < step.times; index++) {
      const ref = refs[index] ?? '';
      if (step.do === 'terminate_many') this.ask(at, { type: 'terminate_ref', ref });
      else this.ask(at, { type: 'start_child', spec: this.world.specOf(child) as ChildInput });
      if (index % 500 === 499) await this.world.rest(0);
    }
  }

  private requestOf(step: SimpleStep): Request {
    switch (step.do) {
      case 'start_child':
        return { type: 'start_child', spec: this.world.specOf(this.fixture.child(step.child)) as ChildInput };
      case 'start_spec':
        return { type: 'start_child', spec: revive(step.spec) as ChildInput };
      case 'terminate_child':
      case 'restart_child':
      case 'delete_child':
        return { type: step.do, id: this.idOf(step.child) };
      case 'terminate_ref':
        return { type: 'terminate_ref', ref: this.world.recorder.refOf(step.child) ?? step.child };
      case 'lookup':
        return { type: 'which_child', id: this.idOf(step.child) };
      case 'spec':
        return { type: 'get_childspec', id: this.idOf(step.child) };
      case 'resize':
        return { type: 'resize', size: step.size };
      case 'partition':
        return { type: 'which_partition', key: step.key };
      case 'reload': {
        if (step.setup === undefined) return { type: 'reload', spec: revive(step.spec) as SupervisorInput };
        const tree = this.fixture.reloaded(step.at ?? 'top', step.setup, step.children ?? {});
        const spec = this.world.treeOf(tree) as () => SupervisorInput;
        return { type: 'reload', spec: spec() };
      }
      default:
        throw new Error(`${step.do} is no call`);
    }
  }

  private async expectations(step: Step, answer: Answer): Promise<void> {
    const at = ('at' in step ? step.at : undefined) ?? 'top';
    const { began } = this;
    if (step.log !== undefined) {
      this.check(compareEntries('log', step.log, this.entriesFrom(this.eventsFrom, 'event'), began));
      this.fullFrom.at = this.eventsFrom.at;
    }
    if (step.reports !== undefined) {
      this.check(compareEntries('reports', step.reports, this.entriesFrom(this.reportsFrom, 'report'), began));
    }
    if (step.full !== undefined) {
      this.check(compareEntries('full', step.full, this.entriesFrom(this.fullFrom, null), began));
      this.eventsFrom.at = this.fullFrom.at;
      this.reportsFrom.at = this.fullFrom.at;
    }
    if (step.zombies !== undefined) {
      const entries = this.entriesFrom(this.zombiesFrom, 'zombie');
      const names = entries.map(({ short }) => short.slice('report(zombie,'.length, -1));
      this.check(compareTexts('zombies', step.zombies, names));
    }
    if (step.reply !== undefined && step.do !== 'stored') this.check(checkReply(step.reply, answer));
    for (const [name, expected] of Object.entries(step.refs ?? {})) this.check(this.checkRef(name, expected));
    for (const [name, expected] of Object.entries(step.inputs ?? {})) {
      this.check(comparePart(`input of ${name}`, expected, this.world.lastInput(name)));
    }
    if (step.lastReport !== undefined) {
      this.check(comparePart('last report', step.lastReport, this.world.recorder.lastReport));
    }
    if (step.list !== undefined) this.check(compareTexts('list', step.list, await this.list(at)));
    if (step.count !== undefined) this.check(comparePart('count', step.count, await this.count(at)));
    if (step.alive !== undefined) {
      const ended = this.world.recorder.entries.some(({ short }) => short === 'ends');
      this.check(comparePart('alive', step.alive, !ended));
    }
  }

  private async list(at: string): Promise<string[]> {
    const answer = this.ask(at, { type: 'which_children' });
    await this.world.rest(0);
    const got = answer();
    if (got?.of !== 'call' || got.reply?.ok !== true) return ['no answer'];
    return (got.reply.children ?? []).map(({ id, child }) => `${id}:${typeof child === 'object' ? 'running' : child}`);
  }

  private async count(at: string): Promise<unknown> {
    const answer = this.ask(at, { type: 'count_children' });
    await this.world.rest(0);
    const got = answer();
    return got?.of === 'call' && got.reply?.ok === true ? got.reply.counts : 'no answer';
  }

  private checkRef(name: string, expected: string): string | null {
    const [before, after] = [this.refs.get(name) ?? null, this.refOf(name)];
    const actual = after === null ? 'gone' : after === before ? 'kept' : 'new';
    return actual === expected ? null : `ref of ${name}: expected ${expected}, got ${actual}`;
  }

  private refOf(name: string): string | null {
    const ref = this.world.recorder.refOf(name);
    return ref !== null && this.world.recorder.isUp(ref) ? ref : null;
  }

  private idOf(name: string): string {
    return this.fixture.children.get(name)?.fields.id ?? name;
  }

  private entriesFrom(cursor: { at: number }, kind: Entry['kind'] | null): Entry[] {
    const { entries } = this.world.recorder;
    const found = entries
      .slice(cursor.at)
      .filter((entry) => (kind === null ? entry.kind !== 'zombie' : entry.kind === kind));
    cursor.at = entries.length;
    return found;
  }

  private check(fault: string | null): void {
    this.checks += 1;
    if (fault !== null) this.faults.push(`${this.where}: ${fault}`);
  }
}

function checkReply(expected: string | Record<string, unknown>, answer: Answer): string | null {
  if (answer === null) return 'reply: this step has none';
  if (answer.of === 'start') {
    if (typeof expected === 'string') return compareWord('reply', expected, startWords(answer.result));
    return comparePart('reply', expected, answer.result);
  }
  if (typeof expected === 'string') return compareWord('reply', expected, replyWords(answer.reply));
  const { reply } = answer;
  return comparePart('reply', expected, reply?.ok === true && reply.spec !== undefined ? reply.spec : reply);
}

/** A spec as JSON: `"start": "fn"` stands for a start function. */
function revive(spec: unknown): unknown {
  if (Array.isArray(spec)) return spec.map(revive);
  if (typeof spec !== 'object' || spec === null) return spec;
  return Object.fromEntries(
    Object.entries(spec).map(([key, value]) => [key, key === 'start' && value === 'fn' ? () => ({}) : revive(value)]),
  );
}
