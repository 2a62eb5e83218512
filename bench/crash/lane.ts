import { setTimeout as delay } from 'node:timers/promises';
import type { NatsBus } from '../../src/adapters/nats/bus.ts';
import { connectBus } from '../../src/app.ts';
import { Subjects } from '../../src/core/subjects.ts';
import { type Child, startChild } from '../support/children.ts';
import { silent } from '../support/log.ts';
import { type DrillServer, startServer } from '../support/server.ts';
import type { CrashNodeOptions } from './node.ts';
import { Observer } from './observer.ts';
import { People } from './people.ts';
import { type ScenarioName, scenario } from './scenarios.ts';
import { readEffects } from './sink.ts';

/** One server with its worker, its nodes to be killed, its tasks, and somebody who watches and answers. */
export class Lane {
  readonly subjects = new Subjects('drill');
  /** Scenario of each task by its session id. */
  readonly tasks = new Map<string, ScenarioName>();
  readonly server: DrillServer;
  readonly bus: NatsBus;
  readonly observer: Observer;
  readonly settings: CrashNodeOptions;
  private readonly worker: Child;
  private readonly people: People;
  private readonly name: string;
  private nodes = 0;
  private standby: Child;
  private readonly started = new Set<Child>();
  private watching: Promise<void>;
  private stopping = false;
  private trouble: unknown = null;

  private constructor(
    name: string,
    server: DrillServer,
    bus: NatsBus,
    observer: Observer,
    worker: Child,
    settings: CrashNodeOptions,
  ) {
    this.name = name;
    this.server = server;
    this.bus = bus;
    this.worker = worker;
    this.settings = settings;
    this.observer = observer;
    this.people = new People(this);
    this.standby = this.load();
    this.watching = this.watch();
  }

  static async open(name: string, leaseMs: number): Promise<Lane> {
    const server = await startServer();
    const settings = { url: server.url, dir: server.dir, leaseMs, doorAckMs: 2 * leaseMs };
    const worker = startChild(import.meta.url, './worker', settings);
    await worker.until((line) => line === 'up' || null);
    const subjects = new Subjects('drill');
    const bus = await connectBus({ url: server.url }, `drill-${name}`, subjects, silent);
    const observer = await Observer.open(server.url, bus, subjects);
    return new Lane(name, server, bus, observer, worker, settings);
  }

  private load(): Child {
    const child = startChild(import.meta.url, './node', this.settings);
    this.started.add(child);
    void child.exited.then(() => this.started.delete(child));
    return child;
  }

  /** The next node: its process was started before, so that it is up at once. */
  async node(): Promise<{ child: Child; name: string }> {
    const child = this.standby;
    this.standby = this.load();
    const name = `${this.name}${++this.nodes}`;
    await child.until((line) => line === 'loaded' || null);
    child.tell({ name });
    await child.until((line) => line === 'up' || null);
    return { child, name };
  }

  async submit(names: ScenarioName[]): Promise<void> {
    for (const name of names) {
      const { agent, task, keyed } = scenario(name);
      const session = `${this.name}-${this.tasks.size}-${name}`;
      const body = JSON.stringify({
        session_id: session,
        ...task(Date.now()),
        ...(keyed === true ? { key: session } : {}),
      });
      this.tasks.set(session, name);
      const subject = this.subjects.task(agent, `user${this.tasks.size % 7}`);
      await this.bus.publish(subject, body);
      if (keyed === true) await this.bus.publish(subject, body);
    }
  }

  /** Sessions that have no result yet. */
  get open(): string[] {
    const done = new Set([...this.observer.results.values()].map((result) => result.session_id));
    return [...this.tasks.keys()].filter((session) => !done.has(session));
  }

  happened(key: string): boolean {
    return readEffects(this.settings.dir).some((effect) => effect.key === key);
  }

  private async watch(): Promise<void> {
    while (!this.stopping) {
      try {
        await this.observer.look();
        await this.people.attend();
      } catch (error) {
        // The server is killed now and then.
        this.trouble = error;
      }
      await delay(100);
    }
  }

  /** Waits until every task has its result; the sessions that have none by then. */
  async finish(ms: number): Promise<string[]> {
    const until = performance.now() + ms;
    while (this.open.length > 0 && performance.now() < until) await delay(50);
    return this.open;
  }

  async stopWatching(): Promise<void> {
    this.stopping = true;
    await this.watching;
  }

  get lastTrouble(): string {
    return String(this.trouble);
  }

  async close(): Promise<void> {
    await this.stopWatching();
    await Promise.all([...this.started, this.worker].map((child) => child.end('SIGKILL')));
    await this.observer.close();
    await this.bus.close();
    await this.server.stop();
  }
}
