import { useEffect, useSyncExternalStore } from 'react';
import type { StreamEvents, Watch } from '../../wire.ts';
import { ApiError, post } from './api.ts';

/**
 * The one stream of this tab. Views say what they watch; all of it together is told to the gateway, anew whenever that
 * does not know this tab any more: so a lost connection or another gateway loses nothing.
 */

type Name = keyof StreamEvents;
type Listener<K extends Name> = (data: StreamEvents[K]) => void;

export interface Connection {
  /** `live`: both the gateway and the cluster behind it. */
  state: 'connecting' | 'live' | 'lost' | 'no_cluster';
  /** Since when what is shown may be old, epoch milliseconds of the server. */
  since: number | null;
}

const SILENCE_MS = 11_000;
const NAMES: Name[] = ['hello', 'overview', 'cluster', 'approvals', 'runs', 'run', 'actor', 'gone', 'beat'];

class Live {
  private source: EventSource | null = null;
  private readonly tab = crypto.randomUUID();
  private readonly wanted = new Map<object, Partial<Watch>>();
  private readonly listeners = new Map<Name, Set<Listener<never>>>();
  private readonly changed = new Set<() => void>();
  private last: Partial<StreamEvents> = {};
  private timer = 0;
  private telling = 0;
  private told = 0;
  private open = false;
  /** Something is wanted that could not be told while the stream was away. */
  private untold = false;
  /** Server time minus this browser's. */
  offset = 0;
  connection: Connection = { state: 'connecting', since: null };

  start(): void {
    if (this.source !== null) return;
    const source = new EventSource(`/api/stream?tab=${this.tab}`);
    this.source = source;
    for (const name of NAMES) {
      source.addEventListener(name, (event) =>
        this.hear(name, JSON.parse((event as MessageEvent<string>).data) as never),
      );
    }
    source.addEventListener('error', () => this.lost());
    this.guard();
  }

  stop(): void {
    this.source?.close();
    this.source = null;
    this.open = false;
    clearTimeout(this.timer);
  }

  private hear<K extends Name>(name: K, data: StreamEvents[K]): void {
    this.guard();
    if (name === 'hello' || name === 'beat') this.greet(name, data as StreamEvents['hello']);
    if (name === 'overview' || name === 'cluster' || name === 'approvals') this.last = { ...this.last, [name]: data };
    for (const listener of this.listeners.get(name) ?? []) (listener as Listener<K>)(data);
  }

  private greet(name: Name, { now, connected, known }: StreamEvents['hello']): void {
    this.offset = now - Date.now();
    this.set(connected ? 'live' : 'no_cluster');
    if (name !== 'hello') return;
    this.open = true;
    if (!known || this.untold) this.tell();
  }

  private lost(): void {
    this.open = false;
    this.set('lost');
    // A browser gives up on an answer that is no stream, such as that of a proxy: it is tried anew.
    if (this.source?.readyState === EventSource.CLOSED) this.reopen(1_500);
  }

  private guard(): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      this.set('lost');
      this.reopen(0);
    }, SILENCE_MS);
  }

  private reopen(wait: number): void {
    this.stop();
    this.timer = window.setTimeout(() => this.start(), wait);
  }

  private set(state: Connection['state']): void {
    if (this.connection.state === state) return;
    const fresh = state === 'live' ? null : (this.connection.since ?? Date.now() + this.offset);
    this.connection = { state, since: fresh };
    for (const tell of this.changed) tell();
  }

  /** @param how `quietly`: only what is told when the stream must begin anew */
  want(key: object, watch: Partial<Watch>, how: 'now' | 'quietly' = 'now'): void {
    this.wanted.set(key, watch);
    if (how === 'now') this.tell();
  }

  unwant(key: object): void {
    this.wanted.delete(key);
    this.tell();
  }

  /** Once for all views that change in one go. */
  private tell(): void {
    clearTimeout(this.telling);
    this.telling = window.setTimeout(() => void this.post(), 0);
  }

  private async post(): Promise<void> {
    this.untold = !this.open;
    if (this.untold) return;
    const watch: Watch = {
      ...{ n: ++this.told, overview: false, cluster: false, approvals: false },
      ...{ list: false, runs: [], run: null, actor: null },
    };
    for (const part of this.wanted.values()) {
      watch.overview ||= part.overview ?? false;
      watch.cluster ||= part.cluster ?? false;
      watch.approvals ||= part.approvals ?? false;
      watch.list ||= part.list ?? false;
      watch.runs = [...watch.runs, ...(part.runs ?? [])].slice(0, 500);
      watch.run = part.run ?? watch.run;
      watch.actor = part.actor ?? watch.actor;
    }
    try {
      await post(`/api/stream/${this.tab}/watch`, watch);
    } catch (thrown) {
      if (thrown instanceof ApiError && thrown.code === 'unknown_tab') return this.reopen(200);
      this.telling = window.setTimeout(() => void this.post(), 1_000);
    }
  }

  on<K extends Name>(name: K, listener: Listener<K>): () => void {
    const set = this.listeners.get(name) ?? new Set();
    this.listeners.set(name, set.add(listener as Listener<never>));
    return () => set.delete(listener as Listener<never>);
  }

  latest<K extends Name>(name: K): StreamEvents[K] | null {
    return (this.last[name] as StreamEvents[K] | undefined) ?? null;
  }

  readonly onConnection = (tell: () => void): (() => void) => {
    this.changed.add(tell);
    return () => this.changed.delete(tell);
  };
}

export const live = new Live();

export function useConnection(): Connection {
  return useSyncExternalStore(live.onConnection, () => live.connection);
}

/** The newest overview, cluster state or approvals, watched as long as somebody uses it; null before the first. */
export function useLatest<K extends 'overview' | 'cluster' | 'approvals'>(name: K): StreamEvents[K] | null {
  useEffect(() => {
    const key = {};
    live.want(key, { [name]: true });
    return () => live.unwant(key);
  }, [name]);
  return useSyncExternalStore(
    (tell) => live.on(name, tell),
    () => live.latest(name),
  );
}
