import { type AppError, toAppError } from '../../core/errors.ts';
import type { ActorView, Approvals, Frame, RunRow, StreamEvents, Watch } from '../wire.ts';
import type { ApprovalsState } from './approvals.ts';
import type { ClusterState } from './cluster-state.ts';
import type { Figures } from './figures.ts';
import type { Follow, FollowListener, Follows } from './follows.ts';
import { type Inspections, keyOf } from './inspections.ts';
import type { RunIndex } from './run-index.ts';

/**
 * One tab of a browser and what it watches. What changes is told at once when it was quiet before, and else at most four
 * times a second, of the run that is open ten times; of rows and figures only the newest counts.
 */

const INTERVAL_MS = 250;
const RUN_INTERVAL_MS = 100;
/** What is not sent yet beyond this many bytes waits: a slow reader gets the newest later. */
const MAX_BEHIND = 1024 * 1024;
/** Frames that a watcher gets at once; the page asks for older ones. */
const MAX_FRAMES = 400;

export interface TabSources {
  index: RunIndex;
  figures: Figures;
  /** Null for a run in a file. */
  cluster: ClusterState | null;
  approvals: ApprovalsState | null;
  inspections: Inspections | null;
  follows: Follows;
}

export interface TabSink {
  /** `id` comes back when the browser lost the stream and opens it again. */
  send(event: string, data: unknown, id?: string): void;
  /** Bytes that the reader has not taken yet. */
  behind(): number;
}

const NOTHING: Watch = {
  ...{ n: 0, overview: false, cluster: false, approvals: false },
  ...{ list: false, runs: [], run: null, actor: null },
};

export class Tab {
  readonly id: string;
  /** Who opened it: nobody else may say what it watches. */
  readonly owner: string;
  private readonly sources: TabSources;
  private sink: TabSink | null = null;
  private watched: Watch = NOTHING;
  private rows = new Set<string>();
  private changed = new Map<string, RunRow>();
  private overviewChanged = false;
  private listChanged = false;
  private frames: Frame[] = [];
  private stepsFrom: number | null = null;
  private headChanged = false;
  private follow: Follow | null = null;
  /** Why the run that it watches cannot be shown. */
  private gone: AppError | null = null;
  private timer: NodeJS.Timeout | null = null;
  private sentAt = 0;
  private endCluster: () => void = () => {};
  private endApprovals: () => void = () => {};
  private endActor: () => void = () => {};
  /** What was not sent yet of the actor that is watched, and the last of its events that was. */
  private actor: ActorView | null = null;
  private eventsTo = 0;
  /** Whether who opened it decides about approvals, and so must see what they are about. */
  private readonly exact: boolean;

  constructor(id: string, owner: string, exact: boolean, sources: TabSources) {
    this.exact = exact;
    this.id = id;
    this.owner = owner;
    this.sources = sources;
  }

  get connected(): boolean {
    return this.sink !== null;
  }

  /** The stream is (again) there: everything that is watched is told anew, from where the tab is. */
  connect(sink: TabSink, lastId: string): void {
    this.sink = sink;
    this.sentAt = 0;
    this.tellAll();
    this.watchActor();
    this.tellGone();
    if (this.follow !== null) this.tellFrom(this.follow, fromId(lastId, this.follow.run));
  }

  disconnect(sink: TabSink): void {
    if (this.sink !== sink) return;
    this.sink = null;
    // No node has work for a page that may be closed; one that comes back is told anew.
    this.unwatchActor();
  }

  /** Resolves when it listens. What is older than what is watched is left out. */
  async watch(watch: Watch): Promise<void> {
    const before = this.watched;
    if (watch.n <= before.n) return;
    this.watched = watch;
    this.rows = new Set(watch.runs);
    if (watch.cluster !== before.cluster) {
      this.endCluster();
      this.endCluster = () => {};
      if (watch.cluster && this.sources.cluster !== null) {
        this.endCluster = this.sources.cluster.watch((state) => this.sink?.send('cluster', state));
      }
    }
    if (watch.approvals !== before.approvals) {
      this.endApprovals();
      this.endApprovals = () => {};
      if (watch.approvals && this.sources.approvals !== null) {
        const tell = (approvals: Approvals) => void this.sink?.send('approvals', approvals);
        this.endApprovals = this.sources.approvals.watch({ exact: this.exact, tell });
      }
    }
    const actorOf = ({ actor }: Watch) => (actor === null ? '' : keyOf(actor));
    if (actorOf(watch) !== actorOf(before)) this.watchActor();
    this.endFollow();
    this.tellAll();
    if (watch.run !== null) await this.startFollow(watch.run);
  }

  private tellAll(): void {
    const { overview, runs } = this.watched;
    this.overviewChanged = overview;
    for (const run of runs) {
      const row = this.sources.index.get(run);
      if (row !== null) this.changed.set(run, row);
    }
    this.schedule();
  }

  /** The actor that it watches is told whole. */
  private watchActor(): void {
    this.unwatchActor();
    const { actor } = this.watched;
    if (actor === null || this.sink === null || this.sources.inspections === null) return;
    this.endActor = this.sources.inspections.watch(actor, (view) => {
      this.actor = view;
      this.schedule();
    });
  }

