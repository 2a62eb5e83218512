import type { RunEventOf } from '../core/events.ts';
import { formatTraceparent, parseTraceparent, type TraceContext } from '../core/traceparent.ts';
import type { Ids } from '../ports/ids.ts';

/**
 * The ids of a run's spans. They follow from the run, so that every node gives the same span the same name: one node
 * reports steps below a root that another reports at the end, and a span that is told twice is one span.
 */
export class SpanIds {
  /** The trace that the run belongs to: its submitter's, or one of its own. */
  readonly trace: string;
  readonly root: string;
  /** What the run's root hangs below; null at the top of a trace. */
  readonly above: TraceContext | null;
  private readonly ids: Ids;
  private readonly run: string;

  constructor(ids: Ids, accepted: RunEventOf<'accepted'>) {
    this.ids = ids;
    this.run = accepted.run;
    this.above = parseTraceparent(accepted.traceparent);
    this.trace = this.above?.trace ?? ids.hash('trace', accepted.run);
    this.root = this.of('run');
  }

  /** @param entry of the plan's decision; 0 for the plan that the task brought */
  plan(entry: number): string {
    return this.of('plan', entry);
  }

  step(entry: number): string {
    return this.of('step', entry);
  }

  model(entry: number): string {
    return this.of('model', entry);
  }

  call(c: string): string {
    return this.of('call', c);
  }

  /** What a call carries, so that the spans of its worker, or of the run that it starts, hang below it. */
  traceparent(c: string, sampled: boolean): string {
    return formatTraceparent({ trace: this.trace, span: this.call(c), sampled });
  }

  private of(...parts: (string | number)[]): string {
    return this.ids.hash('span', this.run, ...parts.map(String)).slice(0, 16);
  }
}
