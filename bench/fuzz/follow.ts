import { jetstream } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { StatusEvent } from '../../src/core/status.ts';
import { streamsOf } from '../../src/core/streams.ts';
import type { Subjects } from '../../src/core/subjects.ts';
import type { Bus } from '../../src/ports/bus.ts';
import { readReason } from '../../src/runtime/dead-letters.ts';
import type { HostileTask } from './tasks.ts';

/** Sends tasks as any client would, and follows what becomes of each by the sequence that the stream gave it. */
export class Follower {
  /** The run that each task became, by sequence. */
  readonly accepted = new Map<number, string>();
  /** Reason of each task that is a dead letter, by sequence. */
  readonly dead = new Map<number, string>();
  readonly ended = new Set<string>();
  readonly sent = new Map<number, HostileTask>();
  private readonly nc: NatsConnection;
  private readonly bus: Bus;
  private readonly subjects: Subjects;
  private nextDead = 1;

  private constructor(nc: NatsConnection, bus: Bus, subjects: Subjects) {
    this.nc = nc;
    this.bus = bus;
    this.subjects = subjects;
  }

  static async open(url: string, bus: Bus, subjects: Subjects): Promise<Follower> {
    const nc = await connect({ servers: url, noAsyncTraces: true });
    const follower = new Follower(nc, bus, subjects);
    nc.subscribe(`${subjects.prefix}.evt.>`, {
      callback: (_, message) => {
        const status = StatusEvent.parse(message.json());
        if (status.task_seq !== undefined && status.state !== 'rejected') {
          follower.accepted.set(status.task_seq, status.run);
        }
      },
    });
    nc.subscribe(`${subjects.prefix}.res.>`, {
      callback: (_, message) => void follower.ended.add(message.subject.split('.').at(-1) ?? ''),
    });
    await nc.flush();
    return follower;
  }

  /** Publishes one task; throws when the stream does not take it. */
  async send(task: HostileTask): Promise<void> {
    const ack = await jetstream(this.nc, { timeout: 20_000 }).publish(task.subject, task.body);
    this.sent.set(ack.seq, task);
  }

  async readDeadLetters(): Promise<void> {
    const stream = streamsOf(this.subjects).dead.name;
    const filter = `${this.subjects.prefix}.dead.>`;
    for await (const message of this.bus.scan(stream, filter, { fromSequence: this.nextDead })) {
      this.nextDead = message.seq + 1;
      const reason = readReason(message.headers);
      if (reason !== null && reason.error.message !== '') this.dead.set(reason.seq, reason.error.code);
    }
  }

  /** Tasks of which nothing is known yet. */
  open(): number[] {
    return [...this.sent.keys()].filter((seq) => !this.accepted.has(seq) && !this.dead.has(seq));
  }

  /** Runs that have no result yet. */
  running(): string[] {
    return [...new Set(this.accepted.values())].filter((run) => !this.ended.has(run));
  }

  async cancel(run: string): Promise<void> {
    const body = JSON.stringify({ run, by: 'drill', why: 'it waits for too long' });
    await this.bus.request(this.subjects.api('cancel'), body, { timeoutMs: 5_000 }).catch(() => undefined);
  }

  close(): Promise<void> {
    return this.nc.close();
  }
}