  private unwatchActor(): void {
    this.endActor();
    this.endActor = () => {};
    this.actor = null;
    this.eventsTo = 0;
  }

  private async startFollow(run: NonNullable<Watch['run']>): Promise<void> {
    // Until the journal is read the tab may have gone on to another run, or be closed.
    const isWatched = () => this.watched.run === run;
    try {
      const follow = await this.sources.follows.get(run.id);
      if (!isWatched()) return;
      this.follow = follow;
      follow.listeners.add(this.hearRun);
      follow.failed.add(this.hearEnd);
      this.tellFrom(follow, run.from);
    } catch (thrown) {
      if (isWatched()) this.hearEnd(toAppError(thrown));
    }
  }

  private tellFrom({ view }: Follow, from: number): void {
    this.frames = view.frames.slice(Math.max(from, view.next - MAX_FRAMES));
    this.stepsFrom = 0;
    this.headChanged = true;
    this.schedule();
  }

  private readonly hearRun: FollowListener = ({ frames, stepsFrom }) => {
    // One that began to listen while these were folded has some of them already.
    const last = this.frames.at(-1)?.n ?? -1;
    this.frames.push(...frames.filter(({ n }) => n > last));
    if (this.frames.length > MAX_FRAMES) this.frames = this.frames.slice(-MAX_FRAMES);
    this.stepsFrom = Math.min(this.stepsFrom ?? stepsFrom, stepsFrom);
    this.headChanged = true;
    this.schedule();
  };

  private readonly hearEnd = (error: AppError) => {
    this.gone = error;
    this.tellGone();
  };

  private tellGone(): void {
    const { run } = this.watched;
    if (run === null || this.gone === null) return;
    const { code, message } = this.gone;
    this.sink?.send('gone', { id: run.id, code, message } satisfies StreamEvents['gone']);
  }

  private endFollow(): void {
    this.follow?.listeners.delete(this.hearRun);
    this.follow?.failed.delete(this.hearEnd);
    this.follow = null;
    this.gone = null;
    this.frames = [];
    this.stepsFrom = null;
    this.headChanged = false;
  }

  /** A run changed, somewhere. */
  runChanged(row: RunRow): void {
    this.overviewChanged ||= this.watched.overview;
    this.listChanged = true;
    if (this.rows.has(row.run)) this.changed.set(row.run, row);
    if (this.overviewChanged || this.changed.size > 0 || this.watched.list) this.schedule();
  }

  /** Time has passed: its figures are those of the last minutes. */
  tick(): void {
    if (!this.watched.overview) return;
    this.overviewChanged = true;
    this.schedule();
  }

  private schedule(): void {
    if (this.timer !== null || this.sink === null) return;
    const interval = this.headChanged ? RUN_INTERVAL_MS : INTERVAL_MS;
    const wait = Math.max(0, this.sentAt + interval - performance.now());
    // Even when it was quiet, what belongs together gets the moment to arrive together.
    this.timer = setTimeout(() => this.flush(), Math.max(8, wait));
  }

  private flush(): void {
    this.timer = null;
    const { sink } = this;
    if (sink === null) return;
    this.sentAt = performance.now();
    if (sink.behind() > MAX_BEHIND) {
      this.schedule();
      return;
    }
    if (this.overviewChanged) {
      this.overviewChanged = false;
      sink.send('overview', this.sources.figures.overview());
    }
    if (this.changed.size > 0 || (this.listChanged && this.watched.list)) {
      sink.send('runs', { rows: [...this.changed.values()] } satisfies StreamEvents['runs']);
      this.changed.clear();
    }
    this.listChanged = false;
    if (this.actor !== null) this.flushActor(sink, this.actor);
    if (this.headChanged && this.follow !== null) this.flushRun(sink, this.follow);
  }

  private flushActor(sink: TabSink, view: ActorView): void {
    const events = view.events.filter(({ k }) => k > this.eventsTo);
    this.eventsTo = view.events.at(-1)?.k ?? this.eventsTo;
    this.actor = null;
    sink.send('actor', { ...view, events } satisfies ActorView);
  }

  private flushRun(sink: TabSink, { run, view, reading }: Follow): void {
    const head = view.head(reading);
    if (head === null) return;
    const from = this.stepsFrom ?? view.steps.length;
    const data: StreamEvents['run'] = { id: run, head, frames: this.frames, steps: view.steps.slice(from) };
    sink.send('run', data, `${run}/${head.n}`);
    this.frames = [];
    this.stepsFrom = null;
    this.headChanged = false;
  }

  close(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.endCluster();
    this.endApprovals();
    this.unwatchActor();
    this.endFollow();
    this.watched = NOTHING;
    this.sink = null;
  }
}

/** The first entry that a tab does not have, by the id of the last event that it got. */
function fromId(id: string, run: string): number {
  const n = id.startsWith(`${run}/`) ? Number(id.slice(run.length + 1)) : Number.NaN;
  return Number.isSafeInteger(n) ? n + 1 : 0;
}
