import type { Follower, Subscription } from '../../ports/bus.ts';
import type { Link } from './link.ts';
import type { MemoryBroker, StreamFollower } from './memory-broker.ts';
import type { PendingWork } from './pending-work.ts';

export interface Following {
  stream: string;
  filter: string;
  fromSequence: number;
  follower: Follower;
}

/** Follows a stream from one node: the broker sends what is new, and anew what was lost on the way. */
export class MemoryFollow implements Subscription {
  readonly #broker: MemoryBroker;
  readonly #link: Link;
  readonly #work: PendingWork;
  readonly #following: Following;
  readonly #server: StreamFollower;
  /** What the broker sends next, and how many it has sent since it was asked. */
  #cursor: number;
  #sent = 0;
  #asked = 0;
  /** What is expected here. */
  #next: number;
  #came = 0;

  constructor(broker: MemoryBroker, link: Link, work: PendingWork, following: Following) {
    this.#broker = broker;
    this.#link = link;
    this.#work = work;
    this.#following = following;
    this.#cursor = following.fromSequence;
    this.#next = following.fromSequence;
    this.#server = { stream: following.stream, pump: () => this.#pump() };
    link.send('up', { kind: 'read', subject: following.stream }, () => {
      if (!work.over) broker.follow(this.#server);
    });
  }

  stop(): Promise<void> {
    this.leave();
    return Promise.resolve();
  }

  leave(): void {
    this.#asked = -1;
    this.#broker.unfollow(this.#server);
  }

  /** On the broker. */
  #pump(): void {
    const { stream, filter } = this.#following;
    for (;;) {
      const message = this.#broker.read(stream, null, (it) => it.from(this.#cursor, filter));
      if (message === null) return;
      this.#cursor = message.seq + 1;
      const order = ++this.#sent;
      const asked = this.#asked;
      this.#link.send('down', { kind: 'deliver', subject: message.subject, data: message.data }, () => {
        if (this.#work.over || asked !== this.#asked) return;
        if (order !== this.#came + 1) {
          this.#again();
          return;
        }
        this.#came = order;
        this.#next = message.seq + 1;
        this.#following.follower.onMessage(message);
      });
    }
  }

  /** Something is missing: asked for from there on. */
  #again(): void {
    const asked = ++this.#asked;
    this.#came = 0;
    this.#following.follower.onBreak?.('interrupted');
    this.#link.send('up', { kind: 'read', subject: this.#following.stream }, () => {
      if (this.#work.over || asked !== this.#asked) return;
      this.#cursor = this.#next;
      this.#sent = 0;
      this.#pump();
    });
  }
}
