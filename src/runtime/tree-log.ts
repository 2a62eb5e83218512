import { LRUCache } from 'lru-cache';
import { type ExitReason, reasonText } from '../../supervisors/exit-reason.ts';
import type { ErrorReport, Report } from '../../supervisors/reports.ts';
import { clip } from '../core/errors.ts';
import { redactText } from '../core/redact.ts';
import type { Log } from '../ports/telemetry.ts';

/**
 * What the supervisors of a node report: told in the log, and kept for whoever looks at the tree, as a supervisor keeps
 * no reasons. Runs tell of their crashes themselves.
 */

/** Longest message that is kept, characters. */
const MAX_MESSAGE = 300;
/** Ended children that are kept, newest last. */
const ENDED = 20;

export interface LastError {
  code: string;
  message: string;
  /** Epoch milliseconds. */
  at: number;
}

/** A temporary child that ended as it should not. */
export interface EndedChild extends LastError {
  id: string;
}

export class TreeLog {
  private readonly log: Log;
  private readonly errors = new LRUCache<string, LastError>({ max: 1_000 });
  private readonly ended = new Map<string, EndedChild[]>();
  /** Names of supervisors as people read them, by their refs. */
  private readonly paths = new Map<string, string>();
  private last = '';

  private readonly isUp: () => boolean;

  /** @param isUp whether the node has started: what fails before that is thrown to whoever starts it */
  constructor(log: Log, isUp: () => boolean) {
    this.log = log;
    this.isUp = isUp;
  }

  /** Why a child of that supervisor ended last, if that was not in order. */
  lastError(supervisor: string, id: string): LastError | undefined {
    return this.errors.get(`${supervisor} ${id}`);
  }

  endedOf(supervisor: string): readonly EndedChild[] {
    return this.ended.get(supervisor) ?? [];
  }

  /** Keeps a temporary child that people may look for. */
  noteEnded(supervisor: string, child: EndedChild): void {
    const kept = this.ended.get(supervisor) ?? [];
    this.ended.set(supervisor, [...kept, child].slice(-ENDED));
  }

  /** What a part of the node ended by last, for whoever asks why the node has. */
  get lastFault(): string {
    return this.last;
  }

  readonly hear = (report: Report): void => {
    if (report.context === 'progress') {
      const { ref, id, type, restart } = report.started;
      if (type === 'supervisor' && restart !== 'temporary' && ref !== null) {
        this.paths.set(placeOf(ref), `${this.pathOf(report.supervisor)}/${id}`);
      }
      return;
    }
    const { context, supervisor, reason, offender } = report;
    if (context === 'zombie' || context === 'dropped') return;
    this.keep(report);
    // Of a run: its owner says what happened.
    if (offender.id === 'run' || offender.restart === 'temporary') return;
    const fields = { supervisor: this.pathOf(supervisor), child: offender.id, ...textOf(reason) };
    if (offender.type === 'worker' && context !== 'shutdown') {
      this.last = `${fields.supervisor}/${fields.child}: ${fields.message}`;
    }
    if (!this.isUp()) return;
    if (context === 'shutdown') {
      const consequence =
        'this supervisor ends with all its children; the one above it starts it again or ends as well';
      this.log.error('supervisor.gave_up', { ...fields, consequence });
    } else if (context === 'shutdown_error') {
      this.log.warn('child.stopped_badly', fields);
    } else {
      const what = context === 'start_error' ? 'child.not_started' : 'child.crashed';
      this.log.error(what, { ...fields, consequence: 'it is started again, within the restart intensity' });
    }
  };

  private keep({ context, supervisor, reason, offender, at }: ErrorReport): void {
    const error = { ...textOf(reason), at };
    if (context === 'child_terminated' && offender.restart === 'temporary') {
      // A run over its budget: what its owner died of last.
      const last = this.errors.get(`${offender.ref} run`);
      const message = last === undefined ? error.message : `${last.code}: ${last.message}`;
      const code = offender.type === 'supervisor' ? 'crash_limit' : error.code;
      this.noteEnded(supervisor, { id: offender.id, code, message: clip(message, MAX_MESSAGE), at });
    } else if (context !== 'shutdown_error' && context !== 'shutdown')
      this.errors.set(`${supervisor} ${offender.id}`, error);
  }

  private pathOf(supervisor: string): string {
    return this.paths.get(placeOf(supervisor)) ?? supervisor;
  }
}

/** The ref of any incarnation, without its number. */
function placeOf(ref: string): string {
  return ref.replace(/\.\d+$/, '');
}

export function textOf(reason: ExitReason): { code: string; message: string } {
  const error = 'error' in reason ? reason.error : undefined;
  return { code: reasonText(reason).slice(0, 128), message: clip(redactText(error?.message ?? ''), MAX_MESSAGE) };
}
