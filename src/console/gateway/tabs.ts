import type { Watch } from '../wire.ts';
import { Tab, type TabSink, type TabSources } from './tab.ts';

/** All tabs. One that lost its stream is kept for a while: the browser comes back by itself. */

const KEPT_MS = 60_000;
const MAX_TABS = 500;
/** Figures of the last minutes change by time alone: so often they are told, milliseconds. */
const TICK_MS = 10_000;

export class Tabs {
  private readonly sources: TabSources;
  private readonly tabs = new Map<string, Tab>();
  private readonly leaving = new Map<string, NodeJS.Timeout>();
  private readonly timer: NodeJS.Timeout;

  constructor(sources: TabSources) {
    this.sources = sources;
    sources.index.onChange((row) => {
      for (const tab of this.tabs.values()) tab.runChanged(row);
    });
    this.timer = setInterval(() => {
      for (const tab of this.tabs.values()) tab.tick();
    }, TICK_MS);
    this.timer.unref();
  }

  /** @returns whether the tab was known, so that it need not say again what it watches; null when there are too many */
  connect(
    id: string,
    owner: string,
    exact: boolean,
    sink: TabSink,
    lastId: string,
  ): { known: boolean; close: () => void } | null {
    const known = this.of(id, owner);
    if (known === null && (this.tabs.has(id) || this.tabs.size >= MAX_TABS)) return null;
    const tab = known ?? new Tab(id, owner, exact, this.sources);
    this.tabs.set(id, tab);
    clearTimeout(this.leaving.get(id));
    this.leaving.delete(id);
    sink.send('hello', { tab: id, known: known !== null });
    tab.connect(sink, lastId);
    return {
      known: known !== null,
      close: () => {
        tab.disconnect(sink);
        if (!tab.connected) this.leave(tab);
      },
    };
  }

  /** False when there is no such tab of theirs: its stream must come first. */
  async watch(id: string, owner: string, watch: Watch): Promise<boolean> {
    const tab = this.of(id, owner);
    await tab?.watch(watch);
    return tab !== null;
  }

  private of(id: string, owner: string): Tab | null {
    const tab = this.tabs.get(id);
    return tab?.owner === owner ? tab : null;
  }

  private leave(tab: Tab): void {
    clearTimeout(this.leaving.get(tab.id));
    const timer = setTimeout(() => {
      tab.close();
      this.tabs.delete(tab.id);
      this.leaving.delete(tab.id);
    }, KEPT_MS);
    timer.unref();
    this.leaving.set(tab.id, timer);
  }

  stop(): void {
    clearInterval(this.timer);
    for (const timer of this.leaving.values()) clearTimeout(timer);
    for (const tab of this.tabs.values()) tab.close();
    this.tabs.clear();
  }
}
