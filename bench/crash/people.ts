import type { Subjects } from '../../src/core/subjects.ts';
import type { Bus } from '../../src/ports/bus.ts';
import type { Observer } from './observer.ts';
import { type ScenarioName, scenario } from './scenarios.ts';
import { storyOf } from './trace.ts';

/** How long an answer is given to take effect before it is given again, milliseconds. */
const AGAIN_MS = 2_500;

/** What the people can see. */
export interface Seen {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly observer: Observer;
  /** Scenario of each task by its session id. */
  readonly tasks: ReadonlyMap<string, ScenarioName>;
  /** Whether the sink has an effect under the key. */
  happened(key: string): boolean;
}

/**
 * The people of the drill: they answer what runs ask, cancel what is to be cancelled, and say of a call with an unknown
 * outcome what the sink shows: done when its effect is there, failed when it is not.
 */
export class People {
  private readonly seen: Seen;
  private readonly asked = new Map<string, number>();

  constructor(seen: Seen) {
    this.seen = seen;
  }

  async attend(): Promise<void> {
    const { observer, tasks } = this.seen;
    for (const run of observer.runs.keys()) {
      if (observer.results.has(run)) continue;
      const story = storyOf(observer.entries(run));
      if (story.session === undefined) continue;
      const name = tasks.get(story.session);
      if (name !== undefined && scenario(name).nudged === true) await this.tell('resume', { run, by: 'drill' });
      for (const call of story.open) {
        const id = `${run}:${call.c}`;
        if (performance.now() - (this.asked.get(id) ?? Number.NEGATIVE_INFINITY) < AGAIN_MS) continue;
        this.asked.set(id, performance.now());
        if (name !== undefined && scenario(name).cancelled === true) {
          await this.tell('cancel', { run, by: 'drill' });
          continue;
        }
        const happened = call.kind === 'question' || this.seen.happened(id);
        const result = call.kind === 'question' ? 'yes' : { found: true };
        const answer = happened ? { verdict: 'done', result } : { verdict: 'fail', why: 'it did not happen' };
        await this.tell('resolve', { run, c: call.c, by: 'drill', ...answer });
      }
    }
  }

  /** Nobody may be there to hear it: then it is said again later. */
  private async tell(verb: string, body: Record<string, unknown>): Promise<void> {
    const { bus, subjects } = this.seen;
    await bus.request(subjects.api(verb), JSON.stringify(body), { timeoutMs: 500 }).catch(() => undefined);
  }
}
