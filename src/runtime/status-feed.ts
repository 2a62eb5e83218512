import { toAppError } from '../core/errors.ts';
import type { Cancel } from '../ports/clock.ts';
import type { NodeDeps } from './deps.ts';
import type { RunOwner } from './run-owner.ts';
import { statusPages } from './step-pages.ts';
import { statusOf } from './views.ts';

/**
 * Publishes where runs stand, at most once per `status_every_ms` and run: a summary is cheap to skip, a finished step
 * is told exactly in order. The last status of a run is stored by its ending, not here.
 */
export class StatusFeed {
  private readonly deps: NodeDeps;
  private readonly dirty = new Set<RunOwner>();
  private cancel: Cancel | null = null;

  constructor(deps: NodeDeps) {
    this.deps = deps;
  }

  touched(owner: RunOwner): void {
    if (owner.fold.ended) {
      this.dirty.delete(owner);
      return;
    }
    this.dirty.add(owner);
    if (this.cancel !== null) return;
    const { clock, settings } = this.deps;
    const due = clock.now() + settings.status_every_ms;
    this.cancel = clock.after(settings.status_every_ms, () => this.flush(clock.now() - due));
  }

  forget(owner: RunOwner): void {
    if (this.dirty.delete(owner) && !owner.fold.ended) this.tell(owner);
  }

  /**
   * Another node owns the run. What was told here may have come late, over the last that it told: that is told again,
   * unless the run is in work, as then there is more to come.
   */
  async correct(owner: RunOwner): Promise<void> {
    this.dirty.delete(owner);
    const { bus, journal, subjects } = this.deps;
    const { agent, user, run } = owner.accepted;
    for (let told = -1; ; ) {
      const fold = await journal.load(run);
      fold?.stop();
      if (fold === null || fold.protocol.n === told || !(fold.ended || fold.protocol.released)) return;
      told = fold.protocol.n;
      bus.emit(subjects.event(agent.name, user, run), JSON.stringify(statusOf(fold)));
    }
  }

  stop(): void {
    this.cancel?.();
    this.cancel = null;
    this.dirty.clear();
  }

  /** @param late milliseconds; after more than a lease the runs may have gone on elsewhere, and what is known here is old */
  private flush(late: number): void {
    this.cancel = null;
    const owners = late > this.deps.settings.lease_ms ? [] : [...this.dirty];
    this.dirty.clear();
    for (const owner of owners) this.tell(owner);
  }

  private tell(owner: RunOwner): void {
    const { bus, subjects } = this.deps;
    const { agent, user, run } = owner.accepted;
    const subject = subjects.event(agent.name, user, run);
    const told = owner.steps.take().then((steps) => {
      if (owner.fold.ended) return owner.steps.untake(steps);
      // While the server is away a status would only come late, over a newer one of the next owner.
      if (!bus.connected) return owner.steps.untake(steps);
      for (const page of statusPages(steps)) bus.emit(subject, JSON.stringify(statusOf(owner.fold, page)));
    });
    told.catch((error: unknown) => owner.log.warn('status.failed', { message: toAppError(error).message }));
  }
}
