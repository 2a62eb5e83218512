import { setTimeout as delay } from 'node:timers/promises';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { z } from 'zod';
import type { Subjects } from '../../src/core/subjects.ts';
import { SCENARIO_NAMES, type ScenarioName, scenario } from '../crash/scenarios.ts';
import type { Random } from '../support/random.ts';

const Ack = z.object({ stream: z.string(), seq: z.int() });

/** Who submits waits so long for the acknowledgement, milliseconds. */
const PATIENCE_MS = 5_000;
const USERS = 9;

export interface Accepted {
  agent: string;
  user: string;
  seq: number;
}

/**
 * Tasks of every scenario, for several agents and users. A task counts as accepted once its PubAck has come. One that
 * brings a key is published until that happens; another only once, as it would be a second task.
 */
export class Load {
  /** Scenario of each task by its session id, acknowledged or not. */
  readonly tasks = new Map<string, ScenarioName>();
  readonly accepted = new Map<string, Accepted>();
  /** Published, and nobody knows whether they are stored. */
  unacknowledged = 0;
  private readonly nc: NatsConnection;
  private readonly subjects: Subjects;
  private readonly random: Random;

  private constructor(nc: NatsConnection, subjects: Subjects, random: Random) {
    this.nc = nc;
    this.subjects = subjects;
    this.random = random;
  }

  static async open(url: string, subjects: Subjects, random: Random): Promise<Load> {
    const servers = url.split(',');
    const nc = await connect({ servers, noAsyncTraces: true, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
    return new Load(nc, subjects, random);
  }

  close(): Promise<void> {
    return this.nc.close();
  }

  /** Some a second, while fewer than `most` are open, until told to stop. */
  async run(perSecond: number, most: number, open: () => number, signal: AbortSignal): Promise<void> {
    const under = new Set<Promise<void>>();
    while (!signal.aborted) {
      await delay((2_000 * this.random.next()) / perSecond);
      if (open() + under.size >= most) continue;
      const one = this.submit(this.random.pick(SCENARIO_NAMES)).finally(() => under.delete(one));
      under.add(one);
    }
    await Promise.all(under);
  }

  private async submit(name: ScenarioName): Promise<void> {
    const { agent: kind, task, keyed } = scenario(name);
    const session = `${this.tasks.size}-${name}`;
    const user = `user${this.tasks.size % USERS}`;
    const agent = kind === 'script' && this.random.int(2) === 0 ? 'scribe' : kind;
    const own = keyed === true || this.random.int(2) === 0;
    const body = { session_id: session, ...task(Date.now()), ...(own ? { key: session } : {}) };
    this.tasks.set(session, name);
    const subject = this.subjects.task(agent, user);
    const data = JSON.stringify(body);
    let ack = await this.publish(subject, data);
    while (ack === null && own && !this.nc.isClosed()) {
      await delay(100);
      ack = await this.publish(subject, data);
    }
    if (ack === null) this.unacknowledged++;
    else this.accepted.set(session, { agent, user, seq: ack.seq });
    if (keyed === true) await this.publish(subject, data);
  }

  private async publish(subject: string, data: string): Promise<z.infer<typeof Ack> | null> {
    try {
      const reply = await this.nc.request(subject, data, { timeout: PATIENCE_MS });
      return Ack.safeParse(reply.json()).data ?? null;
    } catch {
      return null;
    }
  }
}
